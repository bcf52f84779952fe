package attempts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/access"
)

// clock is a time that the test sets.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func newLog(t *testing.T, path string) (*Log, *clock) {
	t.Helper()
	c := &clock{time.Date(2026, 3, 1, 3, 10, 0, 0, time.UTC)}
	return open(path, slog.New(slog.NewTextHandler(t.Output(), nil)), c.now), c
}

func refusal(who, method, service string) *access.Refusal {
	return &access.Refusal{Who: who, Method: method, Service: service, Role: access.Operator}
}

func TestOneForAnHour(t *testing.T) {
	l, c := newLog(t, filepath.Join(t.TempDir(), "denied.json"))
	if !l.Note(refusal("ann", "Rollback", "orders")) {
		t.Error("the first is not the first")
	}
	c.at = c.at.Add(49 * time.Minute)
	if l.Note(refusal("ann", "Rollback", "orders")) {
		t.Error("the second is a first")
	}
	for _, other := range []*access.Refusal{refusal("bob", "Rollback", "orders"), refusal("ann", "Undo", "orders"), refusal("ann", "Rollback", "pay")} {
		if !l.Note(other) {
			t.Errorf("%+v is not the first of its kind", other)
		}
	}
	c.at = c.at.Add(2 * time.Minute) // the next hour
	if !l.Note(refusal("ann", "Rollback", "orders")) {
		t.Error("the next hour has no entry of its own")
	}
	got := l.List(0)
	if len(got) != 5 || got[4].Count != 2 || got[4].ID != 1 || !got[4].Last.Equal(got[4].First.Add(49*time.Minute)) || got[0].ID != 5 || l.Next() != 6 {
		t.Errorf("got %+v, next %d", got, l.Next())
	}
	if below := l.List(3); len(below) != 2 || below[0].ID != 2 {
		t.Errorf("below 3: %+v", below)
	}
}

// TestAFloodPushesNobodyElseOut: whoever is refused again and again, by whatever words, has the room of one caller.
func TestAFloodPushesNobodyElseOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "denied.json")
	l, c := newLog(t, path)
	l.Note(refusal("ann", "Rollback", "orders"))
	for i := range 2_000 {
		c.at = c.at.Add(time.Second)
		l.Note(refusal("mallory", "Get", fmt.Sprintf("s%d", i)))
		l.Note(refusal("mallory", "Get", strings.Repeat("x", i))) // no name of a service
	}
	got := l.List(0)
	if len(got) != 1+MaxOfACaller || got[len(got)-1].Who != "ann" {
		t.Errorf("%d are kept, the oldest of %s", len(got), got[len(got)-1].Who)
	}
	for _, a := range got {
		if len(a.Service) > 63 {
			t.Errorf("a service has %d bytes", len(a.Service))
		}
	}
	for i := range 3 * Max {
		l.Note(refusal(strings.Repeat("w", 2000)+fmt.Sprint(i), "Get", "orders"))
	}
	if n := len(l.List(0)); n != Max {
		t.Errorf("%d are kept", n)
	}
	l.save()
	info, err := os.Stat(path)
	if err != nil || info.Size() > maxSize {
		t.Fatalf("the file: %v, %v", info, err)
	}
	again, _ := newLog(t, path)
	if !reflect.DeepEqual(again.List(0), l.List(0)) || again.Next() != l.Next() {
		t.Error("after a restart it is not the same")
	}
}

func TestKeptOverARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "denied.json")
		l := Open(path, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); l.Run(ctx) }()
		time.Sleep(3 * Every)
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a file without anything to say: %v", err)
		}
		l.Note(refusal("ann", "Rollback", "orders"))
		time.Sleep(Every + time.Millisecond)
		if again := Open(path, slog.New(slog.DiscardHandler)); !reflect.DeepEqual(again.List(0), l.List(0)) {
			t.Errorf("after a crash: %+v", again.List(0))
		}
		l.Note(refusal("ann", "Rollback", "orders"))
		cancel()
		<-done
		if again := Open(path, slog.New(slog.DiscardHandler)).List(0); len(again) != 1 || again[0].Count != 2 {
			t.Errorf("after an orderly end: %+v", again)
		}
	})
}

func TestADamagedFileIsSaidAndReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "denied.json")
	for name, text := range map[string]string{
		"cut": `{"version":1,"next":3,"att`, "version": `{"version":2}`, "order": `{"version":1,"next":9,"attempts":[{"id":2},{"id":2}]}`, "beyond": `{"version":1,"next":1,"attempts":[{"id":7}]}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		l := Open(path, slog.New(slog.NewTextHandler(&said, nil)))
		if len(l.List(0)) != 0 || !strings.Contains(said.String(), "level=WARN") {
			t.Errorf("%s: %+v, log: %s", name, l.List(0), said.String())
		}
		l.Note(refusal("ann", "Undo", "orders"))
		l.save()
		if again, _ := newLog(t, path); len(again.List(0)) != 1 {
			t.Errorf("%s: not replaced", name)
		}
	}
}

// TestADiskThatTakesNothing: the log says so once, and what is known goes on to be known.
func TestADiskThatTakesNothing(t *testing.T) {
	var said strings.Builder
	l := Open(filepath.Join(t.TempDir(), "nowhere", "denied.json"), slog.New(slog.NewTextHandler(&said, nil)))
	for range 3 {
		l.Note(refusal("ann", "Undo", "orders"))
		l.save()
	}
	if strings.Count(said.String(), "cannot be written") != 1 || len(l.List(0)) != 1 {
		t.Errorf("log: %s", said.String())
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"version":1,"next":3,"attempts":[{"id":1,"who":"ann","method":"Undo","first":"2026-03-01T03:00:00Z","last":"2026-03-01T03:00:00Z","count":2}]}`))
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parse(data)
		if err != nil {
			return
		}
		if len(c.Attempts) > Max {
			t.Errorf("%d attempts", len(c.Attempts))
		}
		for i, a := range c.Attempts {
			if a.ID < 1 || a.ID >= c.Next || i > 0 && a.ID <= c.Attempts[i-1].ID {
				t.Errorf("attempt %d has number %d of %d", i, a.ID, c.Next)
			}
		}
	})
}

func BenchmarkNote(b *testing.B) {
	l := open(filepath.Join(b.TempDir(), "denied.json"), slog.New(slog.DiscardHandler), time.Now)
	for i := range Max {
		l.Note(refusal(fmt.Sprint("w", i), "Get", "orders"))
	}
	i := 0
	for b.Loop() {
		i++
		l.Note(refusal("mallory", "Get", fmt.Sprint("s", i)))
	}
}
