package control_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// slowStore is a real store on a disk that takes six seconds for each write: longer than a change waits. Writes have their turn one by one.
type slowStore struct {
	store.Store
	slow atomic.Bool
	turn chan struct{} // not a mutex: time passes for those who wait
}

// inTurn does something when it has its turn, and returns after that or when ctx ends.
func (s *slowStore) inTurn(ctx context.Context, takes time.Duration, do func()) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.turn <- struct{}{}
		defer func() { <-s.turn }()
		time.Sleep(takes)
		do()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: in doubt", store.ErrUnavailable)
	}
}

func (s *slowStore) Commit(ctx context.Context, c store.Commit) (records []*crossfadev1.Revision, replayed bool, err error) {
	if !s.slow.Load() {
		return s.Store.Commit(ctx, c)
	}
	type outcome struct {
		records  []*crossfadev1.Revision
		replayed bool
		err      error
	}
	var out outcome
	if err := s.inTurn(ctx, 6*time.Second, func() { out.records, out.replayed, out.err = s.Store.Commit(context.Background(), c) }); err != nil {
		return nil, false, err
	}
	return out.records, out.replayed, out.err
}

func (s *slowStore) Annotate(ctx context.Context, revision int64, fleet *crossfadev1.FleetState, proof *crossfadev1.Proof) (err error) {
	if !s.slow.Load() {
		return s.Store.Annotate(ctx, revision, fleet, proof)
	}
	takes := 6 * time.Second
	if revision == 0 { // nothing is written
		takes = 0
	}
	var noted error
	if err := s.inTurn(ctx, takes, func() { noted = s.Store.Annotate(context.Background(), revision, fleet, proof) }); err != nil {
		return err
	}
	return noted
}

// On a disk that is slower than a change waits, a rollback is written once, and so is what takes back a change that was refused.
func TestASlowDiskGetsARollbackOnce(t *testing.T) {
	for _, key := range []string{"", "k"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, t.TempDir())
			slow := &slowStore{Store: w.store.Store, turn: make(chan struct{}, 1)}
			w.store.Store = slow
			w.apply(5000)
			slow.slow.Store(true)
			if _, err := w.Rollback(t.Context(), orderTarget, control.Options{Key: key, Wait: crossfadev1.Wait_WAIT_NONE}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if h := w.history(); len(h) != 2 || h[0].GetAction() != control.ActionRollback {
				t.Fatalf("%d revisions, the last is %v", len(h), h[0])
			}
			if s := w.List("")[0]; s.GetRevision() != 2 {
				t.Fatalf("not recorded: %v", s)
			}
			if _, err := w.SetSplit(t.Context(), "orders", split(100), control.Options{}); !is(err, policy.Unavailable) {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if h := w.history(); len(h) != 4 || h[0].GetAction() != control.ActionRevert || w.List("")[0].GetRevision() != 4 {
				t.Fatalf("%d revisions, the last is %v, live is %d", len(h), h[0], w.List("")[0].GetRevision())
			}
			slow.slow.Store(false)
		})
	}
}

// countingStore knows how many notes were on their way to it at once.
type countingStore struct {
	store.Store
	now, most atomic.Int32
}

func (s *countingStore) Annotate(ctx context.Context, revision int64, fleet *crossfadev1.FleetState, proof *crossfadev1.Proof) error {
	if revision > 0 {
		n := s.now.Add(1)
		defer s.now.Add(-1)
		for most := s.most.Load(); n > most && !s.most.CompareAndSwap(most, n); most = s.most.Load() {
		}
	}
	return s.Store.Annotate(ctx, revision, fleet, proof)
}

