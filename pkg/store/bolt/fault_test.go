package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// TestCommitTxIsTheOnlyWrite shows that the seam which the tests below use is where a commit reaches the disk: without the real call
// behind it the file stays as it is; with it a copy of the file, taken when Commit returned, has the commit.
func TestCommitTxIsTheOnlyWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "db")
	s := openStore(t, path)
	if s.db.NoSync || s.db.NoGrowSync {
		t.Fatal("bbolt does not sync")
	}
	revisionOnDisk := func() int64 {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(filepath.Join(dir, "copy"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Write(b); err != nil {
			t.Fatal(err)
		}
		h, err := verify(f, int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		return h.revision
	}
	mustCommit(t, s, commitOf(write("a", 1, 100)))
	if n := revisionOnDisk(); n != 1 {
		t.Fatalf("the file has revision %d, want 1", n)
	}
	real, calls := s.commitTx, 0
	s.commitTx = func(tx *bbolt.Tx) error { calls++; return errors.Join(tx.Rollback(), errors.New("no disk")) }
	if _, _, err := s.Commit(t.Context(), commitOf(write("a", 2, 100))); !errors.Is(err, store.ErrUnavailable) {
		t.Fatal(err)
	}
	if err := s.Annotate(t.Context(), 1, nil, nil); !errors.Is(err, store.ErrUnavailable) {
		t.Fatal(err)
	}
	if n := revisionOnDisk(); calls != 2 || n != 1 {
		t.Fatalf("%d calls, revision %d", calls, n)
	}
	s.commitTx = real
	if rs := mustCommit(t, s, commitOf(write("a", 3, 100))); rs[0].GetRevision() != 2 || revisionOnDisk() != 2 {
		t.Fatalf("revision %d, in the file %d, want 2", rs[0].GetRevision(), revisionOnDisk())
	}
}

// TestGroupCommit: with an fsync of 5 ms, 50 writers share it. The clock is virtual, the disk is real.
func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, filepath.Join(t.TempDir(), "db"))
		real := s.commitTx
		syncs := 0
		s.commitTx = func(tx *bbolt.Tx) error {
			syncs++
			<-time.After(2 * 5 * time.Millisecond) // bbolt syncs pages and meta page
			return real(tx)
		}
		const writers, each = 50, 20
		start := time.Now()
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				for n := range each {
					if _, _, err := s.Commit(t.Context(), commitOf(write(objectName(i), n, 200))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		rate := writers * each / time.Since(start).Seconds()
		t.Logf("%.0f commits/s, %d transactions for %d commits", rate, syncs, writers*each)
		if rate < 200 {
			t.Fatalf("%.0f commits/s, want 200", rate)
		}
	})
}

// hangStore is a store whose disk hangs, before or after the transaction is in the file.
type hangStore struct {
	*Store
	t       *testing.T
	path    string
	release chan struct{}
}

func newHangStore(t *testing.T, after bool) *hangStore {
	h := &hangStore{t: t, path: filepath.Join(t.TempDir(), "db"), release: make(chan struct{})}
	h.Store = openStore(t, h.path)
	mustCommit(t, h.Store, commitOf(write("a", 1, 100), write("b", 1, 100)))
	real := h.commitTx
	h.commitTx = func(tx *bbolt.Tx) (err error) {
		if after {
			err = real(tx)
		}
		<-h.release
		if !after {
			err = real(tx)
		}
		return err
	}
	return h
}

// commit tries a commit that must fail, and returns how long it took.
func (h *hangStore) commit(timeout time.Duration) time.Duration {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	c := commitOf(write("a", 2, 100))
	c.IdempotencyKey = "hung"
	start := time.Now()
	rs, _, err := h.Commit(ctx, c)
	if !errors.Is(err, store.ErrUnavailable) || rs != nil {
		h.t.Fatalf("Commit on a hung disk: %v, %v", rs, err)
	}
	return time.Since(start)
}

