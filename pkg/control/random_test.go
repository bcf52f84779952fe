package control_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// Random changes at once, at a store that hangs, fails and recovers, and restarts: a rollback always wins, the history has no gaps, and
// what is live is what the history says.
func TestRandomChanges(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			dir := t.TempDir()
			w := newWorld(t, dir)
			doc := orders
			if seed%2 == 1 { // a service of two fleets
				doc = func(eks int32) *crossfadev1.Document { return spread(eks) }
			}
			w.doc = doc
			w.applyAll(doc(1000))
			for range 12 {
				w.burst(r)
				switch r.IntN(4) {
				case 0:
					w.rollBackWins()
				case 1:
					w.stop()
					before, inFleets := w.weights(), w.in()
					w = newWorld(t, dir)
					w.doc = doc
					if after := w.weights(); after != before {
						t.Fatalf("eks %d before a restart, %d after it", before, after)
					}
					w.want("after a restart", inFleets)
				}
				w.historyHolds()
			}
		})
	}
}

// burst does some changes at once. Refusals are part of life here.
func (w *world) burst(r *rand.Rand) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	switch r.IntN(4) {
	case 0:
		w.store.close()
		opened := make(chan struct{})
		time.AfterFunc(time.Duration(r.IntN(20))*time.Millisecond, func() {
			w.store.open()
			close(opened)
		})
		defer func() {
			<-opened
			w.settled()
		}()
	case 1:
		w.store.failWith(fmt.Errorf("%w: no space left on device", store.ErrUnavailable))
		defer func() {
			w.store.failWith(nil)
			w.settled()
		}()
	}
	var all sync.WaitGroup
	for range 1 + r.IntN(4) {
		n, eks := r.IntN(12), int32(r.IntN(101)*100)
		o := control.Options{Who: "ann", Wait: crossfadev1.Wait_WAIT_ACKED}
		if r.IntN(4) == 0 {
			o.Key, o.Digest = fmt.Sprint("k", r.IntN(3)), []byte{byte(n)}
		}
		all.Go(func() { w.change(ctx, n, eks, o) })
	}
	all.Wait()
	if ctx.Err() != nil {
		w.t.Fatal("a change did not end")
	}
}

func (w *world) change(ctx context.Context, n int, eks int32, o control.Options) {
	switch n {
	case 0, 1:
		_, _ = w.Apply(ctx, []*crossfadev1.Document{w.doc(eks)}, o)
	case 2, 3, 4:
		_, _ = w.SetSplit(ctx, "orders", split(eks), o)
	case 5:
		pin := &crossfadev1.Pin{Name: "beta", Origin: "eks", Match: &crossfadev1.Pin_Header{Header: &crossfadev1.ValueMatch{Name: "x-beta", Condition: &crossfadev1.ValueMatch_Exact{Exact: "1"}}}}
		_, _ = w.PutPin(ctx, "orders", pin, o)
	case 6:
		_, _ = w.Undo(ctx, "orders", 0, o)
	case 7:
		_, _ = w.Delete(ctx, "service", "orders", o)
	case 8:
		ctx, cancel := context.WithCancel(ctx)
		go cancel()
		_, _ = w.SetSplit(ctx, "orders", split(eks), o)
	case 9:
		_, _ = w.Rollback(ctx, inEU, o) // an error, where it has one fleet
	default:
		_, _ = w.Rollback(ctx, orderTarget, o)
	}
}

// settled waits until the store takes changes again and nothing is left to be recorded: a change that changes nothing says so.
func (w *world) settled() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	for {
		_, err := w.Apply(ctx, []*crossfadev1.Document{{Object: &crossfadev1.Document_Fleet{Fleet: &crossfadev1.Fleet{ApiVersion: "crossfade/v1", Kind: "Fleet", Name: "other"}}}}, control.Options{})
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			w.t.Fatalf("the store never takes changes again: %v", err)
		}
	}
}

// rollBackWins rolls back beside other changes at a store that hangs, and looks before and after the store is back.
func (w *world) rollBackWins() {
	if w.weights() < 0 || w.weights() == 7750 { // nothing would be written
		return
	}
	select {
	case <-w.store.arrived: // of an earlier burst
	default:
	}
	w.store.close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.change(context.Background(), 2, 7750, control.Options{})
	}()
	<-w.store.arrived
	if _, err := w.Rollback(w.t.Context(), orderTarget, control.Options{Wait: crossfadev1.Wait_WAIT_ACKED}); err != nil {
		w.t.Fatal(err)
	}
	if w.weights() != 0 {
		w.t.Fatalf("eks %d after a rollback", w.weights())
	}
	if _, err := w.Rollback(w.t.Context(), inEU, control.Options{Wait: crossfadev1.Wait_WAIT_ACKED}); err != nil && !is(err, policy.Invalid) {
		w.t.Fatal(err)
	}
	w.store.open()
	<-done
	w.settled()
	if w.weights() != 0 {
		w.t.Fatalf("a change that began before a rollback undid it: eks %d", w.weights())
	}
}

// weights gives the weight of eks, -1 without the service.
func (w *world) weights() int32 {
	if len(w.List("")) == 0 {
		return -1
	}
	return w.eks()
}

// historyHolds compares what is live with the history, whose revisions follow each other.
func (w *world) historyHolds() {
	w.t.Helper()
	w.settled()
	h, err := w.History(w.t.Context(), "", 0, 10000)
	if err != nil {
		w.t.Fatal(err)
	}
	last := int32(-1)
	decided := false
	for i, r := range h {
		if r.GetRevision() != int64(len(h)-i) {
			w.t.Fatalf("revision %d at place %d of %d", r.GetRevision(), i, len(h))
		}
		if r.GetService() == "orders" && !decided {
			decided = true
			if s := r.GetAfter().GetService(); s != nil {
				last = policy.Weights(s)["eks"]
			}
		}
	}
	if w.weights() != last || w.Revision() != int64(len(h)) {
		w.t.Fatalf("live eks %d at revision %d, the history says %d at %d", w.weights(), w.Revision(), last, len(h))
	}
}
