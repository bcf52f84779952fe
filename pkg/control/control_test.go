package control_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/store"
	"github.com/crossfade-proxy/crossfade/pkg/store/bolt"
	"github.com/crossfade-proxy/crossfade/pkg/store/journal"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
)

// gate is a real store whose commits can be held back, as a disk that hangs does.
type gate struct {
	store.Store
	mu      sync.Mutex
	closed  chan struct{} // nil: open
	arrived chan struct{}
	asked   chan string // gets the keys that Replay is asked for; nil: nobody listens
	fail    error
}

func (g *gate) Commit(ctx context.Context, c store.Commit) ([]*crossfadev1.Revision, bool, error) {
	g.mu.Lock()
	closed, fail := g.closed, g.fail
	g.mu.Unlock()
	if fail != nil {
		return nil, false, fail
	}
	if closed != nil {
		select {
		case g.arrived <- struct{}{}:
		default:
		}
		select {
		case <-closed:
		case <-ctx.Done():
			return nil, false, fmt.Errorf("%w: the disk hangs", store.ErrUnavailable)
		}
	}
	return g.Store.Commit(ctx, c)
}

// Replay tells which keys are asked for, if anybody wants to know.
func (g *gate) Replay(ctx context.Context, key string, digest []byte, now time.Time) ([]*crossfadev1.Revision, bool, error) {
	if g.asked != nil {
		g.asked <- key
	}
	return g.Store.Replay(ctx, key, digest, now)
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.closed)
	g.closed = nil
}

func (g *gate) failWith(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fail = err
}

// world is a controller over a real store in a directory that outlives it.
type world struct {
	*control.Controller
	t       *testing.T
	store   *gate
	fleets  *xds.Server
	dir     string
	journal *journal.Journal
	stop    func()
	doc     func(eks int32) *crossfadev1.Document // what random changes apply
}

func newWorld(t *testing.T, dir string) *world {
	t.Helper()
	return newWorldThat(t, dir, control.Discovery{})
}

// newWorldThat is a world that finds endpoints.
func newWorldThat(t *testing.T, dir string, finds control.Discovery) *world {
	t.Helper()
	return newWorldWith(t, dir, control.Config{Discovery: finds})
}

