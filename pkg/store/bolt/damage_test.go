package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// TestDamagedFile damages a closed file at random places: opening or reading says ErrCorrupt, or everything is as it was.
func TestDamagedFile(t *testing.T) {
	good, want := filled(t)
	path := filepath.Join(t.TempDir(), "db")
	seed := rand.Uint64()
	t.Logf("seed %d, %d bytes", seed, len(good))
	r := rand.New(rand.NewPCG(seed, 0))
	refused := 0
	places := 200
	if os.Getenv("CROSSFADE_FULL") != "" {
		places = 1000
	}
	for i := range places {
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
	t.Logf("%d of %d refused", refused, places)
	if refused < places/4 {
		t.Fatalf("only %d of %d were noticed: the damage does not reach what is used", refused, places)
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
