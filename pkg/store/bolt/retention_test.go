package bolt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/prototext"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

var actions = []string{"apply", "split set", "rollback", "endpoints accept"}

// randomHistory commits changes over many days and returns the time of the last.
func randomHistory(t *testing.T, s *Store, r *rand.Rand, changes int) time.Time {
	t.Helper()
	at := now
	for n := range changes {
		at = at.Add(time.Duration(r.IntN(24)) * time.Hour)
		c := commitOf(write(objectName(r.IntN(objectNames)), n, r.IntN(400)))
		c.Time, c.Writes[0].Action = at, actions[r.IntN(len(actions))]
		if r.IntN(8) == 0 {
			c.Writes[0].After = nil
		}
		if r.IntN(3) == 0 {
			c.IdempotencyKey, c.RequestDigest = fmt.Sprintf("key-%d", n), []byte("digest")
		}
		if _, _, err := s.Commit(t.Context(), c); err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
	}
	return at
}

// TestRetention holds trims of random histories against what a retention promises.
func TestRetention(t *testing.T) {
	for range 20 {
		seed := rand.Uint64()
		r := rand.New(rand.NewPCG(seed, 0))
		path := filepath.Join(t.TempDir(), "db")
		s := openStore(t, path)
		s.db.NoSync = true // it is about what stays, not about crashes
		at := randomHistory(t, s, r, 150)
		keep := store.Retention{Keep: time.Duration(r.IntN(60*24)) * time.Hour, Most: r.IntN(200), Least: r.IntN(80)}
		before, snap := allOf(t, s), load(t, s)
		n, err := s.Trim(t.Context(), keep, at)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		after := allOf(t, s)
		if len(after) != len(before)-n {
			t.Fatalf("seed %d: %d of %d removed, %d are left", seed, n, len(before), len(after))
		}
		if what := wrongTrim(keep, at, snap, before, after); what != "" {
			t.Fatalf("seed %d, %+v: %s", seed, keep, what)
		}
		checkKeys(t, s, before, after, at)
		if again, err := s.Trim(t.Context(), keep, at); again != 0 || err != nil {
			t.Fatalf("seed %d: %d more at the second time, error %v", seed, again, err)
		}
		closeStore(t, s)
		c, err := Inspect(t.Context(), path) // the index is whole, and so are all sums
		if err != nil || c.Revisions != len(after) {
			t.Fatalf("seed %d: %+v, %v", seed, c, err)
		}
	}
}

// wrongTrim says what is wrong with what is left; empty: nothing.
func wrongTrim(keep store.Retention, at time.Time, snap *store.Snapshot, before, after []*crossfadev1.Revision) string {
	has := map[int64]bool{}
	for _, r := range after {
		has[r.GetRevision()] = true
	}
	live, met := map[store.ObjectKey]bool{}, map[string]bool{}
	for _, o := range snap.Objects {
		live[o.Key] = true
	}
	for i, r := range before { // newest first
		key := store.KeyOfRevision(r)
		kind := key.Name + " " + r.GetAction()
		last := live[key] && !met[kind]
		met[kind] = met[kind] || live[key]
		age := at.Sub(r.GetTime().AsTime())
		must := last || i < keep.Least || age <= store.KeyLifetime
		old := age > keep.Keep || keep.Most > 0 && i >= keep.Most
		switch {
		case (must || !old) && !has[r.GetRevision()]:
			return fmt.Sprintf("revision %d is gone: %s of %s, the %dth, %s old", r.GetRevision(), r.GetAction(), key.Name, i, age)
		case !must && old && age > store.KeyLifetime+time.Hour && has[r.GetRevision()]:
			return fmt.Sprintf("revision %d is there: %s of %s, the %dth, %s old", r.GetRevision(), r.GetAction(), key.Name, i, age)
		}
	}
	return ""
}

