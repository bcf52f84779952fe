package experiment

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// again opens another desk in the same directory, as after a kill -9: what was not written by then is gone.
func (w *world) again(dir string, docs ...*crossfadev1.Mirror) {
	w.t.Helper()
	w.open(dir)
	var all []Mirror
	for _, doc := range docs {
		all = append(all, mirrorOf(w.t, doc))
	}
	w.desk.Set(all)
	w.desk.tick(w.time())
}

// TestARestartLosesNothingOfWhoGoesOn: and of others what they counted since the last write.
func TestARestartLosesNothingOfWhoGoesOn(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir, nil)
	doc := w.run(nil)
	stays, dies := w.connect("stays", nil), w.connect("dies", nil)
	stays.share("try", 50)
	for _, c := range []*comparator{stays, dies} {
		c.count(100, 0)
		c.tell(func(rc *crossfadev1.RunCounts) {
			rc.Seen, rc.CandidateErrors = []*crossfadev1.MirrorPath{{Method: "GET", Endpoint: "/a", Count: 2, Excluded: "no"}}, 3
		})
		c.taken()
	}
	w.desk.save(w.time())
	for _, c := range []*comparator{stays, dies} {
		c.count(10, 0)
		c.tell(nil)
		c.taken()
	}
	if got := w.report("try"); got.GetCompared() != 220 {
		t.Errorf("compared %d", got.GetCompared())
	}
	w.pass(4 * time.Second)
	w.again(dir, doc)
	got := w.report("try")
	exact(t, got)
	if got.GetCompared() != 200 || got.GetLost() != 2*4*50 || len(got.GetSeen()) != 1 || got.GetSeen()[0].GetCount() != 4 {
		t.Errorf("compared %d, lost %d, seen %v", got.GetCompared(), got.GetLost(), got.GetSeen())
	}
	stays = w.connect("stays", stays)
	stays.share("try", 50) // the other may still be asking
	stays.count(1, 0)
	stays.tell(nil)
	stays.taken()
	if got := w.report("try"); got.GetCompared() != 211 || got.GetLost() != 200 || got.GetVerdict() != "Pass" {
		t.Errorf("compared %d, lost %d, %v", got.GetCompared(), got.GetLost(), got.GetWhy())
	}
	w.pass(time.Minute)
	stays.share("try", 100)
	stays.tell(nil)
	stays.taken()
	w.desk.save(w.time())
	w.mu.Lock()
	w.now = w.now.Add(10 * time.Minute)
	w.mu.Unlock()
	w.again(dir, doc)
	if got := w.report("try"); got.GetLost() != 200+60*100 {
		t.Errorf("lost %d: it may have asked until its lease ended", got.GetLost())
	}
}

// TestCountsOfARunThatEndedAreAcknowledgedWhenWritten: the comparator forgets them then.
func TestCountsOfARunThatEndedAreAcknowledgedWhenWritten(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir, nil)
	doc := w.run(nil)
	c := w.connect("one", nil)
	c.share("try", 100)
	c.count(10, 0)
	c.makeTally()
	ended := policy.EndMirror(doc, w.time(), "stopped", "")
	w.desk.Set([]Mirror{mirrorOf(t, ended)})
	c.idle()
	c.tell(nil)
	c.taken()
	c.mu.Lock()
	got := c.got
	c.mu.Unlock()
	w.desk.tick(w.time())
	w.await(func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.got == got {
			return fmt.Errorf("no orders came")
		}
		return nil
	})
	if !w.desk.urgent {
		t.Error("it waits to be written")
	}
	if o, _ := c.last(); o.GetSequence() != 0 {
		t.Errorf("acknowledged %d before it was written", o.GetSequence())
	}
	w.desk.save(w.time())
	w.again(dir, ended)
	if got := w.report("try"); got.GetCompared() != 10 || got.GetState() != stateEnded {
		t.Errorf("%v", got)
	}
}

