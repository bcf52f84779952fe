package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// guards finds what guards see with so long an interval: how soon rollouts that the whole fleet serves go back, and whether one that only a few real
// Envoys serve goes its way.
func (b *bench) guards(ctx context.Context) error {
	s, err := b.fleetAt(ctx, b.proxies, min(b.interval, b.guarded))
	if err != nil {
		return err
	}
	defer s.close()
	r, err := s.real(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	if err := s.roll(ctx, b.rollouts); err != nil {
		return err
	}
	var ws windows
	if err := s.settled(ctx, &ws); err != nil {
		return err
	}
	b.lines("guards", ws, versus{})
	if err := s.failures(ctx); err != nil {
		return err
	}
	if err := r.failures(ctx); err != nil {
		return err
	}
	if err := r.walk(ctx); err != nil {
		return err
	}
	return b.exactly(ctx, s, "guards")
}

// failures lets candidates fail at all proxies, one after the other.
func (s *site) failures(ctx context.Context) error {
	var decided []float64
	for i := range min(s.b.fails, s.b.rollouts) {
		w := s.watch(ctx, serviceName(i))
		t := s.traffic
		t.Failing, t.Errors = []int{i}, s.b.failing
		began := time.Now()
		err := s.serve(ctx, t)
		if err == nil {
			err = w.await(ctx, 3*s.interval+soon, "RollingBack")
		}
		took, why := time.Since(began).Seconds(), w.reason
		w.stop()
		if err != nil {
			return fmt.Errorf("%s, whose candidate fails: %w", serviceName(i), err)
		}
		s.b.decided(serviceName(i), s.proxies, took, why)
		decided = append(decided, took)
		t.Failing, t.Half = nil, t.Half[1:]
		if err := s.serve(ctx, t); err != nil {
			return err
		}
		if err := s.await(ctx, []int{i}, "RolledBack"); err != nil {
			return err
		}
	}
	what := map[string]any{"proxies": s.proxies, "serving": s.proxies, "interval_s": s.interval.Seconds(), "rate": s.traffic.Rate, "errors": s.b.failing}
	s.b.r.Add(s.b.amount("guards", what, "failing_until_decided", "s", decided...))
	return nil
}

// decided prints that a rollout goes back.
func (b *bench) decided(service string, proxies int, seconds float64, why string) {
	fmt.Printf("guards: %s fails for %.0f %% at %d proxies: decided after %.2f s: %s\n", service, 100*b.failing, proxies, seconds, why)
}

// watcher hears what a rollout says of itself.
type watcher struct {
	states chan *crossfadev1.RolloutStatus
	cancel context.CancelFunc
	done   sync.WaitGroup
	err    error  // of the stream, once states is closed
	reason string // of the state that was awaited
}

func (s *site) watch(ctx context.Context, name string) *watcher {
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher{states: make(chan *crossfadev1.RolloutStatus), cancel: cancel}
	w.done.Go(func() {
		defer close(w.states)
		stream, err := s.API.WatchRollout(ctx, &crossfadev1.WatchRolloutRequest{Name: name})
		for err == nil {
			var got *crossfadev1.WatchRolloutResponse
			if got, err = stream.Recv(); err == nil {
				select {
				case w.states <- got.GetStatus():
				case <-ctx.Done():
				}
			}
		}
		w.err = err
	})
	return w
}

// await waits for a state.
func (w *watcher) await(ctx context.Context, limit time.Duration, state string) error {
	late := time.NewTimer(limit)
	defer late.Stop()
	last, waits := "heard of", ""
	for {
		select {
		case got, ok := <-w.states:
			if !ok {
				return fmt.Errorf("it is %s: %w", last, w.err)
			}
			if last, w.reason, waits = got.GetState(), got.GetReason(), got.GetWaitingFor(); last == state {
				return nil
			}
		case <-late.C:
			return fmt.Errorf("it is %s and not %s after %v: %s", last, state, limit, waits)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stop ends the watch.
func (w *watcher) stop() {
	w.cancel()
	w.done.Wait()
}
