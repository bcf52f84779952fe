package control_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// lateStore is a real store on a disk that can be slow: what was answered as in doubt reaches it when the disk wakes up.
type lateStore struct {
	store.Store
	mu      sync.Mutex
	asleep  chan struct{} // nil: awake
	arrived chan struct{}
	landed  chan struct{}
}

func newLate(w *world) *lateStore {
	l := &lateStore{Store: w.store.Store, arrived: make(chan struct{}, 16), landed: make(chan struct{}, 16)}
	w.store.Store = l
	return l
}

func (l *lateStore) sleep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asleep = make(chan struct{})
}

func (l *lateStore) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.asleep)
	l.asleep = nil
}

func (l *lateStore) Commit(ctx context.Context, c store.Commit) ([]*crossfadev1.Revision, bool, error) {
	l.mu.Lock()
	asleep := l.asleep
	l.mu.Unlock()
	if asleep == nil {
		return l.Store.Commit(ctx, c)
	}
	type outcome struct {
		records  []*crossfadev1.Revision
		replayed bool
		err      error
	}
	out := make(chan outcome, 1)
	l.arrived <- struct{}{}
	go func() {
		<-asleep
		var o outcome
		o.records, o.replayed, o.err = l.Store.Commit(context.Background(), c)
		out <- o
		l.landed <- struct{}{}
	}()
	select {
	case o := <-out:
		return o.records, o.replayed, o.err
	case <-ctx.Done():
		return nil, false, fmt.Errorf("%w: in doubt", store.ErrUnavailable)
	}
}

func split(eks int32) map[string]int32 { return map[string]int32{"eks": eks} }

// A caller that goes away while its change is written must not leave the store with something that is not live.
func TestACallerThatGoesAwayLeavesStoreAndLiveAlike(t *testing.T) {
	w := newWorld(t, t.TempDir())
	late := newLate(w)
	w.apply(1000)
	late.sleep()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := w.SetSplit(ctx, "orders", split(9000), control.Options{})
		done <- err
	}()
	<-late.arrived
	cancel()
	late.wake()
	<-done
	<-late.landed
	if _, err := w.SetSplit(t.Context(), "orders", split(2000), control.Options{}); err != nil {
		t.Fatalf("the next change: %v", err)
	}
	w.sameAsStore()
}

// A disk that hangs for longer than a change waits and then writes it after all.
func TestAWriteInDoubtThatLandsIsTakenBack(t *testing.T) {
	w := newWorld(t, t.TempDir())
	late := newLate(w)
	w.apply(1000)
	late.sleep()
	_, err := w.SetSplit(t.Context(), "orders", split(9000), control.Options{}) // gives up after the time of a write
	if !is(err, policy.Unavailable) {
		t.Fatalf("on a disk that hangs: %v", err)
	}
	late.wake()
	<-late.landed
	if _, err := w.SetSplit(t.Context(), "orders", split(2000), control.Options{}); err != nil {
		t.Fatalf("the next change: %v", err)
	}
	if w.eks() != 2000 {
		t.Fatalf("eks %d", w.eks())
	}
	w.sameAsStore()
}

// Without a next change too: what was refused must not come alive with a restart.
func TestAWriteInDoubtThatLandsIsTakenBackUnasked(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir)
	late := newLate(w)
	w.apply(1000)
	late.sleep()
	if _, err := w.SetSplit(t.Context(), "orders", split(9000), control.Options{}); !is(err, policy.Unavailable) {
		t.Fatalf("on a disk that hangs: %v", err)
	}
	late.wake()
	<-late.landed
	w.stop() // waits for what is being settled
	if again := newWorld(t, dir); again.eks() != 1000 {
		t.Fatalf("after a restart the refused change is live: eks %d", again.eks())
	}
}

func (w *world) sameAsStore() {
	w.t.Helper()
	snapshot, err := w.store.Load(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, o := range snapshot.Objects {
		if s := o.Document.GetService(); s != nil && policy.Weights(s)["eks"] != w.eks() {
			w.t.Fatalf("live eks %d, the store has %d", w.eks(), policy.Weights(s)["eks"])
		}
	}
}

// A key that belongs to another request stops no rollback, nor what comes after it.
func TestRollbackWithAUsedKeyIsRecorded(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.apply(1000)
	if _, err := w.SetSplit(t.Context(), "orders", split(5000), control.Options{Key: "k", Digest: []byte("split")}); err != nil {
		t.Fatal(err)
	}
	changes, err := w.Rollback(t.Context(), orderTarget, control.Options{Key: "k", Digest: []byte("rollback")})
	if err != nil || !changes[0].GetRecorded() || w.eks() != 0 {
		t.Fatalf("%v %v, eks %d", changes, err, w.eks())
	}
	if _, err := w.SetSplit(t.Context(), "orders", split(1), control.Options{}); err != nil {
		t.Fatalf("the next change: %v", err)
	}
	w.sameAsStore()
}

// The same rollback again, after somebody moved traffic: it is live, so it must be in the store too.
func TestRollbackRepeatedWithItsKeyIsRecordedAgain(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir)
	w.apply(1000)
	o := control.Options{Key: "k", Digest: []byte("rollback")}
	for range 2 {
		if _, err := w.SetSplit(t.Context(), "orders", split(5000), control.Options{}); err != nil {
			t.Fatal(err)
		}
		changes, err := w.Rollback(t.Context(), orderTarget, o)
		if err != nil || !changes[0].GetRecorded() || w.eks() != 0 {
			t.Fatalf("%v %v, eks %d", changes, err, w.eks())
		}
	}
	w.sameAsStore()
	w.stop()
	if again := newWorld(t, dir); again.eks() != 0 {
		t.Fatalf("after a restart the rollback is gone: eks %d", again.eks())
	}
}

