package storetest

import (
	"errors"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

var commitTests = []test{
	{"empty", func(e *env) {
		snap := e.load()
		if snap.Revision != 0 || len(snap.Objects) != 0 {
			e.Fatalf("a new store has %+v", snap)
		}
		if rs := e.history(store.HistoryQuery{}); len(rs) != 0 {
			e.Fatalf("a new store has history %v", rs)
		}
	}},
	{"create, update, delete, create again", func(e *env) {
		k := service("orders")
		e.numbers(e.commit(put(k, 1, 0)), 1)
		e.numbers(e.commit(put(k, 2, 1)), 2)
		o := e.live(k)
		if o == nil || o.Revision != 2 {
			e.Fatalf("live: %+v", o)
		}
		e.equal(document(k, 2), o.Document)
		e.numbers(e.commit(remove(k, 2)), 3)
		if o := e.live(k); o != nil {
			e.Fatalf("live after delete: %+v", o)
		}
		if r := e.load().Revision; r != 3 {
			e.Fatalf("revision %d after delete, want 3", r)
		}
		e.numbers(e.commit(put(k, 4, 0)), 4)
		e.equal(document(k, 4), e.live(k).Document)
	}},
	{"a revision says who, when, what and why", func(e *env) {
		k := service("orders")
		e.commit(put(k, 1, 0))
		c := store.Commit{
			Writes: []store.Write{{Key: k, After: document(k, 2), Expect: 1, Action: "split set", RolledBack: true, Cause: "r1@3f9a/step-2/set"}},
			Time:   now.Add(time.Hour), Who: "bob", Verified: true, Reason: "ticket 7", Stamp: "5e1f",
		}
		rs, _, err := e.s.Commit(e.Context(), c)
		if err != nil {
			e.Fatal(err)
		}
		want := &crossfadev1.Revision{
			Revision: 2, Time: timestamppb.New(now.Add(time.Hour)), Who: "bob", Verified: true, Action: "split set", Kind: "Service",
			Service: "orders", Reason: "ticket 7", Before: document(k, 1), After: document(k, 2), Stamp: "5e1f", RolledBack: true, Cause: "r1@3f9a/step-2/set",
		}
		e.equal(want, rs[0])
		e.equal(want, e.revision(2))
		e.equal(want, e.live(k).Record)
		if r := e.revision(1); r.GetBefore() != nil {
			e.Fatalf("a create has a document before: %v", r)
		}
		e.commit(remove(k, 2))
		if r := e.revision(3); r.GetAfter() != nil || r.GetBefore() == nil {
			e.Fatalf("revision of a delete: %v", r)
		}
	}},
	{"compare and swap", compareAndSwap},
	{"all writes or none", func(e *env) {
		a, b, c := service("a"), service("b"), fleet("c")
		e.numbers(e.commit(put(a, 1, 0), put(b, 1, 0), put(c, 1, 0)), 1, 2, 3)
		e.refused(store.ErrConflict, put(a, 2, 1), put(b, 2, 2), put(c, 2, 2))
		e.refused(store.ErrConflict, put(a, 2, 9), put(b, 2, 2))
		e.refused(store.ErrConflict, remove(a, 1), put(b, 2, 0))
		e.refused(store.ErrNotFound, put(a, 2, 1), remove(service("gone"), store.AnyRevision))
		e.numbers(e.commit(remove(a, 1), put(b, 2, 2), put(c, 2, 3)), 4, 5, 6)
		if e.live(a) != nil || e.live(b).Revision != 5 || e.live(c).Revision != 6 {
			e.Fatalf("live: %+v", e.load())
		}
	}},
	{"kinds are apart", func(e *env) {
		e.commit(put(service("x"), 1, 0))
		e.commit(put(fleet("x"), 2, 0))
		e.equal(document(service("x"), 1), e.live(service("x")).Document)
		e.equal(document(fleet("x"), 2), e.live(fleet("x")).Document)
	}},
	{"objects are sorted", func(e *env) {
		for _, k := range []store.ObjectKey{service("b"), fleet("z"), service("a-b"), service("a"), fleet("c"), service("a/b")} {
			e.commit(put(k, 1, 0))
		}
		var names []string
		for _, o := range e.load().Objects {
			names = append(names, o.Key.Kind+" "+o.Key.Name)
		}
		if have, want := strings.Join(names, ","), "Fleet c,Fleet z,Service a,Service a-b,Service a/b,Service b"; have != want {
			e.Fatalf("have %s, want %s", have, want)
		}
	}},
	{"malformed commits", malformed},
	{"documents belong to the caller", isolation},
	{"large documents", func(e *env) {
		k := service("large")
		d := document(k, 1)
		for range 20_000 {
			d.GetService().Hosts = append(d.GetService().Hosts, "some-host-name.of-a-large-service.test")
		}
		e.commit(store.Write{Key: k, After: d, Action: "apply"})
		e.equal(d, e.live(k).Document)
		e.equal(d, e.revision(1).GetAfter())
	}},
}

func compareAndSwap(e *env) {
	k := service("orders")
	conflict := func(have int64, w store.Write) {
		e.Helper()
		err := e.refusal(w)
		var c *store.ConflictError
		if !errors.As(err, &c) || !errors.Is(err, store.ErrConflict) || c.Key != w.Key || c.Expect != w.Expect || c.Have != have {
			e.Fatalf("error %#v, want a conflict of %v, expect %d, have %d", err, w.Key, w.Expect, have)
		}
	}
	conflict(0, put(k, 1, 7))
	conflict(0, remove(k, 7))
	e.refused(store.ErrNotFound, remove(k, store.AnyRevision))
	e.commit(put(service("other"), 1, 0))
	e.commit(put(k, 1, 0))
	conflict(2, put(k, 2, 0))
	conflict(2, put(k, 2, 1))
	conflict(2, put(k, 2, 3))
	conflict(2, remove(k, 1))
	e.numbers(e.commit(put(k, 2, store.AnyRevision)), 3)
	e.numbers(e.commit(remove(k, store.AnyRevision)), 4)
	conflict(0, put(k, 2, 4))
	conflict(0, put(k, 2, 3))
	e.numbers(e.commit(put(k, 3, store.AnyRevision)), 5)
}

func malformed(e *env) {
	a, b := service("a"), service("b")
	for _, ws := range [][]store.Write{
		nil,
		{put(a, 1, 0), put(a, 2, 0)},
		{put(a, 1, -2)},
		{remove(a, 0)},
		{{Key: a, After: document(b, 1)}},
		{{Key: a, After: &crossfadev1.Document{}}},
		{put(service(""), 1, 0)},
		{put(service("a\x00b"), 1, 0)},
		{put(service(strings.Repeat("a", store.MaxKeyBytes+1)), 1, 0)},
		{{Key: store.ObjectKey{Kind: "Pod", Name: "a"}, Expect: 1}},
	} {
		e.refused(store.ErrInvalid, ws...)
	}
	c := commitOf(put(a, 1, 0))
	c.Time = time.Time{}
	if _, _, err := e.s.Commit(e.Context(), c); !errors.Is(err, store.ErrInvalid) {
		e.Fatalf("a commit without a time: %v", err)
	}
	c = commitOf(put(a, 1, 0))
	c.IdempotencyKey = strings.Repeat("a", store.MaxKeyBytes+1)
	if _, _, err := e.s.Commit(e.Context(), c); !errors.Is(err, store.ErrInvalid) {
		e.Fatalf("a commit with a long key: %v", err)
	}
	long := service(strings.Repeat("a", store.MaxKeyBytes))
	e.commit(put(long, 1, 0))
	e.equal(document(long, 1), e.live(long).Document)
}

func isolation(e *env) {
	k := service("orders")
	w := put(k, 1, 0)
	rs, _, err := e.s.Commit(e.Context(), commitOf(w))
	if err != nil {
		e.Fatal(err)
	}
	spoil := func(d *crossfadev1.Document) { d.GetService().Hosts[0] = "spoiled" }
	check := func() {
		e.Helper()
		o := e.live(k)
		e.equal(document(k, 1), o.Document)
		e.equal(document(k, 1), o.Record.GetAfter())
		e.equal(document(k, 1), e.revision(1).GetAfter())
		e.equal(document(k, 1), e.history(store.HistoryQuery{})[0].GetAfter())
	}
	spoil(w.After)
	spoil(rs[0].GetAfter())
	check()
	o := e.live(k)
	spoil(o.Document)
	check()
	spoil(o.Record.GetAfter())
	check()
	spoil(e.revision(1).GetAfter())
	spoil(e.history(store.HistoryQuery{})[0].GetAfter())
	check()
	rs, _, err = e.s.Commit(e.Context(), commitOf(put(k, 2, 1)))
	if err != nil {
		e.Fatal(err)
	}
	spoil(rs[0].GetBefore())
	e.equal(document(k, 1), e.revision(2).GetBefore())
}