// replays says whether the idempotency key of commit counts as used.
func (h *hangStore) replays() bool {
	h.t.Helper()
	rs, used, err := h.Replay(h.t.Context(), "hung", nil, now)
	if err != nil && !errors.Is(err, store.ErrUnavailable) || used != (len(rs) == 1) {
		h.t.Fatalf("Replay: %v, %v, %v", rs, used, err)
	}
	return used
}

// reads checks that everything can be read and shows the state at a revision.
func (h *hangStore) reads(revision int64) {
	h.t.Helper()
	snap, err := h.Load(h.t.Context())
	if err != nil || snap.Revision != revision {
		h.t.Fatalf("Load: revision %d (%v), want %d", snap.Revision, err, revision)
	}
	rs, err := h.History(h.t.Context(), store.HistoryQuery{})
	if err != nil || rs[0].GetRevision() != revision {
		h.t.Fatalf("History: %v, want revision %d first", err, revision)
	}
	rs, err = h.History(h.t.Context(), store.HistoryQuery{Key: service("a")})
	if err != nil || rs[0].GetRevision() != snap.Objects[0].Revision {
		h.t.Fatalf("History of a: %v, want revision %d first", err, snap.Objects[0].Revision)
	}
	if _, err := h.Revision(h.t.Context(), revision); err != nil {
		h.t.Fatalf("Revision(%d): %v", revision, err)
	}
	if _, err := h.Revision(h.t.Context(), revision+1); !errors.Is(err, store.ErrNotFound) {
		h.t.Fatalf("Revision(%d): %v, want ErrNotFound", revision+1, err)
	}
}

// TestHungDisk: a commit returns when its context ends, later ones at once; reads go on with the state before; when the disk is back
// the change is there, and commits go on. That holds also where bbolt already shows the transaction.
func TestHungDisk(t *testing.T) {
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("shown=%v", after), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHangStore(t, after)
				if d := h.commit(time.Second); d != time.Second {
					t.Fatalf("returned after %s, want 1s", d)
				}
				for range 3 {
					if d := h.commit(time.Hour); d != 0 {
						t.Fatalf("returned after %s, want at once", d)
					}
					if err := h.Annotate(t.Context(), 1, nil, nil); !errors.Is(err, store.ErrUnavailable) {
						t.Fatal(err)
					}
					h.reads(2)
					if h.replays() {
						t.Fatal("a change that is not durable is replayed")
					}
				}
				close(h.release)
				synctest.Wait()
				h.reads(3)
				if !h.replays() {
					t.Fatal("the change is not replayed")
				}
				if rs := mustCommit(t, h.Store, commitOf(write("b", 3, 100))); rs[0].GetRevision() != 4 {
					t.Fatalf("revision %d, want 4", rs[0].GetRevision())
				}
				closeStore(t, h.Store)
				h.Store = openStore(t, h.path)
				h.reads(4)
			})
		})
	}
}

// TestDroppedWhileQueued: a change whose caller gave up before the disk took it never happens.
func TestDroppedWhileQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHangStore(t, false)
		var wg sync.WaitGroup
		wg.Go(func() { mustCommit(t, h.Store, commitOf(write("b", 2, 100))) }) // patient
		synctest.Wait()
		h.commit(time.Second)
		close(h.release)
		wg.Wait()
		h.reads(3)
		if h.replays() {
			t.Fatal("a dropped change is replayed")
		}
		if rs := mustCommit(t, h.Store, commitOf(write("b", 3, 100))); rs[0].GetRevision() != 4 {
			t.Fatalf("revision %d, want 4", rs[0].GetRevision())
		}
	})
}

// TestImpatientCallerHarmsNobody: a caller that gives up on a healthy disk does not make the store refuse others.
func TestImpatientCallerHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHangStore(t, false)
		h.commit(5 * time.Millisecond)
		var wg sync.WaitGroup
		wg.Go(func() { mustCommit(t, h.Store, commitOf(write("b", 2, 100))) })
		synctest.Wait()
		close(h.release)
		wg.Wait()
	})
}

