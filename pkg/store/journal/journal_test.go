package journal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/store"
)

func openJournal(t testing.TB, path string) *Journal {
	t.Helper()
	j, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeJournal(t, j) })
	return j
}

func closeJournal(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func add(t testing.TB, j *Journal, data string) ID {
	t.Helper()
	id, err := j.Append(t.Context(), []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func pending(j *Journal) string {
	var out []string
	for _, e := range j.Pending() {
		out = append(out, string(e.Data))
	}
	return strings.Join(out, ",")
}

func expect(t testing.TB, j *Journal, want string) {
	t.Helper()
	if have := pending(j); have != want {
		t.Fatalf("pending %.200q, want %.200q", have, want)
	}
}

func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := openJournal(t, path)
	expect(t, j, "")
	long := strings.Repeat("x", 3000)
	a, b, c := add(t, j, "a"), add(t, j, long), add(t, j, "c")
	if a >= b || b >= c {
		t.Fatalf("numbers %d %d %d", a, b, c)
	}
	if err := j.Done(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if err := j.Done(t.Context(), b); !errors.Is(err, ErrUnknown) {
		t.Fatalf("done twice: %v", err)
	}
	add(t, j, "d") // where the long one began
	j.Pending()[0].Data[0] = '!'
	expect(t, j, "a,c,d")
	closeJournal(t, j)

	j = openJournal(t, path)
	expect(t, j, "a,c,d")
	for _, e := range j.Pending() {
		if err := j.Done(t.Context(), e.ID); err != nil {
			t.Fatal(err)
		}
	}
	closeJournal(t, j)
	j = openJournal(t, path)
	expect(t, j, "")
}

func TestFull(t *testing.T) {
	j := openJournal(t, filepath.Join(t.TempDir(), "journal"))
	var ids []ID
	for {
		id, err := j.Append(t.Context(), fmt.Appendf(nil, "entry %d", len(ids)))
		if errors.Is(err, ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if len(ids) != sectors-firstSlot {
		t.Fatalf("%d small entries fit, want %d", len(ids), sectors-firstSlot)
	}
	if err := j.Done(t.Context(), ids[7]); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append(t.Context(), make([]byte, sectorSize)); !errors.Is(err, ErrFull) {
		t.Fatalf("two sectors into the room of one: %v", err)
	}
	add(t, j, "again")
	for _, n := range []int{0, MaxEntry + 1} {
		if _, err := j.Append(t.Context(), make([]byte, n)); !errors.Is(err, ErrTooLarge) {
			t.Fatalf("entry of %d bytes: %v", n, err)
		}
	}
}

func TestLargest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := openJournal(t, path)
	large := strings.Repeat("0123456789abcdef", MaxEntry/16)
	for range 3 {
		add(t, j, large)
	}
	closeJournal(t, j)
	expect(t, openJournal(t, path), large+","+large+","+large)
}

// TestPreallocated shows that the file has its blocks from the start and never changes its size.
func TestPreallocated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := openJournal(t, path)
	before := blocks(t, path)
	if before < fileSize {
		t.Fatalf("%d bytes are allocated, want %d", before, fileSize)
	}
	for {
		if _, err := j.Append(t.Context(), make([]byte, 700)); errors.Is(err, ErrFull) {
			break
		}
	}
	if after := blocks(t, path); after != before {
		t.Fatalf("%d bytes are allocated after writing, %d before", after, before)
	}
}

// TestTorn cuts the write of an entry at every byte: afterwards it is there whole, or not at all.
func TestTorn(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "journal")
	j := openJournal(t, path)
	add(t, j, "before")
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	entry := strings.Repeat("torn", 300)
	add(t, j, entry)
	closeJournal(t, j)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first := firstSlot + 1
	for n := range sectorsFor(len(entry))*sectorSize + 1 {
		b := bytes.Clone(old)
		copy(b[first*sectorSize:], whole[first*sectorSize:first*sectorSize+n])
		want := "before"
		if n >= headerSize+len(entry) {
			want += "," + entry
		}
		expect(t, openBytes(t, b), want)
	}
}

// TestCopyIsNoEntry: an entry counts only where it was written.
func TestCopyIsNoEntry(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	add(t, openJournal(t, path), "one")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(b[9*sectorSize:10*sectorSize], b[firstSlot*sectorSize:])
	expect(t, openBytes(t, b), "one")
}

// openBytes finds the entries in the content of a journal.
func openBytes(t *testing.T, b []byte) *Journal {
	t.Helper()
	j := &Journal{live: map[ID]slot{}}
	if err := errors.Join(checkFile(b), j.scan(b)); err != nil {
		t.Fatal(err)
	}
	return j
}

// TestFlippedBits flips each bit of a journal: an entry is as it was or absent, and never another one.
func TestFlippedBits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := openJournal(t, path)
	entries := []string{"one", strings.Repeat("two", 400), "three"}
	for _, e := range entries {
		add(t, j, e)
	}
	closeJournal(t, j)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * 7 * sectorSize {
		b[bit/8] ^= 1 << (bit % 8)
		j := &Journal{live: map[ID]slot{}}
		err := checkFile(b)
		if inHeader := bit/8 < sectorSize; (err != nil) != inHeader || err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("bit %d: %v", bit, err)
		}
		if err := j.scan(b); err != nil {
			t.Fatalf("bit %d: %v", bit, err)
		}
		for _, e := range j.Pending() {
			if string(e.Data) != entries[e.ID-1] {
				t.Fatalf("bit %d: entry %d is another one", bit, e.ID)
			}
		}
		if n := len(j.live); n < len(entries)-1 {
			t.Fatalf("bit %d: %d entries", bit, n)
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	newer := newFile()
	order.PutUint32(newer[len(fileMagic):], version+1)
	sum := sha256Of(newer)
	copy(newer[sectorSize-sumSize:], sum)
	for name, tt := range map[string]struct {
		content []byte
		want    error
	}{
		"empty":   {nil, store.ErrCorrupt},
		"foreign": {bytes.Repeat([]byte("x"), fileSize), store.ErrCorrupt},
		"cut":     {newFile()[:fileSize-1], store.ErrCorrupt},
		"longer":  {append(newFile(), 0), store.ErrCorrupt},
		"newer":   {newer, store.ErrNewerVersion},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, tt.content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %v with the path", name, err, tt.want)
		}
		if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, tt.content) {
			t.Errorf("%s: the file was changed (%v)", name, err)
		}
	}
	if _, err := Open(filepath.Join(dir, "none", "journal")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("no directory: %v", err)
	}
	path := filepath.Join(dir, "used")
	openJournal(t, path)
	if _, err := Open(path); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "another process") {
		t.Errorf("opened twice: %v", err)
	}
}

