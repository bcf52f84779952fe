package bolt

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// TestOpenErrors: each gives the path, what is wrong and what to do, and leaves the file alone.
func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	file := func(name string, b []byte) string {
		if err := os.WriteFile(at(name), b, 0o600); err != nil {
			t.Fatal(err)
		}
		return at(name)
	}
	if err := os.Mkdir(at("directory"), 0o700); err != nil {
		t.Fatal(err)
	}
	openStore(t, at("used"))
	for _, tt := range []struct {
		name, path string
		want       error
		words      []string
	}{
		{"empty", file("empty", nil), store.ErrCorrupt, []string{"is empty", "backup"}},
		{"short", file("short", []byte("hello")), store.ErrCorrupt, []string{"5 bytes", "backup"}},
		{"text", file("text", bytes.Repeat([]byte("hello\n"), 4000)), store.ErrCorrupt, []string{"not a Crossfade store", "move the file away"}},
		{"another bbolt file", foreign(t, at("foreign"), nil), store.ErrCorrupt, []string{"of another program"}},
		{"another bbolt file with a meta bucket", foreign(t, at("foreign-meta"), []byte("hello")), store.ErrCorrupt, []string{"checksum"}},
		{"newer", newer(t, at("newer")), store.ErrNewerVersion, []string{"version 7", "up to 2", "use the version that wrote it"}},
		{"no directory", filepath.Join(dir, "none", "db"), store.ErrUnavailable, []string{"does not exist", "make it"}},
		{"below a file", filepath.Join(at("text"), "db"), store.ErrUnavailable, []string{"is not a directory"}},
		{"a directory", at("directory"), store.ErrUnavailable, []string{"directory"}},
		{"a device", "/dev/null", store.ErrUnavailable, []string{"not a regular file"}},
		{"not writable", "/proc/crossfade.db", store.ErrUnavailable, []string{"cannot be opened for writing"}},
		{"in use", at("used"), store.ErrUnavailable, []string{"another process", "50ms"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, _ := os.ReadFile(tt.path)
			_, err := Open(tt.path, Options{LockTimeout: 50 * time.Millisecond})
			if !errors.Is(err, tt.want) {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			for _, w := range append(tt.words, tt.path) {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
			if after, _ := os.ReadFile(tt.path); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
}

// foreign makes a bbolt file that is no store.
func foreign(t *testing.T, path string, format []byte) string {
	t.Helper()
	update(t, path, func(tx *bbolt.Tx) error {
		if format == nil {
			return nil
		}
		b, err := tx.CreateBucket(bucketMeta)
		if err != nil {
			return err
		}
		return b.Put(keyFormat, format)
	})
	return path
}

// newer makes a store of a later version, with a bucket and entries that are not known today.
func newer(t *testing.T, path string) string {
	t.Helper()
	closeStore(t, openStore(t, path))
	update(t, path, func(tx *bbolt.Tx) error {
		v, _ := seal(bucketMeta, keyFormat, formatPayload(7))
		b, err := tx.CreateBucket([]byte("later"))
		return errors.Join(err, b.Put([]byte("k"), []byte("v")), tx.Bucket(bucketMeta).Put(keyFormat, v))
	})
	return path
}

func update(t *testing.T, path string, fn func(*bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(fn), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestCreateTogether opens a store that is not there from many sides: they take turns with one file, and no other file is left.
func TestCreateTogether(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "db")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := Open(path, Options{LockTimeout: time.Minute})
			if err != nil {
				t.Error(err)
				return
			}
			_, _, err = s.Commit(t.Context(), commitOf(write("a", 1, 1)))
			if err := errors.Join(err, s.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	snap, err := openStore(t, path).Load(t.Context())
	if err != nil || snap.Revision != 8 {
		t.Fatalf("revision %d (%v), want 8", snap.Revision, err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != 1 {
		t.Fatalf("files %v", files)
	}
}

// TestCreateAfterCrash: what an earlier attempt left under the other name does not matter.
func TestCreateAfterCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	if err := os.WriteFile(path+".new", bytes.Repeat([]byte("half"), 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, openStore(t, path), commitOf(write("a", 1, 1)))
}

// TestFileIsPrivate: intent may hold addresses that are nobody else's business.
func TestFileIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	openStore(t, path)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v (%v), want 0600", info.Mode(), err)
	}
}

// TestKeysArePruned: expired idempotency keys leave the file, and the work of one commit is bounded.
func TestKeysArePruned(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "db"))
	keyed := func(n int, at time.Time) {
		c := commitOf(write("a", n, 1))
		c.IdempotencyKey, c.Time = objectName(n), at
		mustCommit(t, s, c)
	}
	for n := range 100 {
		keyed(n, now)
	}
	later := now.Add(25 * time.Hour)
	before := 100
	for n := 100; before > 20; n++ {
		keyed(n, later)
		keys, expiry := count(t, s, bucketKeys), count(t, s, bucketExpiry)
		if keys != expiry {
			t.Fatalf("%d keys, %d expiry entries", keys, expiry)
		}
		if keys >= before || keys < before-20 {
			t.Fatalf("%d keys after a commit, %d before", keys, before)
		}
		before = keys
	}
}

func count(t *testing.T, s *Store, bucket []byte) (n int) {
	t.Helper()
	err := s.view(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucket).ForEach(func(_, _ []byte) error { n++; return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
