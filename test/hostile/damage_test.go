package hostile

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/internal/stack"
	"github.com/crossfade-proxy/crossfade/pkg/store/journal"
)

// pendingRollback is a service whose rollback is in the journal alone, as it is when the disk was full.
const pendingRollback = "pending"

// fullDirectory makes a data directory that has every file, and says what whoever opens it has to be told.
func fullDirectory(t *testing.T) (map[string][]byte, told) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	w := newWorld(t, func(c *stack.Config) { c.Data = dir })
	parsed, err := manifest.Parse("documents", []byte(documents))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parsed[:3] {
		w.apply(p.Document)
	}
	w.proxy("good", "default")
	w.apply(document(pendingRollback, 10003, 5000), document("other", 10003, 100))
	for i := range int32(60) {
		if _, err := w.API.SetSplit(t.Context(), &crossfadev1.SetSplitRequest{Service: "other", Weights: map[string]int32{"eks": 200 + i}, Options: &crossfadev1.ChangeOptions{IdempotencyKey: fmt.Sprint("key-", i)}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.API.StartRollout(t.Context(), &crossfadev1.StartRolloutRequest{Rollout: parsed[4].Document.GetRollout()}); err != nil {
		t.Fatal(err)
	}
	w.await(t, "notes of the rollout and the proxies", func() bool {
		notes, _ := filepath.Glob(filepath.Join(dir, "rollouts", "*"))
		roster, err := os.ReadFile(filepath.Join(dir, "proxies.json"))
		return len(notes) > 0 && err == nil && strings.Contains(string(roster), "good")
	})
	want := w.tell(t)
	want.splits[pendingRollback] = map[string]int32{"ecs": 10000, "eks": 0}
	w.Close()
	j, err := journal.Open(filepath.Join(dir, "rollback.journal"))
	if err != nil {
		t.Fatal(err)
	}
	entry, err := proto.Marshal(&crossfadev1.Revision{
		Time: timestamppb.New(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)), Who: "ann", Action: "rollback", Service: pendingRollback, Reason: strings.Repeat("5xx on eks ", 20), Stamp: "stamp-of-it",
	})
	if err == nil {
		_, err = j.Append(t.Context(), entry)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	endpoints := `{"version":1,"origins":[{"service":"orders","origin":"ecs","source":"ecs","looked":"2026-01-02T03:04:05Z","endpoints":[{"address":"127.0.0.2:80","state":"ready"}]}]}`
	if err := os.WriteFile(filepath.Join(dir, "endpoints.json"), []byte(endpoints), 0o600); err != nil {
		t.Fatal(err)
	}
	return files(t, dir), want
}

// files are those of a data directory, by their name there.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		out[name], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// hurt returns a damaged copy of a file: a bit that flipped, a cut, zeros, noise, or a sector in another's place.
func hurt(r *rand.Rand, good []byte, i int) ([]byte, string) {
	b := slices.Clone(good)
	if len(b) == 0 {
		return []byte{1}, "a byte in an empty file"
	}
	at := r.IntN(len(b))
	switch i % 6 {
	case 0:
		return b[:at], fmt.Sprintf("cut at %d", at)
	case 1:
		at -= at % 512
		clear(b[at:min(len(b), at+512)])
		return b, fmt.Sprintf("512 zeros at %d", at)
	case 2:
		for j := at; j < min(len(b), at+16); j++ {
			b[j] = byte(r.Uint32())
		}
		return b, fmt.Sprintf("noise at %d", at)
	case 3:
		from := r.IntN(len(b))
		copy(b[at:min(len(b), at+512)], good[from:])
		return b, fmt.Sprintf("512 bytes of %d at %d", from, at)
	}
	bit := r.IntN(8)
	b[at] ^= 1 << bit
	return b, fmt.Sprintf("bit %d of byte %d flipped", bit, at)
}

// TestDamagedDirectory damages each file of the data directory, again and again: the control plane refuses it with a clear word, or starts and
// says what is lost, and what it then says is what it was given.
func TestDamagedDirectory(t *testing.T) {
	together(t)
	r := seeded(t)
	good, want := fullDirectory(t)
	for _, name := range []string{"store.db", "rollback.journal", "proxies.json", "endpoints.json"} {
		if good[name] == nil {
			t.Fatalf("there is no %s among %v", name, slices.Sorted(maps.Keys(good)))
		}
	}
	whole := start(t, good, "", nil)
	if whole.refused != "" || want.differs(whole.told) != "" {
		t.Fatalf("undamaged: %q, %s", whole.refused, want.differs(whole.told))
	}
	names := slices.Sorted(maps.Keys(good))
	refused, recovered := map[string]int{}, map[string]int{}
	places := either(100, 1000)
	for i := range places {
		name := names[r.IntN(len(names))]
		if i%2 == 0 {
			name = []string{"store.db", "rollback.journal"}[i/2%2]
		}
		b, what := hurt(r, good[name], r.IntN(6))
		if name == "rollback.journal" && i%3 > 0 { // where its only entry is
			b = slices.Clone(good[name])
			at := 512 + r.IntN(300)
			b[at] ^= 1 << r.IntN(8)
			what = fmt.Sprintf("a bit of byte %d flipped", at)
		}
		got := start(t, good, name, b)
		if got.refused != "" {
			refused[name]++
			if why := unclearRefusal(name, got.refused); why != "" {
				t.Errorf("%s, %s: %s: %s", name, what, why, got.refused)
			}
			continue
		}
		recovered[name]++
		if d := want.differs(got.told); d != "" && !said(got.log, name) {
			t.Errorf("%s, %s: it started, without a word, and %s", name, what, d)
		}
	}
	t.Logf("refused: %v; started: %v", refused, recovered)
	if refused["store.db"] < places/30 || len(recovered) < 3 {
		t.Error("the damage does not reach what is used")
	}
}

// said says whether the log warns of what a file that was damaged held.
func said(log, name string) bool {
	for line := range strings.Lines(log) {
		if (strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR")) && strings.Contains(line, strings.Split(name, ".")[0]) || strings.Contains(line, "journal") && strings.Contains(line, "level=WARN") {
			return true
		}
	}
	return false
}

// unclearRefusal says what a refusal to start lacks.
func unclearRefusal(name, said string) string {
	switch {
	case strings.Contains(said, "goroutine ") || strings.Contains(said, "panic"):
		return "it broke"
	case !strings.Contains(said, name):
		return "it does not name the file"
	case !strings.Contains(said, "backup") && !strings.Contains(said, "move the file away") && !strings.Contains(said, "version"):
		return "it does not say what to do"
	}
	return ""
}

// started is what came of a start.
type started struct {
	refused string // what it said; empty: it serves
	log     string
	told    told
}

// start starts a control plane on a copy of a data directory in which one file is another.
func start(t *testing.T, good map[string][]byte, name string, damaged []byte) started {
	t.Helper()
	dir := t.TempDir()
	defer os.RemoveAll(dir) // or a thousand would be there at once
	data := filepath.Join(dir, "data")
	for file, b := range good {
		if file == name {
			b = damaged
		}
		path := filepath.Join(data, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{t: t, log: &kept{}}
	var err error
	if w.Stack, err = stack.Start(t.Context(), stack.Config{Binary: xdsServer, Dir: dir, Data: data, Log: w.log}); err != nil {
		return started{refused: err.Error()}
	}
	defer w.Close()
	out := started{told: w.tell(t)}
	w.Close()
	out.log = w.log.String() // all of it: until the process has ended, lines may be on their way
	return out
}
