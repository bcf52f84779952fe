package experiment

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

func codesOf(r *crossfadev1.MirrorReport) []string {
	var out []string
	for _, w := range r.GetWhy() {
		out = append(out, w.GetCode())
	}
	return out
}

// obstruct makes a path one of a directory that is not empty: it can be neither read nor replaced, by whomever.
func obstruct(t *testing.T, path string) (clear func()) {
	t.Helper()
	aside := filepath.Join(t.TempDir(), "aside")
	if err := os.Rename(path, aside); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(path, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(aside, path); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

// TestAKeyThatCannotBeReadNowIsNotReplaced: nor what was counted under it. Nobody is asked meanwhile, and then all goes on.
func TestAKeyThatCannotBeReadNowIsNotReplaced(t *testing.T) {
	for _, file := range []string{"key-run-1", "run-run-1"} {
		t.Run(file, func(t *testing.T) {
			dir := t.TempDir()
			w := newWorld(t, dir, nil)
			doc := w.run(nil)
			c := w.connect("one", nil)
			c.share("try", 100)
			c.count(10, 0)
			c.tell(nil)
			c.taken()
			w.desk.save(w.time())
			key, err := os.ReadFile(filepath.Join(dir, "key-run-1"))
			if err != nil {
				t.Fatal(err)
			}
			w.pass(time.Minute)
			clear := obstruct(t, filepath.Join(dir, file))
			w.log.takes()
			w.again(dir, doc)
			c = w.connect("one", c)
			c.idle()
			c.count(5, 0)
			c.tell(nil)
			c.taken()
			for range 2 {
				w.desk.reread(w.time())
				w.desk.save(w.time())
			}
			if got := codesOf(w.report("try")); !slices.Contains(got, "report_unreadable") {
				t.Errorf("why %v", got)
			}
			if said := w.log.takes(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "cannot be read") {
				t.Errorf("said %s", said)
			}
			w.desk.mu.Lock()
			if acked := w.desk.sessions["one"].acked; acked != 0 {
				t.Errorf("%d is acknowledged, and nowhere", acked)
			}
			w.desk.mu.Unlock()
			clear()
			w.desk.reread(w.time())
			w.await(func() error {
				if _, err := c.last(); err == nil {
					return errors.New("the stream has not ended")
				}
				return nil
			})
			c = w.connect("one", c)
			c.share("try", 100)
			c.tell(nil)
			c.taken()
			if got := w.report("try"); got.GetCompared() != 15 || got.GetVerdict() != "Pass" {
				t.Errorf("compared %d, %v", got.GetCompared(), codesOf(got))
			}
			if now, err := os.ReadFile(filepath.Join(dir, "key-run-1")); err != nil || string(now) != string(key) {
				t.Errorf("the key is another, %v", err)
			}
		})
	}
}

// TestNothingIsAcknowledgedUntilAllIsWritten: one file of two fails.
func TestNothingIsAcknowledgedUntilAllIsWritten(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir, nil)
	other := document(func(m *crossfadev1.Mirror) { m.Name, m.Service = "other", "payments" })
	other.Run.Id = "run-2"
	w.desk.Set([]Mirror{mirrorOf(t, document(nil)), mirrorOf(t, other)})
	w.desk.tick(w.time())
	c := w.connect("one", nil)
	c.tell(nil)
	c.taken()
	acked := func() int64 {
		w.desk.save(w.time())
		w.desk.mu.Lock()
		defer w.desk.mu.Unlock()
		return w.desk.sessions["one"].acked
	}
	clear := obstruct(t, filepath.Join(dir, "run-run-2"))
	for range 2 {
		if got := acked(); got != 0 {
			t.Errorf("acknowledged %d", got)
		}
	}
	if got := codesOf(w.report("try")); !slices.Contains(got, "report_not_kept") {
		t.Errorf("why %v", got)
	}
	clear()
	if got := acked(); got != 1 {
		t.Errorf("acknowledged %d when all was written", got)
	}
	if got := codesOf(w.report("try")); slices.Contains(got, "report_not_kept") {
		t.Errorf("why %v", got)
	}
}

// TestADirectoryThatCannotBeMade: experiments go on without, which reports say; once it can be made, it is.
func TestADirectoryThatCannotBeMade(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(parent, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "mirrors")
	w := newWorld(t, dir, nil)
	doc := w.run(nil)
	c := w.connect("one", nil)
	c.share("try", 100)
	c.count(10, 0)
	c.tell(nil)
	c.taken()
	w.desk.save(w.time())
	if got := w.report("try"); got.GetCompared() != 10 || got.GetVerdict() != "Pass" || !slices.Contains(codesOf(got), "report_not_kept") {
		t.Errorf("compared %d, %s, %v", got.GetCompared(), got.GetVerdict(), codesOf(got))
	}
	if said := w.log.takes(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "cannot be written") {
		t.Errorf("said %s", said)
	}
	if err := os.Remove(parent); err != nil {
		t.Fatal(err)
	}
	w.desk.save(w.time())
	if got := codesOf(w.report("try")); len(got) != 0 {
		t.Errorf("why %v", got)
	}
	w.again(dir, doc)
	if got := w.report("try"); got.GetCompared() != 10 {
		t.Errorf("after a restart: compared %d, %v", got.GetCompared(), codesOf(got))
	}
}

// TestLiveTrafficAloneWritesNothing: a file of many megabytes each five seconds, for a few counters. It is written with the rest, and at the end.
func TestLiveTrafficAloneWritesNothing(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir, nil)
	w.run(nil)
	live := func() string {
		w.mu.Lock()
		w.traffic.Classes[2] += 100
		w.mu.Unlock()
		w.pass(time.Second)
		w.desk.save(w.time())
		data, err := os.ReadFile(filepath.Join(dir, "run-run-1"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	first := live()
	if second := live(); second != first {
		t.Errorf("it was written anew:\n%s%s", first, second)
	}
	w.desk.mu.Lock()
	w.desk.closed = true
	w.desk.mu.Unlock()
	if last := live(); !strings.Contains(last, `"live":[0,0,1300,`) {
		t.Errorf("at the end: %s", last)
	}
}