// checkKeys asks for every idempotency key that was used within its lifetime.
func checkKeys(t *testing.T, s *Store, before, after []*crossfadev1.Revision, at time.Time) {
	t.Helper()
	var used []store.Used
	if err := s.Export(t.Context(), func(i store.Item) error {
		if i.Used != nil && at.Sub(i.Used.Time) <= store.KeyLifetime {
			used = append(used, *i.Used)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, u := range used {
		rs, ok, err := s.Replay(t.Context(), u.Key, u.Digest, at)
		if !ok || err != nil || rs[0].GetRevision() != u.First {
			t.Fatalf("key %s of revision %d: %v %v (%d revisions before, %d after)", u.Key, u.First, ok, err, len(before), len(after))
		}
	}
}

func allOf(t *testing.T, s *Store) []*crossfadev1.Revision {
	t.Helper()
	rs, err := s.History(t.Context(), store.HistoryQuery{Limit: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

func load(t *testing.T, s *Store) *store.Snapshot {
	t.Helper()
	snap, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

// TestTheFileStopsGrowing: 100,000 changes (40,000 unless CROSSFADE_FULL is set) with trims in between take no more room than the
// first 20,000 did.
func TestTheFileStopsGrowing(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "db"))
	s.db.NoSync = true // it is about room, not about crashes
	keep := store.Retention{Keep: 48 * time.Hour, Most: 2000, Least: 100}
	const at = 100
	changes := 40_000
	if os.Getenv("CROSSFADE_FULL") != "" {
		changes = 100_000
	}
	var early, most int64
	for n := 0; n < changes; n += at {
		c := commitOf()
		c.Time = now.Add(time.Duration(n) * time.Minute)
		for i := range at {
			c.Writes = append(c.Writes, write(fmt.Sprintf("s%d", i), n, 200))
		}
		mustCommit(t, s, c)
		if n%4000 != 0 {
			continue
		}
		if err := trimAll(s, keep, c.Time); err != nil {
			t.Fatal(err)
		}
		u, err := s.Usage()
		if err != nil {
			t.Fatal(err)
		}
		if n <= 20_000 {
			early = max(early, u.Bytes)
		}
		most = max(most, u.Bytes)
	}
	count := len(allOf(t, s))
	t.Logf("%d revisions are left, %d bytes after 20,000 changes, %d at most", count, early, most)
	if most > early || count > 8000 {
		t.Fatalf("the file grew from %d bytes to %d, with %d revisions", early, most, count)
	}
}

// trimAll is Trim without pauses.
func trimAll(s *Store, keep store.Retention, at time.Time) error {
	list, err := s.trimmable(context.Background(), keep, at)
	for err == nil && len(list) > 0 {
		part := list[:min(trimBatch, len(list))]
		list = list[len(part):]
		err = s.submit(context.Background(), func(b *batch) outcome { b.trim(part); return outcome{} }).err
	}
	return err
}

// TestImport: what was exported and imported says what the store said, and takes changes.
func TestImport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s := openStore(t, path)
	fill(t, s)
	if _, err := s.Trim(t.Context(), store.Retention{Most: 60}, now.Add(30*time.Hour)); err != nil {
		t.Fatal(err)
	}
	want := told(t, s)
	copied := filepath.Join(t.TempDir(), "copy")
	if err := Import(copied, itemsOf(t, s)); err != nil {
		t.Fatal(err)
	}
	to := openStore(t, copied)
	if have := told(t, to); have != want {
		t.Fatalf("it says\n%s\nwant\n%s", have, want)
	}
	a, b := mustCommit(t, s, commitOf(write("a", 1, 10))), mustCommit(t, to, commitOf(write("a", 1, 10)))
	if a[0].GetRevision() != b[0].GetRevision() {
		t.Fatalf("the next revision is %d, want %d", b[0].GetRevision(), a[0].GetRevision())
	}
	if err := Import(copied, itemsOf(t, s)); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("over a store: %v, want ErrUnavailable", err)
	}
}

// itemsOf returns what a store exports, one by one.
func itemsOf(t *testing.T, s *Store) func() (store.Item, error) {
	t.Helper()
	var list []store.Item
	if err := s.Export(t.Context(), func(i store.Item) error { list = append(list, i); return nil }); err != nil {
		t.Fatal(err)
	}
	return func() (store.Item, error) {
		if len(list) == 0 {
			return store.Item{}, io.EOF
		}
		i := list[0]
		list = list[1:]
		return i, nil
	}
}

// told is all that a store exports, and the history of each object by its index.
func told(t *testing.T, s *Store) string {
	t.Helper()
	var b strings.Builder
	next := itemsOf(t, s)
	for i, err := next(); err == nil; i, err = next() {
		fmt.Fprintf(&b, "%+v %v %+v %+v\n", i.Head, prototext.MarshalOptions{}.Format(i.Revision), i.Live, i.Used)
	}
	for i := range objectNames {
		rs, err := s.History(t.Context(), store.HistoryQuery{Key: service(objectName(i)), Limit: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rs {
			fmt.Fprintf(&b, "%s %d\n", objectName(i), r.GetRevision())
		}
	}
	return b.String()
}

// TestAnImportThatFailsLeavesNothing: neither half a store, nor its other name.
func TestAnImportThatFailsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, filepath.Join(t.TempDir(), "db"))
	fill(t, s)
	next, n, broken := itemsOf(t, s), 0, errors.New("broken")
	err := Import(filepath.Join(dir, "db"), func() (store.Item, error) {
		if n++; n == 100 {
			return store.Item{}, broken
		}
		return next()
	})
	entries, _ := os.ReadDir(dir)
	if !errors.Is(err, broken) || len(entries) != 0 {
		t.Fatalf("error %v, left: %v", err, entries)
	}
}

// TestCompact: the same is in it, in less room; a store that waits for the lock meanwhile opens the new file.
func TestCompact(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s := openStore(t, path)
	fill(t, s)
	for n := range 40 {
		mustCommit(t, s, commitOf(write("large", n, 50_000)))
	}
	c := commitOf(write("large", 0, 0))
	c.Writes[0].After = nil
	mustCommit(t, s, c)
	if _, err := s.Trim(t.Context(), store.Retention{Most: 30}, now.Add(30*time.Hour)); err != nil {
		t.Fatal(err)
	}
	want := told(t, s)
	closeStore(t, s)
	before, after, err := Compact(path)
	if err != nil || after.Bytes >= before.Bytes/2 || after.FreeShare() >= before.FreeShare() {
		t.Fatalf("%+v became %+v, error %v", before, after, err)
	}
	s = openStore(t, path)
	if have := told(t, s); have != want {
		t.Fatalf("it says\n%s\nwant\n%s", have, want)
	}
	if _, _, err := Compact(path + "x"); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("of no store: %v, want ErrUnavailable", err)
	}
	left, _ := filepath.Glob(path + "*")
	if !slices.Equal(left, []string{path}) {
		t.Fatalf("left: %v", left)
	}
}