// Two requests with one key at once: the second finds that the first wrote, and repeats its answer.
func TestOneKeyTwiceAtOnce(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.apply(0)
	w.store.close()
	o := control.Options{Key: "k", Digest: []byte("d")}
	type answer struct {
		c   *crossfadev1.Change
		err error
	}
	answers := make(chan answer, 2)
	ask := func() {
		c, err := w.SetSplit(context.Background(), "orders", split(100), o)
		answers <- answer{c, err}
	}
	go ask()
	<-w.store.arrived
	go ask()    // its key is not in the store yet
	go func() { // in between, maybe, another change
		_, _ = w.SetSplit(context.Background(), "orders", split(200), control.Options{})
	}()
	w.store.open()
	a, b := <-answers, <-answers
	if a.err != nil || b.err != nil || a.c.GetRevision() != b.c.GetRevision() {
		t.Fatalf("%v %v\n%v %v", a.c, a.err, b.c, b.err)
	}
	w.sameAsStore()
}

// An undo after a rollback that the store did not take undoes the rollback.
func TestUndoOfARollbackThatWasNotRecorded(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.apply(1000)
	if _, err := w.SetSplit(t.Context(), "orders", split(5000), control.Options{}); err != nil {
		t.Fatal(err)
	}
	w.store.failWith(store.ErrUnavailable)
	if _, err := w.Rollback(t.Context(), orderTarget, control.Options{}); err != nil || w.eks() != 0 {
		t.Fatal(err)
	}
	w.store.failWith(nil)
	if _, err := w.Undo(t.Context(), "orders", 0, control.Options{}); err != nil || w.eks() != 5000 {
		t.Fatalf("undo: %v, eks %d", err, w.eks())
	}
}

// The answer of a change that a rollback overtook says what holds.
func TestAnOvertakenChangeSaysWhatHolds(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.apply(1000)
	w.store.close()
	type answer struct {
		c   *crossfadev1.Change
		err error
	}
	done := make(chan answer, 1)
	go func() {
		c, err := w.SetSplit(context.Background(), "orders", split(9000), control.Options{})
		done <- answer{c, err}
	}()
	<-w.store.arrived
	if _, err := w.Rollback(t.Context(), orderTarget, control.Options{}); err != nil {
		t.Fatal(err)
	}
	w.store.open()
	if a := <-done; a.err != nil || a.c.GetSplit()["eks"] != 0 || len(a.c.GetWarnings()) == 0 {
		t.Fatalf("%v %v", a.c, a.err)
	}
}

// A service that is made anew is not rolled back, before a restart and after it.
func TestANewServiceIsNotRolledBack(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir)
	w.apply(5000)
	if _, err := w.Rollback(t.Context(), orderTarget, control.Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Delete(t.Context(), "service", "orders", control.Options{}); err != nil {
		t.Fatal(err)
	}
	w.apply(1000)
	w.stop()
	again := newWorld(t, dir)
	if again.List("")[0].GetRolledBack() {
		t.Fatal("after a restart the new service is rolled back")
	}
	again.apply(2000)
}

// A rollback of a service that is deleted at the same time: nothing is left to be recorded, and the answer must not promise it.
func TestRollbackOfAServiceThatIsBeingDeleted(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.apply(5000)
	w.store.close()
	done := make(chan error, 1)
	go func() {
		_, err := w.Delete(context.Background(), "service", "orders", control.Options{})
		done <- err
	}()
	<-w.store.arrived
	type answer struct {
		c   []*crossfadev1.Change
		err error
	}
	rolled := make(chan answer, 1)
	go func() {
		c, err := w.Rollback(context.Background(), orderTarget, control.Options{})
		rolled <- answer{c, err}
	}()
	for w.eks() != 0 { // live at once
		runtime.Gosched()
	}
	w.store.open()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	a := <-rolled
	if a.err != nil || !a.c[0].GetRecorded() {
		t.Fatalf("%v %v", a.c, a.err)
	}
}

// Many changes at a disk that hangs: none waits longer than it must, and a rollback not at all.
func TestChangesAtAHungStoreEnd(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.apply(5000)
	w.store.close()
	defer w.store.open()
	if _, err := w.Rollback(t.Context(), orderTarget, control.Options{}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 4)
	for range cap(done) {
		go func() {
			_, err := w.SetSplit(context.Background(), "orders", split(1), control.Options{})
			done <- err
		}()
	}
	for range cap(done) {
		select {
		case err := <-done:
			if !is(err, policy.Unavailable) {
				t.Fatal(err)
			}
		case <-time.After(time.Minute):
			t.Fatal("a change without a deadline waits for the store for ever")
		}
	}
}

// A change that waits while a rollback comes does not undo it, however late it gets its turn.
func TestRollbackOverridesAChangeThatWaits(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.apply(5000)
	w.store.close()
	w.store.asked = make(chan string, 2)
	done := make(chan error, 2)
	for _, eks := range []int32{6000, 7000} {
		go func() {
			_, err := w.SetSplit(context.Background(), "orders", split(eks), control.Options{Key: fmt.Sprint(eks)})
			done <- err
		}()
	}
	for range 2 { // both have begun: each asks for its key before it waits for its turn
		<-w.store.asked
	}
	<-w.store.arrived
	if _, err := w.Rollback(t.Context(), orderTarget, control.Options{}); err != nil {
		t.Fatal(err)
	}
	w.store.open()
	for range 2 {
		if err := <-done; err != nil && !is(err, policy.Held) {
			t.Fatal(err)
		}
	}
	if w.eks() != 0 {
		t.Fatalf("eks %d after the rollback", w.eks())
	}
	w.sameAsStore()
}
