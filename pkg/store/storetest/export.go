package storetest

import (
	"errors"
	"fmt"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// export returns all that a store exports, and checks its order.
func (e *env) export() []store.Item {
	e.Helper()
	var seq store.Sequence
	var all []store.Item
	err := e.s.Export(e.Context(), func(i store.Item) error {
		all = append(all, i)
		return seq.Add(i)
	})
	if err := errors.Join(err, seq.End()); err != nil {
		e.Fatalf("Export: %v", err)
	}
	return all
}

func (e *env) trim(r store.Retention, at time.Time, want int) {
	e.Helper()
	if n, err := e.s.Trim(e.Context(), r, at); n != want || err != nil {
		e.Fatalf("Trim removed %d (%v), want %d", n, err, want)
	}
}

// day is long enough that no idempotency key of the day before is asked for.
const day = 26 * time.Hour

func (e *env) commitAt(at time.Time, ws ...store.Write) {
	e.Helper()
	c := commitOf(ws...)
	c.Time = at
	if _, _, err := e.s.Commit(e.Context(), c); err != nil {
		e.Fatal(err)
	}
}

var exportTests = []test{
	{"an export is all that there is", func(e *env) {
		a, b := service("a"), fleet("b")
		e.again(keyed("k", "d", now, put(a, 1, 0), put(b, 1, 0)), false)
		e.commit(put(a, 2, 1))
		e.commit(remove(b, 2))
		all := e.export()
		if len(all) != 1+4+1+1 || all[0].Head.Revision != 4 || all[0].Head.Revisions != 4 {
			e.Fatalf("%d items, the head %+v", len(all), all[0].Head)
		}
		history := e.history(store.HistoryQuery{})
		for i := range 4 {
			e.equal(history[3-i], all[1+i].Revision)
		}
		if l := all[5].Live; *l != (store.Live{Key: a, Revision: 3}) {
			e.Fatalf("live %+v", l)
		}
		if u := all[6].Used; u.Key != "k" || !u.Time.Equal(now) || u.First != 1 || u.Count != 2 || string(u.Digest) != "d" {
			e.Fatalf("used %+v", u)
		}
	}},
	{"an export of nothing", func(e *env) {
		if all := e.export(); len(all) != 1 || *all[0].Head != (store.Head{}) {
			e.Fatalf("%v", all)
		}
	}},
	{"an export is of one revision, whatever comes meanwhile", func(e *env) {
		for n := range int64(600) {
			e.again(keyed(fmt.Sprintf("k%d", n), "d", now, put(service("a"), int32(n), n)), false)
		}
		var seq store.Sequence
		n := int64(600)
		err := e.s.Export(e.Context(), func(i store.Item) error {
			if n < 700 {
				e.again(keyed(fmt.Sprintf("k%d", n), "d", now, put(service("a"), int32(n), n)), false)
				n++
			}
			return seq.Add(i)
		})
		if err := errors.Join(err, seq.End()); err != nil || seq.Last() != 600 {
			e.Fatalf("of revision %d, error %v; want 600", seq.Last(), err)
		}
	}},
	{"an error of who is visited ends the export", func(e *env) {
		e.commit(put(service("a"), 1, 0))
		stop := errors.New("stop")
		if err := e.s.Export(e.Context(), func(i store.Item) error {
			if i.Revision != nil {
				return stop
			}
			return nil
		}); !errors.Is(err, stop) {
			e.Fatal(err)
		}
	}},
}

var trimTests = []test{
	{"trimmed by age", func(e *env) {
		k := service("a")
		for n := range int64(10) {
			e.commitAt(now.Add(time.Duration(n)*day), put(k, int32(n), n))
		}
		e.trim(store.Retention{Keep: 3 * day}, now.Add(9*day), 6)
		e.numbers(numbers(e.history(store.HistoryQuery{})), 10, 9, 8, 7)
		e.numbers(numbers(e.history(store.HistoryQuery{Key: k})), 10, 9, 8, 7)
		e.numbers(numbers(e.history(store.HistoryQuery{Before: 5})))
		e.trim(store.Retention{Keep: 3 * day}, now.Add(9*day), 0)
		for _, n := range []int64{1, 6} {
			if _, err := e.s.Revision(e.Context(), n); !errors.Is(err, store.ErrNotFound) {
				e.Fatalf("Revision(%d): %v, want ErrNotFound", n, err)
			}
			if err := e.s.Annotate(e.Context(), n, nil, &crossfadev1.Proof{State: "proven"}); !errors.Is(err, store.ErrNotFound) {
				e.Fatalf("Annotate(%d): %v, want ErrNotFound", n, err)
			}
		}
		e.commitAt(now.Add(9*day), put(k, 11, 10))
		e.numbers(numbers(e.history(store.HistoryQuery{Key: k})), 11, 10, 9, 8, 7)
	}},
	{"trimmed by number", func(e *env) {
		for n := range int64(10) {
			e.commitAt(now.Add(time.Duration(n)*day), put(service("a"), int32(n), n))
		}
		e.trim(store.Retention{Keep: 100 * day, Most: 4}, now.Add(11*day), 6)
		e.trim(store.Retention{Keep: day, Least: 3}, now.Add(20*day), 1)
		e.numbers(numbers(e.history(store.HistoryQuery{})), 10, 9, 8)
		e.trim(store.Retention{}, now.Add(20*day), 2)
		e.numbers(numbers(e.history(store.HistoryQuery{})), 10)
	}},
	{"what is live stays, with the last change of each kind", func(e *env) {
		a, b := service("a"), service("b")
		e.commit(put(a, 1, 0), put(b, 1, 0)) // 1 2
		split := put(a, 2, 1)
		split.Action = "split set"
		e.commit(split)        // 3
		e.commit(put(a, 3, 3)) // 4
		e.commit(remove(b, 2)) // 5
		before := e.load()
		e.trim(store.Retention{}, now.Add(9*day), 3)
		e.numbers(numbers(e.history(store.HistoryQuery{})), 4, 3)
		e.same(before, e.load())
		e.same(before, e.reopened())
		e.numbers(numbers(e.history(store.HistoryQuery{Key: b})))
		e.numbers(e.commit(put(b, 2, 0)), 6)
		e.numbers(numbers(e.history(store.HistoryQuery{Key: b})), 6)
		e.export()
	}},
	{"what an idempotency key asks for stays", func(e *env) {
		c := keyed("k", "d", now, put(service("a"), 1, 0))
		first := e.again(c, false)
		e.commit(put(service("a"), 2, 1))
		e.trim(store.Retention{Most: 1}, now.Add(24*time.Hour), 0)
		c.Time = now.Add(24 * time.Hour)
		e.equalAll(first, e.again(c, true))
		e.trim(store.Retention{Most: 1}, now.Add(26*time.Hour), 1)
		c.Writes[0].Expect = 2 // a clock that goes back: the key is free, as there is nothing to return
		e.numbers(numbers(e.again(c, false)), 3)
	}},
	{"no trim while an export is on its way", func(e *env) {
		e.commit(put(service("a"), 1, 0))
		e.commit(put(service("a"), 2, 1))
		err := e.s.Export(e.Context(), func(store.Item) error {
			e.trim(store.Retention{}, now.Add(9*day), 0)
			return nil
		})
		if err != nil {
			e.Fatal(err)
		}
		e.trim(store.Retention{}, now.Add(9*day), 1)
	}},
}

// reopened closes the store, opens it and loads what is live.
func (e *env) reopened() *store.Snapshot {
	e.Helper()
	e.s = e.reopen()
	return e.load()
}
