package bolt

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// TestListOfFreePages: a page that is in use and in the list, or twice in it, would be overwritten by a later commit; one that is neither is
// a sign that a reference to it was lost.
func TestListOfFreePages(t *testing.T) {
	good, _ := filled(t)
	m, err := readMeta(bytes.NewReader(good), int64(len(good)))
	if err != nil {
		t.Fatal(err)
	}
	at := m.freelist * uint64(m.pageSize)
	count := order.Uint16(good[at+10:])
	first := order.Uint64(good[at+pageHeaderSize:])
	for name, tt := range map[string]struct {
		count uint16
		last  uint64
	}{
		"in use":    {count + 1, m.root},
		"the list":  {count + 1, m.freelist},
		"twice":     {count + 1, first},
		"no page":   {count + 1, m.pages},
		"meta page": {count + 1, 1},
		"lost":      {count - 1, order.Uint64(good[at+pageHeaderSize+8*uint64(count-2):])},
	} {
		b := bytes.Clone(good)
		order.PutUint16(b[at+10:], tt.count)
		order.PutUint64(b[at+pageHeaderSize+8*uint64(tt.count-1):], tt.last)
		if _, err := verify(bytes.NewReader(b), int64(len(b))); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: %v, want ErrCorrupt", name, err)
		}
	}
}

// TestSharedPage: two buckets on one page are valid each, and break each other with the next commit.
func TestSharedPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	fill(t, openStore(t, path))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var roots [][]byte // where the bucket entries say their root pages
	for _, name := range [][]byte{bucketObjects, bucketRevisions} {
		m, err := readMeta(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		p, _ := parsePage(b[m.root*uint64(m.pageSize):][:m.pageSize])
		for i := range p.count {
			if e, ok := p.element(i); ok && bytes.Equal(e.key, name) {
				roots = append(roots, e.value[:8])
			}
		}
	}
	copy(roots[0], roots[1])
	if _, err := verify(bytes.NewReader(b), int64(len(b))); !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "used twice") {
		t.Fatalf("%v, want ErrCorrupt because of a page that is used twice", err)
	}
}

// TestWrongEntries: entries that are valid each but do not belong together.
func TestWrongEntries(t *testing.T) {
	key := revisionKey(1)
	for name, change := range map[string]func(*bbolt.Tx) error{
		"one is missing": func(tx *bbolt.Tx) error { return tx.Bucket(bucketRevisions).Delete(key) },
		"one too many": func(tx *bbolt.Tx) error {
			k := revisionKey(99)
			v, _ := seal(bucketRevisions, k, nil)
			return tx.Bucket(bucketRevisions).Put(k, v)
		},
		"one is another version": func(tx *bbolt.Tx) error {
			v, _ := seal(bucketRevisions, key, nil)
			return tx.Bucket(bucketRevisions).Put(key, v)
		},
		"one is at another key": func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketRevisions)
			return b.Put(key, bytes.Clone(b.Get(revisionKey(2))))
		},
		"no head":   func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Delete(keyHead) },
		"no format": func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Delete(keyFormat) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "db")
			s := openStore(t, path)
			for n := range 2 { // revisions 1 and 2 are history
				mustCommit(t, s, commitOf(write("a", n, 10), write("b", n, 10)))
			}
			closeStore(t, s)
			update(t, path, change)
			if _, err := Open(path, Options{}); !errors.Is(err, store.ErrCorrupt) {
				t.Fatalf("%v, want ErrCorrupt", err)
			}
		})
	}
}

// TestBoltPanicsOnDamage records why the file is checked before bbolt sees it: a page of zeros makes bbolt panic.
func TestBoltPanicsOnDamage(t *testing.T) {
	good, _ := filled(t)
	clear(good[2*os.Getpagesize():])
	path := filepath.Join(t.TempDir(), "db")
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	panicked := func() (p any) {
		defer func() { p = recover() }()
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
		if err == nil {
			err = db.Close()
		}
		return err
	}()
	if _, isError := panicked.(error); panicked == nil || isError {
		t.Fatalf("bbolt answered %v: it does not panic any more, see the package comment", panicked)
	}
}

// TestBoltFallsBackSilently records the other reason: with the newer meta page damaged bbolt opens the state before the last commit.
func TestBoltFallsBackSilently(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s := openStore(t, path)
	mustCommit(t, s, commitOf(write("a", 1, 10)))
	closeStore(t, s)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	fell := false
	for page := range 2 {
		b := bytes.Clone(good)
		b[page*os.Getpagesize()+pageHeaderSize+40] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, Options{}); !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("meta page %d: %v, want ErrCorrupt", page, err)
		}
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		err = db.View(func(tx *bbolt.Tx) error {
			fell = fell || tx.Bucket(bucketLive).Get(liveKey(service("a"))) == nil
			return nil
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if !fell {
		t.Fatal("bbolt showed the last commit with either meta page damaged: see the package comment")
	}
}
