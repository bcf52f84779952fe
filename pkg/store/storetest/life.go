package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

var lifeTests = []test{
	{"reopen", func(e *env) {
		a, b, f := service("a"), service("b"), fleet("f")
		c := keyed("k", "d", now, put(a, 1, 0), put(b, 1, 0), put(f, 1, 0))
		first := e.again(c, false)
		e.commit(remove(b, 2))
		e.commit(put(a, 2, 1))
		if err := e.s.Annotate(e.Context(), 5, &crossfadev1.FleetState{Connected: 1}, nil); err != nil {
			e.Fatal(err)
		}
		snap, history := e.load(), e.history(store.HistoryQuery{})
		for range 2 {
			e.s = e.reopen()
			e.same(snap, e.load())
			e.equalAll(history, e.history(store.HistoryQuery{}))
			e.equalAll(first, e.again(c, true))
			e.numbers(numbers(e.history(store.HistoryQuery{Key: b})), 4, 2)
		}
		e.commit(remove(a, 5), remove(f, 3))
		e.s = e.reopen()
		e.numbers(e.commit(put(a, 3, 0)), 8) // numbers are not used again, with nothing live either
	}},
	{"a context that is over", func(e *env) {
		e.commit(put(service("a"), 1, 0))
		before := e.load()
		ctx := cancelled()
		_, _, commitErr := e.s.Commit(ctx, commitOf(put(service("a"), 2, 1)))
		_, loadErr := e.s.Load(ctx)
		_, historyErr := e.s.History(ctx, store.HistoryQuery{})
		_, revisionErr := e.s.Revision(ctx, 1)
		annotateErr := e.s.Annotate(ctx, 1, nil, &crossfadev1.Proof{})
		for _, err := range []error{commitErr, loadErr, historyErr, revisionErr, annotateErr} {
			if !errors.Is(err, context.Canceled) || !errors.Is(err, store.ErrUnavailable) {
				e.Fatalf("error %v, want ErrUnavailable because of context.Canceled", err)
			}
		}
		e.same(before, e.load())
	}},
	{"closed", func(e *env) {
		e.commit(put(service("a"), 1, 0))
		for range 2 {
			if err := e.s.Close(); err != nil {
				e.Fatal(err)
			}
		}
		_, _, commitErr := e.s.Commit(e.Context(), commitOf(put(service("a"), 2, 1)))
		_, loadErr := e.s.Load(e.Context())
		_, historyErr := e.s.History(e.Context(), store.HistoryQuery{})
		_, revisionErr := e.s.Revision(e.Context(), 1)
		annotateErr := e.s.Annotate(e.Context(), 1, nil, &crossfadev1.Proof{})
		for _, err := range []error{commitErr, loadErr, historyErr, revisionErr, annotateErr} {
			if !errors.Is(err, store.ErrUnavailable) {
				e.Fatalf("error %v, want ErrUnavailable", err)
			}
		}
	}},
	{"a counter under 20 writers", counter},
	{"readers beside writers", readersBesideWriters},
	{"the same key from many writers", sameKey},
}

// counter increments a number by compare-and-swap: what is lost or done twice shows in the sum.
func counter(e *env) {
	const writers, each = 20, 10
	k := service("counter")
	e.commit(put(k, 0, 0))
	e.concurrently(writers, func(int) error {
		for n := 0; n < each; {
			snap, err := e.s.Load(e.Context())
			if err != nil {
				return err
			}
			o := snap.Objects[0]
			_, _, err = e.s.Commit(e.Context(), commitOf(put(k, o.Document.GetService().GetListener().GetPort()+1, o.Revision)))
			switch {
			case err == nil:
				n++
			case !errors.Is(err, store.ErrConflict):
				return err
			}
		}
		return nil
	})
	if n := e.live(k).Document.GetService().GetListener().GetPort(); n != writers*each {
		e.Fatalf("the counter is at %d, want %d", n, writers*each)
	}
	for i, r := range e.history(store.HistoryQuery{Limit: 1000}) {
		want := int32(writers*each - i)
		if r.GetRevision() != int64(want+1) || r.GetAfter().GetService().GetListener().GetPort() != want {
			e.Fatalf("revision %d has %v, want %d", r.GetRevision(), r.GetAfter(), want)
		}
	}
}

// readersBesideWriters changes two objects together: no reader may see one without the other, nor an older state than before, and a
// commit that returned is seen.
func readersBesideWriters(e *env) {
	a, b := service("a"), service("b")
	e.commit(put(a, 0, 0), put(b, 0, 0))
	const rounds = 60
	e.concurrently(5, func(i int) error {
		if i == 0 {
			return pairs(e, a, b, rounds)
		}
		last := int64(0)
		for last < 2*rounds {
			snap, err := e.s.Load(e.Context())
			if err != nil {
				return err
			}
			na := snap.Objects[0].Document.GetService().GetListener().GetPort()
			nb := snap.Objects[1].Document.GetService().GetListener().GetPort()
			if na != nb || snap.Revision < last || snap.Revision != snap.Objects[1].Revision || snap.Revision != int64(2*na+2) {
				return fmt.Errorf("at %d after %d: %d and %d", snap.Revision, last, na, nb)
			}
			last = snap.Revision
		}
		return nil
	})
}

func pairs(e *env, a, b store.ObjectKey, rounds int32) error {
	for n := int32(1); n <= rounds; n++ {
		rs, _, err := e.s.Commit(e.Context(), commitOf(put(a, n, store.AnyRevision), put(b, n, store.AnyRevision)))
		if err != nil {
			return err
		}
		snap, err := e.s.Load(e.Context())
		if err != nil {
			return err
		}
		if snap.Revision != rs[1].GetRevision() {
			return fmt.Errorf("snapshot at %d after a commit of %d", snap.Revision, rs[1].GetRevision())
		}
		r, err := e.s.Revision(e.Context(), rs[1].GetRevision())
		if err != nil {
			return err
		}
		if r.GetRevision() != snap.Revision {
			return fmt.Errorf("got revision %d, want %d", r.GetRevision(), snap.Revision)
		}
	}
	return nil
}

// sameKey sends one request many times at once: it is done once.
func sameKey(e *env) {
	c := keyed("k", "d", now, put(service("a"), 1, 0))
	var mu sync.Mutex
	fresh := 0
	e.concurrently(20, func(int) error {
		rs, replayed, err := e.s.Commit(e.Context(), c)
		if err != nil {
			return err
		}
		if len(rs) != 1 || rs[0].GetRevision() != 1 {
			return fmt.Errorf("revisions %v", numbers(rs))
		}
		mu.Lock()
		defer mu.Unlock()
		if !replayed {
			fresh++
		}
		return nil
	})
	if fresh != 1 || e.load().Revision != 1 {
		e.Fatalf("done %d times, revision %d", fresh, e.load().Revision)
	}
}

// concurrently runs n functions at once.
func (e *env) concurrently(n int, fn func(i int) error) {
	e.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = fn(i) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		e.Fatal(err)
	}
}