// TestQueueIsBounded: more changes than fit are refused at once.
func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHangStore(t, false)
		const extra = 7
		var refused, stood atomic.Int64
		var wg sync.WaitGroup
		for i := range 1 + queueLength + extra {
			wg.Go(func() {
				switch _, _, err := h.Commit(t.Context(), commitOf(write("a", i, 1))); {
				case err == nil:
					stood.Add(1)
				case errors.Is(err, store.ErrUnavailable) && strings.Contains(err.Error(), "too many"):
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
			if i == 0 {
				synctest.Wait() // in the disk, the others queue
			}
		}
		synctest.Wait()
		if refused.Load() != extra {
			t.Fatalf("%d refused, want %d", refused.Load(), extra)
		}
		close(h.release)
		wg.Wait()
		h.reads(2 + 1 + queueLength)
	})
}

// TestCloseWaits: Close waits for the write in progress and refuses what is behind it.
func TestCloseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHangStore(t, false)
		var wg sync.WaitGroup
		wg.Go(func() { mustCommit(t, h.Store, commitOf(write("a", 2, 100))) })
		synctest.Wait()
		wg.Go(func() {
			if _, _, err := h.Commit(t.Context(), commitOf(write("b", 2, 100))); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Commit behind Close: %v", err)
			}
		})
		synctest.Wait()
		closed := false
		wg.Go(func() { closeStore(t, h.Store); closed = true })
		synctest.Wait()
		if closed {
			t.Fatal("Close did not wait")
		}
		close(h.release)
		wg.Wait()
		h.Store = openStore(t, h.path)
		h.reads(3)
	})
}

// TestFailedLastSync: the disk fails after bbolt shows the transaction. Nobody sees it, the error says in doubt, and no commit is taken until
// the doubt is over; then it is there, once.
func TestFailedLastSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHangStore(t, false)
		close(h.release)
		real := h.commitTx
		var failing atomic.Bool
		failing.Store(true)
		h.commitTx = func(tx *bbolt.Tx) error {
			if err := real(tx); err != nil || !failing.Load() {
				return err
			}
			return errors.New("input/output error")
		}
		for range 3 {
			_, _, err := h.Commit(t.Context(), commitOf(write("a", 2, 100)))
			if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "in doubt") || !strings.Contains(err.Error(), "input/output error") {
				t.Fatal(err)
			}
			h.reads(2)
		}
		<-time.After(3 * settleEvery)
		h.reads(2)
		failing.Store(false)
		<-time.After(2 * settleEvery)
		h.reads(3)
		if rs := mustCommit(t, h.Store, commitOf(write("b", 2, 100))); rs[0].GetRevision() != 4 {
			t.Fatalf("revision %d, want 4", rs[0].GetRevision())
		}
		closeStore(t, h.Store)
		h.Store = openStore(t, h.path)
		h.reads(4)
	})
}

// TestFailedFirstSync: the disk fails before. Nothing happened, at once and after a restart.
func TestFailedFirstSync(t *testing.T) {
	h := newHangStore(t, false)
	close(h.release)
	real := h.commitTx
	h.commitTx = func(tx *bbolt.Tx) error { return errors.Join(tx.Rollback(), errors.New("input/output error")) }
	for range 3 {
		h.commit(time.Minute)
		h.reads(2)
	}
	h.commitTx = real
	if rs := mustCommit(t, h.Store, commitOf(write("b", 2, 100))); rs[0].GetRevision() != 3 {
		t.Fatalf("revision %d, want 3", rs[0].GetRevision())
	}
	closeStore(t, h.Store)
	h.Store = openStore(t, h.path)
	h.reads(3)
}

// TestReadsAreBounded: a read that hangs in the disk returns when its context ends.
func TestReadsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, filepath.Join(t.TempDir(), "db"))
		mustCommit(t, s, commitOf(write("a", 1, 100)))
		hang := make(chan struct{})
		for range readers + 5 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := read(ctx, s, func(*bbolt.Tx) (int, error) { <-hang; return 0, nil })
			if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			cancel()
		}
		if _, err := s.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		close(hang)
		if _, err := s.Revision(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	})
}
