package deploys

import (
	"context"
	"errors"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/monotime"
)

// Swapped is one replica in the place of another.
type Swapped struct {
	Old, Fresh *Replica
	At         time.Duration // by monotime, when the API was about to be told
}

// swapper is a platform that can announce two things at once.
type swapper interface {
	swap(ctx context.Context, old, fresh *Replica) error
	retire(ctx context.Context, old *Replica) error
}

// Swap announces, in one change, a new replica that is ready already, and that the oldest one stops: to see how long others take to follow.
// The old one is not told; it serves until [Workload.Retire]. It returns when the API has taken the change.
func (w *Workload) Swap(ctx context.Context) (Swapped, error) {
	running := w.Running()
	if len(running) == 0 {
		return Swapped{}, errors.New("there is no replica to swap")
	}
	fresh, err := w.launch()
	if err != nil {
		return Swapped{}, err
	}
	s := Swapped{Old: running[0], Fresh: fresh, At: monotime.Now()}
	w.leave(s.Old)
	return s, w.on.(swapper).swap(ctx, s.Old, fresh)
}

// Retire ends a replica that was swapped, and announces that it is gone.
func (w *Workload) Retire(ctx context.Context, old *Replica) error {
	old.Close()
	return w.on.(swapper).retire(ctx, old)
}

func (k *Kubernetes) swap(ctx context.Context, old, fresh *Replica) error {
	k.mu.Lock()
	old.state, fresh.state = stopping, ready
	k.home(old).dirty, k.home(fresh).dirty = true, true
	k.mu.Unlock()
	return k.sync(ctx)
}

func (k *Kubernetes) retire(ctx context.Context, old *Replica) error { return k.remove(ctx, old) }

func (e *ECS) swap(_ context.Context, old, fresh *Replica) error {
	fresh.arn = e.run(fresh, taskRunning)
	e.api.SetStatus(old.arn, taskStopping, taskStopped)
	return nil
}

func (e *ECS) retire(_ context.Context, old *Replica) error {
	e.api.SetStatus(old.arn, taskStopped, taskStopped)
	return nil
}
