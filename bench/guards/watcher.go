package main

import (
	"context"
	"sync"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/monotime"
)

// watcher hears what a rollout says of itself.
type watcher struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	events []event
}

// event is one message: when it arrived, by package monotime, and what it says.
type event struct {
	at       time.Duration
	state    string
	reason   string
	evidence float64 // of the guard that has most
}

// watch follows a rollout until it is over or the watcher is stopped.
func (s *site) watch(ctx context.Context, name string) *watcher {
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher{cancel: cancel}
	w.done.Go(func() {
		stream, err := s.API.WatchRollout(ctx, &crossfadev1.WatchRolloutRequest{Name: name})
		for err == nil {
			var got *crossfadev1.WatchRolloutResponse
			if got, err = stream.Recv(); err == nil {
				w.heard(got.GetStatus())
			}
		}
	})
	return w
}

func (w *watcher) heard(s *crossfadev1.RolloutStatus) {
	e := event{at: monotime.Now(), state: s.GetState(), reason: s.GetReason()}
	for _, g := range s.GetGuards() {
		e.evidence = max(e.evidence, g.GetEvidence())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// stop ends the watch.
func (w *watcher) stop() {
	w.cancel()
	w.done.Wait()
}

// complete adds to a reaction when things happened, and the reason of the decision: that of the end says less.
func (w *watcher) complete(r *reaction, t *tally) {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := time.Duration(t.first.Load())
	if first == 0 {
		return
	}
	usual := 0.0
	for _, e := range w.events {
		after := (e.at - first).Seconds()
		if after < 0 {
			usual = e.evidence
			continue
		}
		const noticeable = 0.01 // of what a Fail needs
		if r.seen == 0 && (e.evidence > usual+noticeable || e.state == "RollingBack") {
			r.seen = after
		}
		if r.decided == 0 && e.state == "RollingBack" {
			r.decided, r.why = after, e.reason
		}
		if r.proven == 0 && e.state == "RolledBack" {
			r.proven = after
		}
	}
}