// newWorldWith is a world whose controller has more parts.
func newWorldWith(t *testing.T, dir string, c control.Config) *world {
	t.Helper()
	s, err := bolt.Open(filepath.Join(dir, "store.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(filepath.Join(dir, "rollback.journal"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: dir, journal: j, store: &gate{Store: s, arrived: make(chan struct{}, 1)}}
	w.fleets = xds.NewServer(xds.Options{KnownStamp: func(fleet, stamp string) bool { return w.KnownStamp(fleet, stamp) }})
	c.Store, c.Journal, c.Fleets = w.store, j, w.fleets
	w.Controller = control.New(c)
	w.stop = sync.OnceFunc(func() {
		w.Close()
		_ = j.Close()
		_ = s.Close()
	})
	t.Cleanup(w.stop)
	if err := w.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

func orders(eks int32) *crossfadev1.Document {
	static := func(address string) *crossfadev1.Origin_Static {
		return &crossfadev1.Origin_Static{Static: &crossfadev1.StaticEndpoints{Endpoints: []string{address}}}
	}
	return &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: &crossfadev1.Service{
		ApiVersion: "crossfade/v1", Kind: "Service", Name: "orders", Hosts: []string{"orders.test"}, Primary: "ecs",
		Origins: []*crossfadev1.Origin{{Name: "ecs", Discovery: static("127.0.0.2:8080")}, {Name: "eks", Discovery: static("127.0.0.3:8080")}},
		Split:   &crossfadev1.Split{Weights: map[string]int32{"ecs": 10000 - eks, "eks": eks}},
	}}}
}

func (w *world) apply(eks int32) {
	w.t.Helper()
	if _, err := w.Apply(w.t.Context(), []*crossfadev1.Document{orders(eks)}, control.Options{Who: "ann"}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) eks() int32 { return w.List("")[0].GetSplit()["eks"] }

func (w *world) history() []*crossfadev1.Revision {
	w.t.Helper()
	h, err := w.History(w.t.Context(), "orders", 0, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

var orderTarget = control.RollbackTarget{Service: "orders"}

func TestRollbackOverridesAChangeThatIsBeingWritten(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.apply(1000)
	w.store.close()
	done := make(chan error, 1)
	go func() {
		_, err := w.SetSplit(context.Background(), "orders", map[string]int32{"eks": 9000}, control.Options{Who: "ann"})
		done <- err
	}()
	<-w.store.arrived
	changes, err := w.Rollback(t.Context(), orderTarget, control.Options{Who: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	if changes[0].GetRecorded() || w.eks() != 0 {
		t.Fatalf("recorded %v, eks %d while the disk hangs", changes[0].GetRecorded(), w.eks())
	}
	w.store.open()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if w.eks() != 0 {
		t.Fatalf("the change that was being written moved traffic again: eks %d", w.eks())
	}
	w.Close() // waits for the record
	h := w.history()
	if h[0].GetAction() != control.ActionRollback || h[0].GetWho() != "bob" || h[1].GetAction() != control.ActionSplit {
		t.Fatalf("history: %v, %v", h[0], h[1])
	}
}

func TestRollbackOnAFullDiskIsLiveAndSaysThatItIsNotRecorded(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir)
	w.apply(5000)
	w.store.failWith(fmt.Errorf("%w: no space left on device", store.ErrUnavailable))
	if _, err := w.SetSplit(t.Context(), "orders", map[string]int32{"eks": 6000}, control.Options{}); !is(err, policy.Unavailable) {
		t.Fatalf("a change on a full disk: %v", err)
	}
	changes, err := w.Rollback(t.Context(), orderTarget, control.Options{Who: "bob", Reason: "errors"})
	if err != nil || changes[0].GetRecorded() || len(changes[0].GetWarnings()) == 0 || w.eks() != 0 {
		t.Fatalf("rollback: %v %v, eks %d", changes, err, w.eks())
	}
	w.stop() // the process ends before the disk has room

	again := newWorld(t, dir)
	if again.eks() != 0 {
		t.Fatalf("after a restart the rollback is gone: eks %d", again.eks())
	}
	again.Close()
	if h := again.history(); h[0].GetAction() != control.ActionRollback || h[0].GetWho() != "bob" || h[0].GetReason() != "errors" {
		t.Fatalf("not recorded from the journal: %v", h[0])
	}
}

func TestAnApplyDoesNotUndoARollback(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir)
	w.apply(5000)
	if _, err := w.Rollback(t.Context(), orderTarget, control.Options{}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // also after a restart
		_, err := w.Apply(t.Context(), []*crossfadev1.Document{orders(5000)}, control.Options{})
		if !is(err, policy.Held) {
			t.Fatalf("apply after a rollback: %v", err)
		}
		w.stop()
		w = newWorld(t, dir)
	}
	if _, err := w.SetSplit(t.Context(), "orders", map[string]int32{"eks": 100}, control.Options{}); err != nil {
		t.Fatal(err)
	}
	w.apply(5000)
}

func TestIdempotencyKeyRepeatsTheAnswer(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.apply(0)
	o := control.Options{Key: "k", Digest: []byte("d")}
	first, err := w.SetSplit(t.Context(), "orders", map[string]int32{"eks": 100}, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.SetSplit(t.Context(), "orders", map[string]int32{"eks": 200}, control.Options{}); err != nil {
		t.Fatal(err)
	}
	second, err := w.SetSplit(t.Context(), "orders", map[string]int32{"eks": 100}, o)
	if err != nil || second.GetRevision() != first.GetRevision() || w.eks() != 200 {
		t.Fatalf("repeated: %v %v, eks %d", second, err, w.eks())
	}
	o.Digest = []byte("other")
	if _, err := w.SetSplit(t.Context(), "orders", map[string]int32{"eks": 300}, o); !is(err, policy.Invalid) {
		t.Fatalf("another request with the key: %v", err)
	}
}

func TestUndoAndExpectedRevision(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.apply(0)
	for _, eks := range []int32{1000, 2000} {
		if _, err := w.SetSplit(t.Context(), "orders", map[string]int32{"eks": eks}, control.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.SetSplit(t.Context(), "orders", map[string]int32{"eks": 1}, control.Options{Expect: 1}); !is(err, policy.Conflict) {
		t.Fatalf("a stale revision: %v", err)
	}
	if _, err := w.Undo(t.Context(), "orders", 0, control.Options{}); err != nil || w.eks() != 1000 {
		t.Fatalf("undo: %v, eks %d", err, w.eks())
	}
	if _, err := w.Undo(t.Context(), "orders", 1, control.Options{}); err != nil || w.eks() != 0 {
		t.Fatalf("undo to 1: %v, eks %d", err, w.eks())
	}
	if _, err := w.Undo(t.Context(), "orders", 99, control.Options{}); !is(err, policy.NotFound) {
		t.Fatalf("undo to what is not there: %v", err)
	}
}

func is(err error, kind policy.Kind) bool {
	var e *policy.Error
	return errors.As(err, &e) && e.Kind == kind
}
