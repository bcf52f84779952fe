package experiment

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// TestInstancesOfThePast: beyond 64 they are put together, and none is counted twice.
func TestInstancesOfThePast(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir, nil)
	doc := w.run(func(m *crossfadev1.Mirror) { m.Stop = &crossfadev1.MirrorStop{CandidateErrors: maxGone + 10} })
	var first *comparator
	for i := range maxGone + 10 {
		c := w.connect(fmt.Sprintf("one-%d", i), nil)
		c.share("try", 100)
		c.count(3, 0)
		c.always = func(rc *crossfadev1.RunCounts) { rc.AskedControl, rc.CandidateErrors = 5, 1 }
		c.tell(nil)
		c.taken()
		c.goes(true)
		w.mu.Lock()
		w.now = w.now.Add(time.Millisecond)
		w.mu.Unlock()
		if i == 0 {
			first = c
		}
	}
	for range 2 {
		w.desk.mu.Lock()
		r := w.desk.runs["try"]
		if len(r.parts) != maxGone || len(r.past.instances) != 10 || r.past.signals.askedControl != 50 {
			t.Errorf("%d parts, %d folded, control asked %d times", len(r.parts), len(r.past.instances), r.past.signals.askedControl)
		}
		w.desk.mu.Unlock()
		if got := w.report("try"); got.GetCompared() != 3*(maxGone+10) {
			t.Errorf("compared %d", got.GetCompared())
		}
		w.pass(time.Second)
		if ends := w.takeEnds(); len(ends) != 1 || !strings.Contains(ends[0], "candidate_errors 74 ") {
			t.Errorf("%q", ends)
		}
		w.desk.save(w.time())
		w.again(dir, doc)
	}
	first = w.connect("one-0", first)
	first.count(3, 0)
	first.tell(nil)
	first.taken()
	if got := w.report("try"); got.GetCompared() != 3*(maxGone+10) {
		t.Errorf("compared %d", got.GetCompared())
	}
}

// TestSecretsAreNowhere: the value of an identity is in no file and no log, and a key only in its own file.
func TestSecretsAreNowhere(t *testing.T) {
	const secret = "tok-5up3r-s3cret"
	dir, id := t.TempDir(), Identity{"x-test", secret}
	w := newWorld(t, dir, func(c *Config) { c.Identities = map[string]Identity{"tester": id} })
	w.run(func(m *crossfadev1.Mirror) { m.Identity = "tester" })
	c := w.connect("one", nil)
	c.share("try", 100)
	c.count(50, 20)
	c.tell(nil)
	c.taken()
	o, _ := c.last()
	key := o.GetRuns()[0].GetKey()
	c.say(counts(99, &crossfadev1.RunCounts{Mirror: "try", Run: "run-1", Tally: []byte(secret)}))
	c.sequence = 99
	c.taken()
	w.desk.save(w.time())
	report := fmt.Sprint(w.report("try"), w.desk.Statuses(""))
	said := w.log.takes()
	if !strings.Contains(said, "cannot be taken") {
		t.Errorf("said %s", said)
	}
	j, jerr := json.Marshal(map[string]any{"id": id})
	if jerr != nil {
		t.Fatal(jerr)
	}
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "id", id, "pointer", &id)
	all := map[string]string{"the log": said, "the report": report, "print": fmt.Sprintf("%v %+v %#v %s %q %v", id, id, id, id, id, &id), "JSON": string(j), "a log": logged.String()}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(data)
		if at, err := e.Info(); err != nil || at.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), at.Mode(), err)
		}
	}
	if all["key-run-1"] != string(key) || len(all["run-run-1"]) < 100 {
		t.Errorf("the files are not as expected")
	}
	for where, text := range all {
		keys := []string{string(key), hex.EncodeToString(key), base64.StdEncoding.EncodeToString(key)}
		if where == "key-run-1" {
			keys = nil
		}
		for _, s := range append(keys, secret, "/items/49") {
			if strings.Contains(text, s) {
				t.Errorf("%s has %q: %s", where, s, text)
			}
		}
	}
}
