// Package storetest is the suite that every backend of pkg/store passes, so that nothing above the port knows which one it has.
package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// Open makes an empty store. reopen closes the one that is open and opens the same content again; both clean up after the test.
type Open func(t *testing.T) (s store.Store, reopen func() store.Store)

// Run holds a backend against the contract of store.Store.
func Run(t *testing.T, open Open) {
	for _, group := range [][]test{commitTests, historyTests, keyTests, lifeTests, exportTests, trimTests} {
		for _, tt := range group {
			t.Run(tt.name, func(t *testing.T) {
				s, reopen := open(t)
				tt.run(&env{T: t, s: s, reopen: reopen})
			})
		}
	}
}

type test struct {
	name string
	run  func(*env)
}

// env is one test with its store.
type env struct {
	*testing.T
	s      store.Store
	reopen func() store.Store
}

// now is the time of commits that name none.
var now = time.Date(2026, 3, 4, 5, 6, 7, 89, time.UTC)

func service(name string) store.ObjectKey { return store.ObjectKey{Kind: "Service", Name: name} }

func fleet(name string) store.ObjectKey { return store.ObjectKey{Kind: "Fleet", Name: name} }

// document makes a document of an object; n makes it differ from others.
func document(k store.ObjectKey, n int32) *crossfadev1.Document {
	if k.Kind == "Fleet" {
		return &crossfadev1.Document{Object: &crossfadev1.Document_Fleet{Fleet: &crossfadev1.Fleet{Name: k.Name, TrustedHops: n}}}
	}
	return &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: &crossfadev1.Service{
		Name: k.Name, Hosts: []string{k.Name + ".test"}, Listener: &crossfadev1.Listener{Port: n},
		Split: &crossfadev1.Split{Weights: map[string]int32{"ecs": 10_000 - n, "eks": n}},
	}}}
}

func put(k store.ObjectKey, n int32, expect int64) store.Write {
	return store.Write{Key: k, After: document(k, n), Expect: expect, Action: "apply"}
}

func remove(k store.ObjectKey, expect int64) store.Write {
	return store.Write{Key: k, Expect: expect, Action: "delete"}
}

func commitOf(ws ...store.Write) store.Commit {
	return store.Commit{Writes: ws, Time: now, Who: "ann", Reason: "because"}
}

// commit does what must succeed and returns the numbers of its revisions.
func (e *env) commit(ws ...store.Write) []int64 {
	e.Helper()
	rs, replayed, err := e.s.Commit(e.Context(), commitOf(ws...))
	if err != nil || replayed {
		e.Fatalf("Commit: replayed %v, error %v", replayed, err)
	}
	return numbers(rs)
}

// refused does what must fail, and checks that nothing changed.
func (e *env) refused(want error, ws ...store.Write) {
	e.Helper()
	if err := e.refusal(ws...); !errors.Is(err, want) {
		e.Fatalf("Commit returned %v, want %v", err, want)
	}
}

// refusal returns the error of what must fail, and checks that nothing changed.
func (e *env) refusal(ws ...store.Write) error {
	e.Helper()
	before := e.load()
	rs, _, err := e.s.Commit(e.Context(), commitOf(ws...))
	if err == nil || rs != nil {
		e.Fatalf("Commit returned %v and %v, want an error alone", rs, err)
	}
	e.same(before, e.load())
	return err
}

func (e *env) load() *store.Snapshot {
	e.Helper()
	snap, err := e.s.Load(e.Context())
	if err != nil {
		e.Fatalf("Load: %v", err)
	}
	return snap
}

func (e *env) history(q store.HistoryQuery) []*crossfadev1.Revision {
	e.Helper()
	rs, err := e.s.History(e.Context(), q)
	if err != nil {
		e.Fatalf("History(%+v): %v", q, err)
	}
	return rs
}

func (e *env) revision(n int64) *crossfadev1.Revision {
	e.Helper()
	r, err := e.s.Revision(e.Context(), n)
	if err != nil {
		e.Fatalf("Revision(%d): %v", n, err)
	}
	return r
}

// live returns the live object of a key, nil if there is none.
func (e *env) live(k store.ObjectKey) *store.Object {
	e.Helper()
	snap := e.load()
	for i := range snap.Objects {
		if snap.Objects[i].Key == k {
			return &snap.Objects[i]
		}
	}
	return nil
}

// same compares snapshots.
func (e *env) same(want, have *store.Snapshot) {
	e.Helper()
	if want.Revision != have.Revision || len(want.Objects) != len(have.Objects) {
		e.Fatalf("snapshot at %d with %d objects, want at %d with %d", have.Revision, len(have.Objects), want.Revision, len(want.Objects))
	}
	for i, w := range want.Objects {
		h := have.Objects[i]
		if w.Key != h.Key || w.Revision != h.Revision {
			e.Fatalf("object %d is %v at %d, want %v at %d", i, h.Key, h.Revision, w.Key, w.Revision)
		}
		e.equal(w.Document, h.Document)
		e.equal(w.Record, h.Record)
	}
}

func (e *env) equal(want, have proto.Message) {
	e.Helper()
	if !proto.Equal(want, have) {
		e.Fatalf("have %v\nwant %v", have, want)
	}
}

func (e *env) equalAll(want, have []*crossfadev1.Revision) {
	e.Helper()
	if len(want) != len(have) {
		e.Fatalf("have revisions %v, want %v", numbers(have), numbers(want))
	}
	for i := range want {
		e.equal(want[i], have[i])
	}
}

func (e *env) numbers(have []int64, want ...int64) {
	e.Helper()
	if len(have) != len(want) {
		e.Fatalf("have revisions %v, want %v", have, want)
	}
	for i := range want {
		if have[i] != want[i] {
			e.Fatalf("have revisions %v, want %v", have, want)
		}
	}
}

func numbers(rs []*crossfadev1.Revision) []int64 {
	var out []int64
	for _, r := range rs {
		out = append(out, r.GetRevision())
	}
	return out
}

// cancelled is a context that is over.
func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
