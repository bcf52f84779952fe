package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func service(name string) store.ObjectKey { return store.ObjectKey{Kind: "Service", Name: name} }

// document makes a document of a service of about size bytes, different for each n.
func document(name string, n, size int) *crossfadev1.Document {
	s := &crossfadev1.Service{Name: name, Hosts: []string{strings.Repeat(fmt.Sprintf("%04d-", n), size/5+1)}}
	return &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: s}}
}

func write(name string, n, size int) store.Write {
	return store.Write{Key: service(name), After: document(name, n, size), Expect: store.AnyRevision, Action: "apply"}
}

func commitOf(ws ...store.Write) store.Commit { return store.Commit{Writes: ws, Time: now, Who: "ann"} }

func mustCommit(t testing.TB, s *Store, c store.Commit) []*crossfadev1.Revision {
	t.Helper()
	rs, _, err := s.Commit(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

// truth is everything that a store can say.
type truth struct {
	snap    *store.Snapshot
	history []*crossfadev1.Revision
	objects [][]*crossfadev1.Revision
	replay  []*crossfadev1.Revision
}

// objectNames are the objects of filled stores.
const objectNames = 12

func objectName(i int) string { return fmt.Sprintf("service-%02d", i) }

// fill makes a store with inner pages, large values, free pages, deletes, annotations and idempotency keys.
func fill(t testing.TB, s *Store) {
	t.Helper()
	for n := range 120 {
		c := commitOf(write(objectName(n%objectNames), n, (n%7)*(n%11)*50))
		if n > objectNames && n%10 == 9 {
			c.Writes[0].After = nil
		}
		if n%4 == 0 {
			c.IdempotencyKey, c.RequestDigest = fmt.Sprintf("key-%d", n), []byte("digest")
		}
		rs := mustCommit(t, s, c)
		if n%5 == 0 {
			if err := s.Annotate(t.Context(), rs[0].GetRevision(), nil, &crossfadev1.Proof{State: "proven"}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// tell asks a store everything. An error is the first one.
func tell(t testing.TB, s *Store) (tr truth, err error) {
	ctx := t.Context()
	keep := func(e error) {
		if err == nil {
			err = e
		}
	}
	var e error
	tr.snap, e = s.Load(ctx)
	keep(e)
	tr.history, e = s.History(ctx, store.HistoryQuery{Limit: 1 << 20})
	keep(e)
	for i := range objectNames {
		rs, e := s.History(ctx, store.HistoryQuery{Key: service(objectName(i)), Limit: 1 << 20})
		keep(e)
		tr.objects = append(tr.objects, rs)
	}
	c := commitOf(write(objectName(0), 0, 0))
	c.IdempotencyKey, c.RequestDigest = "key-0", []byte("digest")
	rs, replayed, e := s.Commit(ctx, c)
	if e == nil && !replayed {
		e = errors.New("the idempotency key is lost")
	}
	keep(e)
	tr.replay = rs
	return tr, err
}

// same says how two truths differ, empty if they do not.
func (a truth) same(b truth) string {
	if a.snap.Revision != b.snap.Revision || len(a.snap.Objects) != len(b.snap.Objects) {
		return "the snapshot differs"
	}
	for i, o := range a.snap.Objects {
		p := b.snap.Objects[i]
		if o.Key != p.Key || o.Revision != p.Revision || !proto.Equal(o.Document, p.Document) || !proto.Equal(o.Record, p.Record) {
			return "an object differs"
		}
	}
	all := append([][]*crossfadev1.Revision{a.history, a.replay}, a.objects...)
	other := append([][]*crossfadev1.Revision{b.history, b.replay}, b.objects...)
	for i := range all {
		if len(all[i]) != len(other[i]) {
			return "a history differs in length"
		}
		for j := range all[i] {
			if !proto.Equal(all[i][j], other[i][j]) {
				return "a revision differs"
			}
		}
	}
	return ""
}

// filled returns the bytes of a filled store, and what it says.
func filled(t testing.TB) ([]byte, truth) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	s := openStore(t, path)
	fill(t, s)
	tr, err := tell(t, s)
	if err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b, tr
}

// TestDamagedFile damages a closed file at random places: opening or reading says ErrCorrupt, or everything is as it was.
func TestDamagedFile(t *testing.T) {
	good, want := filled(t)
	path := filepath.Join(t.TempDir(), "db")
	seed := rand.Uint64()
	t.Logf("seed %d, %d bytes", seed, len(good))
	r := rand.New(rand.NewPCG(seed, 0))
	refused := 0
	for i := range 200 {
		b, what := damage(r, good, i)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, Options{})
		if err == nil {
			var have truth
			have, err = tell(t, s)
			closeStore(t, s)
			if err == nil && have.same(want) != "" {
				t.Fatalf("%s: %s", what, have.same(want))
			}
		}
		if err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("%s: %v, want ErrCorrupt", what, err)
		}
		if err != nil {
			refused++
		}
	}
	t.Logf("%d of 200 refused", refused)
	if refused < 50 {
		t.Fatalf("only %d of 200 were noticed: the damage does not reach what is used", refused)
	}
}

// damage returns a damaged copy: a flipped bit, zeros, noise, a page in another's place, or a cut.
func damage(r *rand.Rand, good []byte, i int) ([]byte, string) {
	b := bytes.Clone(good)
	at := r.IntN(len(b))
	pages := len(b) / os.Getpagesize()
	page := func(n int) []byte { return b[n*os.Getpagesize():][:os.Getpagesize()] }
	switch i % 6 {
	case 0:
		return b[:at], fmt.Sprintf("cut at %d", at)
	case 1:
		clear(b[at:min(len(b), at+512)])
		return b, fmt.Sprintf("512 zeros at %d", at)
	case 2:
		for j := at; j < min(len(b), at+16); j++ {
			b[j] = byte(r.Uint32())
		}
		return b, fmt.Sprintf("noise at %d", at)
	case 3:
		from, to := r.IntN(pages), r.IntN(pages)
		copy(page(to), page(from))
		return b, fmt.Sprintf("page %d over %d", from, to)
	case 4: // where the structure is
		at = at/os.Getpagesize()*os.Getpagesize() + r.IntN(96)
	}
	b[at] ^= 1 << r.IntN(8)
	return b, fmt.Sprintf("bit flipped at %d", at)
}

// entries lists what verify accepts.
func entries(t testing.TB, b []byte) (list []string) {
	t.Helper()
	err := walk(bytes.NewReader(b), int64(len(b)), func(path [][]byte, k, v []byte) {
		list = append(list, string(bytes.Join(append(path[:len(path):len(path)], k, v), []byte{0})))
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// sameEntries checks a damaged file in memory: verify refuses it, or its entries are those of the good one.
func sameEntries(t testing.TB, want []string, b []byte, what string) (refused bool) {
	t.Helper()
	if _, err := verify(bytes.NewReader(b), int64(len(b))); err != nil {
		if !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("%s: %v, want ErrCorrupt", what, err)
		}
		return true
	}
	have := entries(t, b)
	if len(have) != len(want) {
		t.Fatalf("%s: %d entries, want %d", what, len(have), len(want))
	}
	for i := range have {
		if have[i] != want[i] {
			t.Fatalf("%s: entry %d differs", what, i)
		}
	}
	return false
}

// TestEveryBitOfEveryHeader flips what holds the file together: each bit at the beginning of each page.
func TestEveryBitOfEveryHeader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s := openStore(t, path)
	for n := range 25 {
		mustCommit(t, s, commitOf(write(objectName(n%3), n, 200)))
	}
	closeStore(t, s)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := entries(t, b)
	for page := 0; page < len(b); page += os.Getpagesize() {
		for bit := range 8 * 40 {
			at := page + bit/8
			b[at] ^= 1 << (bit % 8)
			sameEntries(t, want, b, fmt.Sprintf("bit %d of byte %d", bit%8, at))
			b[at] ^= 1 << (bit % 8)
		}
	}
}

// TestOldPages puts pages of an earlier version of the file into a later one, as a disk does that loses a write.
func TestOldPages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s := openStore(t, path)
	fill(t, s)
	early, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		mustCommit(t, s, commitOf(write(objectName(n%objectNames), 1000+n, 100)))
	}
	closeStore(t, s)
	late, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := entries(t, late)
	refused := 0
	ps := os.Getpagesize()
	for at := 0; at+ps <= min(len(early), len(late)); at += ps {
		b := bytes.Clone(late)
		copy(b[at:at+ps], early[at:])
		if sameEntries(t, want, b, fmt.Sprintf("page %d is old", at/ps)) {
			refused++
		}
	}
	if refused < 3 {
		t.Fatalf("only %d old pages were noticed", refused)
	}
}

// TestCircle: pages that form a circle would make bbolt recurse until the process ends.
func TestCircle(t *testing.T) {
	good, _ := filled(t)
	want := entries(t, good)
	ps := os.Getpagesize()
	refused := 0
	for at := 2 * ps; at < len(good); at += ps {
		p, _ := parsePage(good[at : at+ps])
		if p.flags != pageBranch || p.id != uint64(at/ps) {
			continue
		}
		for i := range p.count {
			b := bytes.Clone(good)
			order.PutUint64(b[at+pageHeaderSize+i*elementSize+8:], p.id)
			if sameEntries(t, want, b, fmt.Sprintf("page %d refers to itself", p.id)) {
				refused++
			}
		}
	}
	if refused == 0 {
		t.Fatal("the file has no branch page in use")
	}
}

// TestFreePageInUse: a page that is in use and in the list of free pages would be overwritten by a later commit.
func TestFreePageInUse(t *testing.T) {
	b, _ := filled(t)
	m, err := readMeta(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	list := b[m.freelist*uint64(m.pageSize):]
	count := order.Uint16(list[10:])
	order.PutUint16(list[10:], count+1)
	order.PutUint64(list[pageHeaderSize+8*int(count):], m.root)
	if _, err := verify(bytes.NewReader(b), int64(len(b))); !errors.Is(err, store.ErrCorrupt) {
		t.Fatalf("%v, want ErrCorrupt", err)
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
			mustCommit(t, s, commitOf(write("a", 1, 10), write("b", 1, 10)))
			closeStore(t, s)
			update(t, path, change)
			if _, err := Open(path, Options{}); !errors.Is(err, store.ErrCorrupt) {
				t.Fatalf("%v, want ErrCorrupt", err)
			}
		})
	}
}

// TestDamageWhileOpen damages the file under an open store: reads say ErrCorrupt, what is live stays, commits are refused, Close returns.
func TestDamageWhileOpen(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(path string, size int64) error
	}{
		{"cut", func(path string, _ int64) error { return os.Truncate(path, int64(2*os.Getpagesize())) }},
		{"zeros", func(path string, size int64) error {
			return patch(path, int64(2*os.Getpagesize()), make([]byte, size-int64(2*os.Getpagesize())))
		}},
		{"all zeros", func(path string, size int64) error { return patch(path, 0, make([]byte, size)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "db")
			s := openStore(t, path)
			fill(t, s)
			before, err := s.Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := tt.damage(path, info.Size()); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if _, err := s.History(t.Context(), store.HistoryQuery{}); !errors.Is(err, store.ErrCorrupt) {
					t.Fatalf("History: %v, want ErrCorrupt", err)
				}
				if _, err := s.Revision(t.Context(), 7); !errors.Is(err, store.ErrCorrupt) {
					t.Fatalf("Revision: %v, want ErrCorrupt", err)
				}
				if _, _, err := s.Commit(t.Context(), commitOf(write("new", 1, 10))); !errors.Is(err, store.ErrUnavailable) {
					t.Fatalf("Commit: %v, want ErrUnavailable", err)
				}
			}
			after, err := s.Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if d := (truth{snap: before}).same(truth{snap: after}); d != "" {
				t.Fatal(d)
			}
			closeStore(t, s)
			if _, err := Open(path, Options{}); !errors.Is(err, store.ErrCorrupt) {
				t.Fatalf("Open: %v, want ErrCorrupt", err)
			}
		})
	}
}

