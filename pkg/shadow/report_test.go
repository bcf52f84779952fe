package shadow

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/shadowtest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestReportIsGolden: the report of a world that is always the same, as clients see it.
func TestReportIsGolden(t *testing.T) {
	e := newExperiment(t, 42, shadowtest.Options{Endpoints: 2, Rate: 0.3, Noise: 0.2, Noisy: 6}, 0.2, true)
	e.run(1500)
	e.tally.Drop("stale", 7)
	got, err := json.MarshalIndent(e.tally.Report(Policy{Control: "ecs", Candidate: "eks", Live: Live{2: 1000}}), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "report.json")
	if *update {
		if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(append(got, '\n'), want) {
		t.Errorf("the report is not that of %s; if it is meant, run with -update:\n%s", golden, got)
	}
}

func TestLatencyInReports(t *testing.T) {
	c, tally := newPair(t, Options{})
	for i := range 200 {
		p := &Pair{Path: "/", Control: answer(200, "x"), Candidate: answer(200, "x")}
		p.Control.Duration, p.Candidate.Duration = time.Duration(10+i%10)*time.Millisecond, time.Duration(20+i%10)*time.Millisecond
		tally.Add(c.Judge(p, Live{}, nil), began)
	}
	r := tally.Report(Policy{Control: "ecs", Candidate: "eks"})
	if r.Slower != 1 || r.SlowerP > 1e-10 {
		t.Errorf("%g, %g", r.Slower, r.SlowerP)
	}
	j, _ := json.Marshal(r.Latency)
	if !strings.HasPrefix(string(j), `{"ecs":{"p50":"14.`) || !strings.Contains(string(j), `"eks":{"p50":"24.`) {
		t.Errorf("%s", j)
	}
}

// TestControlIsAskedAgainOnlyWhileItTeaches: not for what is settled, nor for what always differs in all three answers.
func TestControlIsAskedAgainOnlyWhileItTeaches(t *testing.T) {
	run := func(second string) int {
		c, tally := newPair(t, Options{})
		asked := 0
		for range 3000 {
			p := &Pair{Method: "GET", Path: "/a", Control: answer(200, "control"), Candidate: answer(200, "candidate")}
			o := c.Judge(p, Live{}, nil)
			if tally.Wants(o) {
				asked++
				p.Second, p.Chosen = answer(200, second), ByDifference
				o = c.Judge(p, Live{}, o)
			}
			tally.Add(o, began)
		}
		return asked
	}
	if n := run("control"); n < 20 || n > 100 {
		t.Errorf("a difference that is certain: asked again %d times", n)
	}
	if n := run("something else"); n != uninformative {
		t.Errorf("noise in every answer: asked again %d times", n)
	}
}

// TestDifferencesBeyondWhatIsReadAreSaid: of documents with too many nodes only the beginning is read; a difference behind it is not lost.
func TestDifferencesBeyondWhatIsReadAreSaid(t *testing.T) {
	long := "[" + strings.Repeat("1,", 600_000)
	if got := differences(t, Options{}, &Pair{Path: "/", Control: asJSONOf(long + "1]"), Candidate: asJSONOf(long + "2]")}); got != "limit body" {
		t.Error(got)
	}
}
