package storetest

import (
	"errors"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

var historyTests = []test{
	{"newest first, in pages", func(e *env) {
		k := service("a")
		for n := range int64(25) {
			e.commit(put(k, int32(n), n))
		}
		var all []int64
		before := int64(0)
		for {
			page := numbers(e.history(store.HistoryQuery{Before: before, Limit: 7}))
			if len(page) > 7 {
				e.Fatalf("a page of %d", len(page))
			}
			if len(page) == 0 {
				break
			}
			all = append(all, page...)
			before = page[len(page)-1]
		}
		var want []int64
		for n := int64(25); n > 0; n-- {
			want = append(want, n)
		}
		e.numbers(all, want...)
	}},
	{"limits", func(e *env) {
		k := service("a")
		for n := range int64(store.DefaultHistoryLimit + 5) {
			e.commit(put(k, int32(n), n))
		}
		for _, q := range []store.HistoryQuery{{}, {Key: k}, {Limit: -1}} {
			if n := len(e.history(q)); n != store.DefaultHistoryLimit {
				e.Fatalf("%+v: %d revisions, want %d", q, n, store.DefaultHistoryLimit)
			}
		}
		if n := len(e.history(store.HistoryQuery{Limit: 10_000})); n != store.DefaultHistoryLimit+5 {
			e.Fatalf("%d revisions, want all", n)
		}
		e.numbers(numbers(e.history(store.HistoryQuery{Before: 3})), 2, 1)
		e.numbers(numbers(e.history(store.HistoryQuery{Before: 1 << 60, Limit: 1})), store.DefaultHistoryLimit+5)
		e.numbers(numbers(e.history(store.HistoryQuery{Before: 1})))
	}},
	{"of one object, deleted ones too", func(e *env) {
		a, b, ab, fa := service("a"), service("b"), service("ab"), fleet("a")
		e.commit(put(a, 1, 0), put(b, 1, 0), put(ab, 1, 0), put(fa, 1, 0)) // 1 2 3 4
		e.commit(put(b, 2, 2))                                             // 5
		e.commit(put(a, 2, 1))                                             // 6
		e.commit(remove(a, 6), put(fa, 2, 4))                              // 7 8
		e.numbers(numbers(e.history(store.HistoryQuery{Key: a})), 7, 6, 1)
		e.numbers(numbers(e.history(store.HistoryQuery{Key: b})), 5, 2)
		e.numbers(numbers(e.history(store.HistoryQuery{Key: ab})), 3)
		e.numbers(numbers(e.history(store.HistoryQuery{Key: fa})), 8, 4)
		e.numbers(numbers(e.history(store.HistoryQuery{Key: service("none")})))
		e.numbers(numbers(e.history(store.HistoryQuery{Key: a, Limit: 2})), 7, 6)
		e.numbers(numbers(e.history(store.HistoryQuery{Key: a, Before: 7})), 6, 1)
		e.numbers(numbers(e.history(store.HistoryQuery{Key: a, Before: 6})), 1)
		e.numbers(numbers(e.history(store.HistoryQuery{Key: a, Before: 3, Limit: 5})), 1)
		e.numbers(numbers(e.history(store.HistoryQuery{Key: a, Before: 1})))
		e.commit(put(a, 9, 0)) // 9: the history goes on over the delete
		e.numbers(numbers(e.history(store.HistoryQuery{Key: a})), 9, 7, 6, 1)
	}},
	{"return to any revision", func(e *env) {
		k := service("orders")
		for n := range int64(10) {
			e.commit(put(k, int32(n+1), n))
		}
		last := int64(10)
		for n := int64(1); n <= 10; n++ {
			old := e.revision(n)
			e.equal(document(k, int32(n)), old.GetAfter())
			last = e.commit(store.Write{Key: k, After: old.GetAfter(), Expect: last, Action: "undo"})[0]
			e.equal(old.GetAfter(), e.live(k).Document)
		}
		if last != 20 {
			e.Fatalf("the last revision is %d, want 20", last)
		}
	}},
	{"revisions that do not exist", func(e *env) {
		e.commit(put(service("a"), 1, 0))
		for _, n := range []int64{-1, 0, 2, 1 << 60} {
			if _, err := e.s.Revision(e.Context(), n); !errors.Is(err, store.ErrNotFound) {
				e.Fatalf("Revision(%d): %v, want ErrNotFound", n, err)
			}
			if err := e.s.Annotate(e.Context(), n, nil, &crossfadev1.Proof{State: "proven"}); !errors.Is(err, store.ErrNotFound) {
				e.Fatalf("Annotate(%d): %v, want ErrNotFound", n, err)
			}
		}
	}},
	{"annotate", annotate},
}

func annotate(e *env) {
	k := service("orders")
	e.commit(put(k, 1, 0), put(service("other"), 1, 0))
	e.commit(put(k, 2, 1))
	before := e.load()
	old := e.history(store.HistoryQuery{})
	note := func(n int64, f *crossfadev1.FleetState, p *crossfadev1.Proof) {
		e.Helper()
		if err := e.s.Annotate(e.Context(), n, f, p); err != nil {
			e.Fatalf("Annotate(%d): %v", n, err)
		}
	}
	f := &crossfadev1.FleetState{Connected: 3, Acked: 2, Pending: []string{"p3"}}
	p := &crossfadev1.Proof{State: "proven", SinceMs: 12}
	note(3, f, p)
	note(1, f, nil)
	note(1, nil, p)
	note(1, nil, nil)
	old[0].Fleet, old[0].Proof = f, p // revision 3
	old[2].Fleet, old[2].Proof = f, p // revision 1
	e.equalAll(old, e.history(store.HistoryQuery{}))
	for i := range before.Objects {
		if before.Objects[i].Key == k {
			before.Objects[i].Record.Fleet, before.Objects[i].Record.Proof = f, p
		}
	}
	e.same(before, e.load())
	later := &crossfadev1.Proof{State: "silent"}
	note(3, nil, later)
	e.equal(f, e.revision(3).GetFleet())
	e.equal(later, e.revision(3).GetProof())
	f.Connected = 99 // the message belongs to the caller
	if n := e.revision(3).GetFleet().GetConnected(); n != 3 {
		e.Fatalf("connected %d, want 3", n)
	}
	e.numbers(e.commit(put(k, 3, 3)), 4)
	if r := e.revision(4); r.GetFleet() != nil || r.GetProof() != nil {
		e.Fatalf("a new revision is annotated: %v", r)
	}
}
