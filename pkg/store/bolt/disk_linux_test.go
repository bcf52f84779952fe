package bolt

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/smalldisk"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// TestFullDisk: on a full disk commits are refused and nothing changes, also after a restart on it; with space again they go on.
func TestFullDisk(t *testing.T) {
	smalldisk.Run(t, func(t *testing.T, d smalldisk.Disk) {
		path := filepath.Join(d.Dir, "db")
		s := openStore(t, path)
		n := 0
		next := func() error {
			_, _, err := s.Commit(t.Context(), commitOf(write(objectName(n%objectNames), n, 20_000), write("other", n, 10)))
			if err == nil {
				n++
			}
			return err
		}
		for range 10 {
			if err := next(); err != nil {
				t.Fatal(err)
			}
		}
		for round := range 3 {
			d.Fill()
			full := until5Refused(t, s, next)
			if full.snap.Revision != int64(2*n) {
				t.Fatalf("revision %d after %d commits", full.snap.Revision, n)
			}
			if round == 1 {
				closeStore(t, s)
				s = openStore(t, path)
				expectState(t, s, full, "after a restart on a full disk")
			}
			d.Release()
			for range 5 {
				if err := next(); err != nil {
					t.Fatalf("round %d, with space again: %v", round, err)
				}
			}
		}
		end, err := readable(t, s)
		if err != nil {
			t.Fatal(err)
		}
		closeStore(t, s)
		s = openStore(t, path)
		expectState(t, s, end, "at the end")
	})
}

// until5Refused commits until 5 were refused, which may take some: what is free in the file is still used. A refused one changes nothing.
func until5Refused(t *testing.T, s *Store, next func() error) truth {
	t.Helper()
	refused := 0
	for range 500 {
		before, err := readable(t, s)
		if err != nil {
			t.Fatal(err)
		}
		err = next()
		if err == nil {
			continue
		}
		if !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("%v, want ErrUnavailable", err)
		}
		expectState(t, s, before, "after a refusal")
		if refused++; refused == 5 {
			return before
		}
	}
	t.Fatal("the disk does not fill up")
	return truth{}
}

// readable is what can be read without an idempotency key.
func readable(t *testing.T, s *Store) (tr truth, err error) {
	t.Helper()
	if tr.snap, err = s.Load(t.Context()); err != nil {
		return tr, fmt.Errorf("Load: %w", err)
	}
	tr.history, err = s.History(t.Context(), store.HistoryQuery{Limit: 1 << 20})
	return tr, err
}

func expectState(t *testing.T, s *Store, want truth, when string) {
	t.Helper()
	have, err := readable(t, s)
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	if d := want.same(have); d != "" {
		t.Fatalf("%s: %s", when, d)
	}
}