// TestDamagedFiles: whatever is in a file, it is put aside, said, and the report starts anew and says so.
func TestDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir, nil)
	doc := w.run(nil)
	c := w.connect("one", nil)
	c.share("try", 100)
	c.count(10, 0)
	c.tell(nil)
	c.taken()
	c.goes(true)
	w.desk.save(w.time())
	path := filepath.Join(dir, "run-run-1")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(whole)
	for name, content := range map[string]string{
		"empty": "", "cut off": text[:len(text)/2], "text": "hello", "other JSON": "{}", "a list": "[]",
		"newer":                   strings.Replace(text, `"version":1`, `"version":2`, 1),
		"of another run":          strings.Replace(text, `"run":"run-1"`, `"run":"run-2"`, 1),
		"a tally of another key":  strings.Replace(text, `"key":`, `"key":1`, 1),
		"a tally that is damaged": strings.Replace(text, `"compared":10`, `"compared":11`, 1),
		"a number below 0":        strings.Replace(text, `"sequence":`, `"sequence":-`, 1),
		"a bad name":              strings.Replace(text, `"instance":"one"`, `"instance":"o n e"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			if content == text {
				t.Fatal("nothing was damaged")
			}
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			w.log.takes()
			w.again(dir, doc)
			if said := w.log.takes(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "starts anew") {
				t.Errorf("said %s", said)
			}
			if aside, err := os.ReadFile(path + ".damaged"); err != nil || string(aside) != content {
				t.Errorf("aside is %q, %v", aside, err)
			}
			for range 2 {
				if got := w.report("try"); got.GetCompared() != 0 || got.GetWhy()[0].GetCode() != goneLost || got.GetVerdict() != "Inconclusive" {
					t.Errorf("%v", got)
				}
				w.desk.save(w.time())
				w.again(dir, doc) // it still says so
			}
		})
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	w.again(dir, doc)
	if got := w.report("try"); got.GetCompared() != 10 {
		t.Errorf("%v", got)
	}
}

// TestALostKeyLosesTheReport: nothing that was counted under it can be added to anything.
func TestALostKeyLosesTheReport(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir, nil)
	doc := w.run(nil)
	c := w.connect("one", nil)
	c.share("try", 100)
	c.count(10, 0)
	c.tell(nil)
	c.taken()
	w.desk.save(w.time())
	if err := os.Remove(filepath.Join(dir, "key-run-1")); err != nil {
		t.Fatal(err)
	}
	w.again(dir, doc)
	if got := w.report("try"); got.GetCompared() != 0 || got.GetWhy()[0].GetCode() != goneLost {
		t.Errorf("%v", got)
	}
	c = w.connect("one", c)
	c.tell(nil) // under the old key
	c.taken()
	if _, err := c.last(); err != nil {
		t.Error(err)
	}
	if said := w.log.takes(); strings.Count(said, "under a key that is lost") != 1 {
		t.Errorf("said %s", said)
	}
}

// TestNothingKeptIsSaidToBeLost: a desk without a directory, or one that was lost.
func TestNothingKeptIsSaidToBeLost(t *testing.T) {
	w := newWorld(t, "", nil)
	doc := w.run(nil)
	if got := w.report("try"); got.GetWhy()[0].GetCode() == goneLost {
		t.Errorf("%v", got)
	}
	w.pass(time.Minute)
	w.again("", doc)
	if got := w.report("try"); got.GetWhy()[0].GetCode() != goneLost {
		t.Errorf("%v", got)
	}
}

// TestReportsAreRemoved: when their time is over, when another run begins, and when the mirror is gone.
func TestReportsAreRemoved(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir, func(c *Config) { c.Retention = time.Hour })
	files := func() string {
		t.Helper()
		w.desk.save(w.time())
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, e := range entries {
			out = append(out, e.Name())
		}
		return strings.Join(out, " ")
	}
	first := w.run(nil)
	if got := files(); got != "key-run-1 run-run-1" {
		t.Error(got)
	}
	other := document(func(m *crossfadev1.Mirror) { m.Name, m.Service = "other", "payments" })
	other.Run.Id = "UPPER/../case"
	second := policy.RunMirror(policy.EndMirror(first, w.time(), "stopped", ""), "run-2", w.time())
	w.desk.Set([]Mirror{mirrorOf(t, second), mirrorOf(t, other)})
	if got := files(); !strings.HasPrefix(got, "key-run-2 key-x") || strings.Count(got, " ") != 3 || strings.Contains(got, "run-1") {
		t.Error(got)
	}
	ended := policy.EndMirror(second, w.time(), "stopped", "")
	w.desk.Set([]Mirror{mirrorOf(t, ended)})
	if got := files(); got != "key-run-2 run-run-2" {
		t.Error(got)
	}
	if _, ok := w.desk.Report("other"); ok {
		t.Error("there is a report of a mirror that is gone")
	}
	w.pass(time.Hour - time.Second)
	if got := files(); got != "key-run-2 run-run-2" {
		t.Error(got)
	}
	w.pass(time.Second)
	if got := files(); got != "" {
		t.Error(got)
	}
	if got := w.report("try"); got.GetWhy()[0].GetCode() != goneExpired || got.GetState() != stateEnded {
		t.Errorf("%v", got)
	}
	for _, name := range []string{"run-gone", "key-gone", "run-gone.damaged", "run-gone.new", "other"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.again(dir, ended)
	if got := files(); got != "other" {
		t.Error(got)
	}
}

// TestRunKeepsWhatMustNotWait is the loop around all that, on the real clock for a moment.
func TestRunKeepsWhatMustNotWait(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir, func(c *Config) { c.Now = nil })
	ran := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { defer close(ran); w.desk.Run(ctx) }()
	defer func() { cancel(); <-ran }()
	w.desk.Set([]Mirror{mirrorOf(t, document(func(m *crossfadev1.Mirror) { m.Run = policy.RunMirror(m, "run-1", time.Now()).GetRun() }))})
	w.await(func() error { _, err := os.Stat(filepath.Join(dir, "run-run-1")); return err })
}