// What is noted of a rollback of many services leaves room in the store's queue for changes.
func TestARollbackOfAllIsNotedOneByOne(t *testing.T) {
	w := newWorld(t, t.TempDir())
	counting := &countingStore{Store: w.store.Store}
	w.store.Store = counting
	var docs []*crossfadev1.Document
	for i := range 40 {
		doc := orders(5000)
		doc.GetService().Name, doc.GetService().Hosts = fmt.Sprint("s", i), []string{fmt.Sprintf("s%d.test", i)}
		docs = append(docs, doc)
	}
	if _, err := w.Apply(t.Context(), docs, control.Options{Wait: crossfadev1.Wait_WAIT_NONE}); err != nil {
		t.Fatal(err)
	}
	changes := w.rollBack(control.RollbackTarget{All: true})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, c := range changes {
		noted := func() bool {
			r, err := w.store.Revision(ctx, c.GetRevision())
			return err == nil && r.GetFleet() != nil
		}
		if err := poll.Until(ctx, time.Millisecond, poll.True(noted)); err != nil {
			t.Fatalf("revision %d: %v", c.GetRevision(), err)
		}
	}
	if most := counting.most.Load(); most != 1 {
		t.Fatalf("%d notes at once", most)
	}
}

// leftInJournal is an entry of a rollback.
func leftInJournal(t *testing.T, w *world, r *crossfadev1.Revision) {
	t.Helper()
	data, err := proto.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.journal.Append(t.Context(), data); err != nil {
		t.Fatal(err)
	}
}

// An entry of the journal whose write was in doubt goes when its rollback is recorded, also if the journal hangs at that moment.
func TestARecordedRollbackLeavesTheJournal(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.apply(5000)
	leftInJournal(t, w, &crossfadev1.Revision{Service: "orders", Stamp: "recorded"})
	hang, began := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan error, 1)
	go func() {
		asked <- w.journal.DoneWhere(ctx, func([]byte) bool { close(began); <-hang; return false })
	}()
	<-began
	cancel() // now it counts as hung, and fails at once
	if err := <-asked; err == nil {
		t.Fatal("it does not hang")
	}
	if changes := w.rollBack(orderTarget); !changes[0].GetRecorded() {
		t.Fatalf("%v", changes)
	}
	close(hang)
	within, end := context.WithTimeout(t.Context(), time.Minute)
	defer end()
	if err := poll.Until(within, time.Millisecond, poll.True(func() bool { return len(w.journal.Pending()) == 0 })); err != nil {
		t.Fatalf("%v: %v", err, w.journal.Pending())
	}
}

// An entry that stayed all the same is not done again when so much was recorded since that its rollback must have been, too.
func TestAnOldJournalEntryIsNotDoneAgain(t *testing.T) {
	for _, tt := range []struct {
		after, recorded int64
		eks             int32
	}{{1, 10_500, 5000}, {1, 9_000, 0}, {0, 10_500, 0}} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			dir := t.TempDir()
			w := newWorld(t, dir)
			w.apply(5000)
			leftInJournal(t, w, &crossfadev1.Revision{Service: "orders", Stamp: "long ago", Action: control.ActionRollback, Revision: tt.after})
			w.Close()
			for n := int64(0); n < tt.recorded; n += 500 {
				c := store.Commit{Time: time.Now(), Who: "others", Stamp: fmt.Sprint(n)}
				for i := range 500 {
					name := fmt.Sprint("f", i)
					doc := &crossfadev1.Document{Object: &crossfadev1.Document_Fleet{Fleet: &crossfadev1.Fleet{ApiVersion: "crossfade/v1", Kind: "Fleet", Name: name}}}
					c.Writes = append(c.Writes, store.Write{Key: store.ObjectKey{Kind: "Fleet", Name: name}, After: doc, Expect: store.AnyRevision, Action: control.ActionApply})
				}
				if _, _, err := w.store.Commit(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			}
			w.stop()
			again := newWorld(t, dir)
			if again.eks() != tt.eks {
				t.Fatalf("eks %d, want %d", again.eks(), tt.eks)
			}
			again.Close() // waits for the record
			if left := again.journal.Pending(); len(left) != 0 {
				t.Fatalf("the journal still has %d entries", len(left))
			}
		})
	}
}