// TestFlippedValueWhileOpen flips bits of a document under an open store.
func TestFlippedValueWhileOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s := openStore(t, path)
	mustCommit(t, s, commitOf(write("a", 1, 1000)))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for at := 0; ; at++ { // every copy of it, used or not
		i := bytes.Index(b[at:], []byte("0001-0001-"))
		if i < 0 {
			break
		}
		at += i
		found++
		if err := patch(path, int64(at), []byte("0001-0003-")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Revision(t.Context(), 1); found == 0 || !errors.Is(err, store.ErrCorrupt) {
		t.Fatalf("%d copies changed: %v, want ErrCorrupt", found, err)
	}
}

func patch(path string, at int64, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, at)
	return errors.Join(err, f.Close())
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

// FuzzVerify patches a good file: verify neither panics nor hangs, and accepts only the same entries.
func FuzzVerify(f *testing.F) {
	path := filepath.Join(f.TempDir(), "db")
	s := openStore(f, path)
	for n := range 30 {
		if _, _, err := s.Commit(f.Context(), commitOf(write(objectName(n%5), n, n*10))); err != nil {
			f.Fatal(err)
		}
	}
	closeStore(f, s)
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	want := entries(f, good)
	f.Add(uint32(os.Getpagesize()*2), []byte{1})
	f.Add(uint32(os.Getpagesize()*3+8), []byte{1, 0, 255, 255})
	f.Add(uint32(16), []byte{})
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		b := bytes.Clone(good)
		copy(b[int(at)%len(b):], patch)
		sameEntries(t, want, b, "patch")
	})
}
