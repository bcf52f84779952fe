package deploys

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// Rollout is how a rolling replacement goes. Zero means one by one.
type Rollout struct {
	Surge    int           // how many new replicas may be started at once, beside the old ones
	MinReady time.Duration // how long a new one must have been ready before an old one is told to stop
}

// platform is an orchestrator. Its methods return when what they do is done.
type platform interface {
	// start announces a replica, and that it is ready when it is.
	start(ctx context.Context, r *Replica) error
	// stop announces that a replica stops, has it do so, and announces that it is gone. killed says that it was cut with requests in flight.
	stop(ctx context.Context, r *Replica) (killed, err error)
}

// Workload is the replicas of an application on one orchestrator. Only one of its operations at a time; what it says may be asked meanwhile.
type Workload struct {
	spec Spec
	on   platform

	mu      sync.Mutex
	number  int        // of replicas that were ever started
	all     []*Replica // that were ever started
	running []*Replica // that are not told to stop, oldest first
	kills   []error
}

// SetLife changes how the replicas that are started, or stopped, from now on live.
func (w *Workload) SetLife(l Life) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spec.Life = l
}

func (w *Workload) life() Life {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.spec.Life
}

// Scale starts or stops replicas, all at once, until there are n. It returns when they are ready, or gone.
func (w *Workload) Scale(ctx context.Context, n int) error {
	g, ctx := errgroup.WithContext(ctx)
	w.mu.Lock()
	add := n - len(w.running)
	leave := w.running[min(n, len(w.running)):]
	w.mu.Unlock()
	for range add {
		g.Go(func() error { return w.start(ctx) })
	}
	for _, r := range leave {
		g.Go(func() error { return w.stop(ctx, r) })
	}
	return g.Wait()
}

// Replace replaces every replica: for each that is new and ready, an old one stops. It returns when the last old one is gone.
func (w *Workload) Replace(ctx context.Context, roll Rollout) error {
	old := w.Running()
	next := make(chan *Replica, len(old))
	for _, r := range old {
		next <- r
	}
	close(next)
	g, ctx := errgroup.WithContext(ctx)
	for range max(1, roll.Surge) {
		g.Go(func() error {
			for r := range next {
				if err := w.start(ctx); err != nil {
					return err
				}
				if err := poll.Pause(ctx, roll.MinReady); err != nil {
					return err
				}
				g.Go(func() error { return w.stop(ctx, r) }) // what stops does not count against the surge
			}
			return nil
		})
	}
	return g.Wait()
}

// Running returns the replicas that are not told to stop, oldest first.
func (w *Workload) Running() []*Replica {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.running)
}

// All returns every replica there ever was.
func (w *Workload) All() []*Replica {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.all)
}

// Kills says which replicas were killed with requests in flight.
func (w *Workload) Kills() []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.kills)
}

// Requests is how many requests arrived at all replicas there ever were, and how many of them were answered to their end.
func (w *Workload) Requests() (arrived, answered uint64) {
	for _, r := range w.All() {
		arrived += r.Total()
		answered += r.Answered()
	}
	return arrived, answered
}

// Arrived is how many of the requests for a host arrived.
func (w *Workload) Arrived(host string) (n uint64) {
	for _, r := range w.All() {
		n += r.Count(host)
	}
	return n
}

// Close ends every replica as a power failure does: nothing is announced.
func (w *Workload) Close() {
	for _, r := range w.All() {
		r.Close()
	}
}

func (w *Workload) start(ctx context.Context) error {
	r, err := w.launch()
	if err != nil {
		return err
	}
	return w.on.start(ctx, r)
}

// launch starts a replica of which nobody knows yet.
func (w *Workload) launch() (*Replica, error) {
	w.mu.Lock()
	spec, number := w.spec, w.number
	w.number++
	w.mu.Unlock()
	r, err := newReplica(spec, fmt.Sprintf("%s-%d", spec.Name, number), number)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all, w.running = append(w.all, r), append(w.running, r)
	return r, nil
}

// leave notes that a replica is told to stop.
func (w *Workload) leave(r *Replica) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = slices.DeleteFunc(slices.Clone(w.running), func(other *Replica) bool { return other == r })
}

func (w *Workload) stop(ctx context.Context, r *Replica) error {
	w.leave(r)
	killed, err := w.on.stop(ctx, r)
	if killed != nil {
		w.mu.Lock()
		w.kills = append(w.kills, killed)
		w.mu.Unlock()
	}
	return err
}
