package backup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

var made = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func document(name string, n int32) *crossfadev1.Document {
	return &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: &crossfadev1.Service{Name: name, Listener: &crossfadev1.Listener{Port: n}}}}
}

// items are those of a store with two services, one of them deleted, and a trimmed history.
func items() []store.Item {
	out := []store.Item{{Head: &store.Head{Revision: 40, Revisions: 30}}}
	for n := int32(11); n <= 40; n++ {
		r := &crossfadev1.Revision{
			Revision: int64(n), Time: timestamppb.New(made), Kind: "Service", Service: "orders", Before: document("orders", n-1), After: document("orders", n), Who: "ann", Action: "apply",
		}
		if n%3 == 0 {
			r.Service, r.Before, r.After = "gone", document("gone", n), nil
		}
		out = append(out, store.Item{Revision: r})
	}
	out = append(out, store.Item{Live: &store.Live{Key: store.ObjectKey{Kind: "Service", Name: "orders"}, Revision: 40}})
	for n := range 5 {
		out = append(out, store.Item{Used: &store.Used{Key: fmt.Sprint("key", n), Time: made, First: int64(20 + n), Count: 1, Digest: []byte("digest")}})
	}
	return out
}

func write(t testing.TB, journal [][]byte, list []store.Item) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, Header{Made: made, Version: "v1"})
	for _, e := range journal {
		err = errors.Join(err, w.Journal(e))
	}
	for _, i := range list {
		err = errors.Join(err, w.Item(i))
	}
	if err := errors.Join(err, w.End()); err != nil {
		t.Fatal(err)
	}
	if w.Bytes() != int64(out.Len()) {
		t.Fatalf("it says %d bytes, there are %d", w.Bytes(), out.Len())
	}
	return out.Bytes()
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	want := items()
	b := write(t, [][]byte{[]byte("one"), []byte("two")}, want)
	var have []store.Item
	var journal []string
	s, err := Read(bytes.NewReader(b), func(r Record) error {
		if r.Journal != nil {
			journal = append(journal, string(r.Journal))
			return nil
		}
		have = append(have, r.Item)
		return nil
	})
	if err != nil || fmt.Sprint(journal) != "[one two]" {
		t.Fatalf("error %v, journal %v", err, journal)
	}
	if s != (Summary{Header: Header{Made: made, Version: "v1"}, Revision: 40, Revisions: 30, Live: 1, Journal: 2}) {
		t.Fatalf("%+v", s)
	}
	if len(have) != len(want) {
		t.Fatalf("%d items, want %d", len(have), len(want))
	}
	for i := range want {
		if !sameItem(want[i], have[i]) {
			t.Fatalf("item %d is %+v, want %+v", i, have[i], want[i])
		}
	}
}

func sameItem(a, b store.Item) bool {
	if a.Revision != nil || b.Revision != nil {
		return proto.Equal(a.Revision, b.Revision)
	}
	return fmt.Sprintf("%+v %+v %+v", a.Head, a.Live, a.Used) == fmt.Sprintf("%+v %+v %+v", b.Head, b.Live, b.Used)
}

// TestDamagedBackups: every cut, and 200 flipped bits and other damage at random places, are refused with the word for it.
func TestDamagedBackups(t *testing.T) {
	good := write(t, [][]byte{[]byte("one")}, items())
	seed := rand.Uint64()
	t.Logf("seed %d, %d bytes", seed, len(good))
	r := rand.New(rand.NewPCG(seed, 0))
	refused := func(b []byte, what string) {
		t.Helper()
		_, err := Read(bytes.NewReader(b), nil)
		newer := errors.Is(err, store.ErrNewerVersion) && !bytes.HasPrefix(b, good[:len(magic)+4]) // the damage is in the version
		if !errors.Is(err, store.ErrCorrupt) && !newer {
			t.Fatalf("%s: %v, want ErrCorrupt", what, err)
		}
	}
	for n := range good {
		refused(good[:n], fmt.Sprintf("cut at %d", n))
	}
	for range 200 {
		at, bit := r.IntN(len(good)), r.IntN(8)
		b := bytes.Clone(good)
		b[at] ^= 1 << bit
		refused(b, fmt.Sprintf("bit %d of byte %d flipped", bit, at))
	}
	refused(append(bytes.Clone(good), 0), "a byte behind the end")
	refused(append(bytes.Clone(good), good...), "twice")
	refused(nil, "empty")
	refused([]byte("something else altogether, which is long enough"), "another file")
}

func TestNewerFormsAreRefused(t *testing.T) {
	b := write(t, nil, items())
	b[len(magic)+3]++
	if _, err := Read(bytes.NewReader(b), nil); !errors.Is(err, store.ErrNewerVersion) {
		t.Fatalf("%v, want ErrNewerVersion", err)
	}
}

// TestItemsThatDoNotFitTogether: a checksum that is right does not make them so.
func TestItemsThatDoNotFitTogether(t *testing.T) {
	for name, change := range map[string]func([]store.Item) []store.Item{
		"no head":               func(l []store.Item) []store.Item { return l[1:] },
		"two heads":             func(l []store.Item) []store.Item { return append(l[:1:1], l...) },
		"a revision twice":      func(l []store.Item) []store.Item { return append(l[:2:2], l[1:]...) },
		"beyond the last":       func(l []store.Item) []store.Item { l[0].Head.Revision = 39; return l },
		"live is not the last":  func(l []store.Item) []store.Item { l[31].Live.Revision = 38; return l },
		"live is nothing":       func(l []store.Item) []store.Item { l[31].Live.Key.Name = "gone"; return l },
		"keys out of order":     func(l []store.Item) []store.Item { l[33], l[34] = l[34], l[33]; return l },
		"live after keys":       func(l []store.Item) []store.Item { l[31], l[32] = l[32], l[31]; return l },
		"a key of what is not":  func(l []store.Item) []store.Item { l[33].Used.First = 41; return l },
		"a document of another": func(l []store.Item) []store.Item { l[30].Revision.Service = "x"; return l },
		"nothing":               func([]store.Item) []store.Item { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			b := write(t, nil, change(items()))
			if _, err := Read(bytes.NewReader(b), nil); !errors.Is(err, store.ErrCorrupt) {
				t.Fatalf("%v, want ErrCorrupt", err)
			}
		})
	}
}

func TestErrorsOfTheInputAreNotDamage(t *testing.T) {
	broken := errors.New("the disk is broken")
	b := write(t, nil, items())
	_, err := Read(io.MultiReader(bytes.NewReader(b[:200]), failing{broken}), nil)
	if !errors.Is(err, broken) || errors.Is(err, store.ErrCorrupt) {
		t.Fatalf("%v, want the error of the input", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// FuzzRead: whatever the bytes, there is an answer, and only what was written is taken for whole.
func FuzzRead(f *testing.F) {
	f.Add(write(f, [][]byte{[]byte("one")}, items()))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := Read(bytes.NewReader(b), nil)
		if err != nil && !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrNewerVersion) {
			t.Fatal(err)
		}
	})
}