// TestHungDisk: nobody waits longer than its context, others are refused at once, and what was written is there when the disk is back.
func TestHungDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := openJournal(t, filepath.Join(t.TempDir(), "journal"))
		hang := make(chan struct{})
		real := j.writeAt
		j.writeAt = func(b []byte, o int64) error {
			<-hang
			return real(b, o)
		}
		start := time.Now()
		try := func(timeout time.Duration) time.Duration {
			t.Helper()
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			defer cancel()
			from := time.Now()
			if _, err := j.Append(ctx, []byte("hung")); !errors.Is(err, store.ErrUnavailable) {
				t.Fatalf("Append on a hung disk: %v", err)
			}
			return time.Since(from)
		}
		if d := try(50 * time.Millisecond); d != 50*time.Millisecond {
			t.Fatalf("returned after %s, want 50ms", d)
		}
		for range 3 {
			if d := try(time.Hour); d != 0 {
				t.Fatalf("returned after %s, want at once", d)
			}
		}
		expect(t, j, "")
		close(hang)
		synctest.Wait()
		expect(t, j, "hung")
		add(t, j, "after")
		expect(t, j, "hung,after")
		if d := time.Since(start); d != 50*time.Millisecond {
			t.Fatalf("took %s", d)
		}
	})
}

// TestFailingDisk: an entry that could not be written is not pending, and its room is free again.
func TestFailingDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := openJournal(t, path)
	real := j.writeAt
	fail := true
	j.writeAt = func(b []byte, o int64) error {
		if err := real(b, o); err != nil || !fail {
			return err
		}
		fail = false // the next write works
		return errors.New("input/output error")
	}
	if _, err := j.Append(t.Context(), []byte("lost")); !errors.Is(err, store.ErrUnavailable) {
		t.Fatal(err)
	}
	expect(t, j, "")
	for range sectors - firstSlot {
		add(t, j, "x")
	}
	id := j.Pending()[0].ID
	fail = true
	if err := j.Done(t.Context(), id); !errors.Is(err, store.ErrUnavailable) {
		t.Fatal(err)
	}
	if err := j.Done(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

func TestClosed(t *testing.T) {
	j := openJournal(t, filepath.Join(t.TempDir(), "journal"))
	id := add(t, j, "a")
	closeJournal(t, j)
	if _, err := j.Append(t.Context(), []byte("b")); !errors.Is(err, store.ErrUnavailable) {
		t.Fatal(err)
	}
	if err := j.Done(t.Context(), id); !errors.Is(err, store.ErrUnavailable) {
		t.Fatal(err)
	}
}

// TestModel does random things to a journal and to a list, with reopening in between.
func TestModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	path := filepath.Join(t.TempDir(), "journal")
	j := openJournal(t, path)
	var model []Entry
	for step := range 600 {
		switch n := r.IntN(20); {
		case n == 0:
			closeJournal(t, j)
			j = openJournal(t, path)
		case n < 11:
			data := make([]byte, 1+r.IntN(4000))
			for i := range data {
				data[i] = byte(r.Uint32())
			}
			id, err := j.Append(t.Context(), data)
			if err == nil {
				model = append(model, Entry{id, data})
			} else if !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
		case len(model) > 0:
			i := r.IntN(len(model))
			if err := j.Done(t.Context(), model[i].ID); err != nil {
				t.Fatal(err)
			}
			model = append(model[:i], model[i+1:]...)
		}
		have := j.Pending()
		if len(have) != len(model) {
			t.Fatalf("step %d: %d entries, want %d", step, len(have), len(model))
		}
		for i := range have {
			if have[i].ID != model[i].ID || !bytes.Equal(have[i].Data, model[i].Data) {
				t.Fatalf("step %d: entry %d differs", step, i)
			}
		}
	}
}

func TestConcurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := openJournal(t, path)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			id, err := j.Append(t.Context(), fmt.Append(nil, i))
			if err == nil && i%2 == 0 {
				err = j.Done(t.Context(), id)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	closeJournal(t, j)
	if n := len(openJournal(t, path).Pending()); n != 10 {
		t.Fatalf("%d entries, want 10", n)
	}
}

// FuzzScan: whatever is in the file, opening neither panics nor takes an entry twice.
func FuzzScan(f *testing.F) {
	j := openJournal(f, filepath.Join(f.TempDir(), "journal"))
	id, err := j.Append(context.Background(), []byte("seed"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint16(sectorSize), encode(id, 1, []byte("seed")))
	f.Add(uint16(0), []byte(fileMagic))
	f.Fuzz(func(t *testing.T, at uint16, patch []byte) {
		b := newFile()
		copy(b[at:], patch)
		j := &Journal{live: map[ID]slot{}}
		if checkFile(b) != nil || j.scan(b) != nil {
			return
		}
		var used [sectors]bool
		for _, s := range j.live {
			for i := s.first; i < s.first+s.count; i++ {
				if used[i] {
					t.Fatalf("sector %d is used twice", i)
				}
				used[i] = true
			}
		}
		if used != j.used {
			t.Fatal("the used sectors are not those of the entries")
		}
	})
}

func BenchmarkAppendDone(b *testing.B) {
	j := openJournal(b, filepath.Join(b.TempDir(), "journal"))
	data := make([]byte, 300)
	for b.Loop() {
		id, err := j.Append(b.Context(), data)
		if err == nil {
			err = j.Done(b.Context(), id)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// blocks is how many bytes a file has on disk.
func blocks(t *testing.T, path string) int64 {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}

func sha256Of(file []byte) []byte {
	sum := sha256.Sum256(file[:sectorSize-sumSize])
	return sum[:sumSize]
}
