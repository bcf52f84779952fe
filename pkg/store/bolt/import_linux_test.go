package bolt

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// opened says how often this process has a file open.
func opened(t *testing.T, path string) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name())); err == nil && to == path {
			n++
		}
	}
	return n
}

// during makes the items of a store wait, once, for what somebody else does meanwhile.
func during(t *testing.T, next func() (store.Item, error), begin func(), met func() bool) func() (store.Item, error) {
	first := true
	return func() (store.Item, error) {
		if first {
			first = false
			begin()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := poll.Until(ctx, time.Millisecond, poll.True(met)); err != nil {
				return store.Item{}, err
			}
		}
		return next()
	}
}

// TestTwoImportsIntoOneStore: the one that waited for the other refuses, and does nothing to the store that the other made.
func TestTwoImportsIntoOneStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s := openStore(t, filepath.Join(t.TempDir(), "from"))
	fill(t, s)
	want, second := told(t, s), make(chan error, 1)
	begin := func() {
		go func() {
			second <- Import(path, func() (store.Item, error) { return store.Item{}, errors.New("the second one has begun") })
		}()
	}
	err := Import(path, during(t, itemsOf(t, s), begin, func() bool { return opened(t, path+ImportSuffix) == 2 }))
	if err != nil {
		t.Fatal(err)
	}
	if err := <-second; !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the second one: %v, want ErrUnavailable", err)
	}
	if have := told(t, openStore(t, path)); have != want {
		t.Fatalf("it says\n%.500s\nwant\n%.500s", have, want)
	}
	if left, _ := filepath.Glob(path + "*"); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

// TestAStoreThatIsMadeWhileOneIsImported: what it took is there afterwards, or it is what was imported.
func TestAStoreThatIsMadeWhileOneIsImported(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s := openStore(t, filepath.Join(t.TempDir(), "from"))
	fill(t, s)
	type outcome struct {
		took int64 // the revision of a change that was taken
		err  error
	}
	done := make(chan outcome, 1)
	begin := func() {
		go func() {
			made, err := Open(path, Options{LockTimeout: time.Minute})
			if err != nil {
				done <- outcome{err: err}
				return
			}
			rs, _, err := made.Commit(t.Context(), commitOf(write("beside", 1, 10)))
			if err = errors.Join(err, made.Close()); err != nil {
				done <- outcome{err: err}
				return
			}
			done <- outcome{took: rs[0].GetRevision()}
		}()
	}
	met := func() bool { return len(done) > 0 || opened(t, path+ImportSuffix) == 2 }
	imported := Import(path, during(t, itemsOf(t, s), begin, met))
	made := <-done
	if made.err != nil {
		t.Fatal(made.err)
	}
	now := openStore(t, path)
	rs, err := now.History(t.Context(), store.HistoryQuery{Key: service("beside"), Limit: 1})
	if err != nil || len(rs) != 1 || rs[0].GetRevision() != made.took {
		t.Errorf("of a change that was taken as revision %d there is %v (%v); the import said %v", made.took, rs, err, imported)
	}
	if have, err := now.History(t.Context(), store.HistoryQuery{Key: service(objectName(0)), Limit: 1}); imported == nil && (err != nil || len(have) == 0) {
		t.Errorf("nothing of what was imported is there (%v)", err)
	}
}
