package experiment

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// TestRunsEnd: by each of the conditions, and the owner is told again until it has ended.
func TestRunsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		doc   func(*crossfadev1.Mirror)
		each  func(*crossfadev1.RunCounts) // what each of two instances tells, each second
		after int                          // seconds; 0: it does not end
		want  string
	}{
		"its time is over": {func(m *crossfadev1.Mirror) { m.Duration = durationpb.New(5 * time.Minute) }, nil, 300, "duration its duration of 5m0s is over"},
		"errors of the candidate": {
			func(m *crossfadev1.Mirror) { m.Stop = &crossfadev1.MirrorStop{CandidateErrors: 10} },
			func(rc *crossfadev1.RunCounts) { rc.CandidateErrors = 5 }, 1, "candidate_errors 10 answers of eks were 5xx or none",
		},
		"fewer errors": {
			func(m *crossfadev1.Mirror) { m.Stop = &crossfadev1.MirrorStop{CandidateErrors: 11} },
			func(rc *crossfadev1.RunCounts) { rc.CandidateErrors = 5 }, 0, "",
		},
		"refusals of control": {
			func(m *crossfadev1.Mirror) { m.Stop = &crossfadev1.MirrorStop{ControlRefusals: 4} },
			func(rc *crossfadev1.RunCounts) { rc.ControlRefusals = 2 }, 1, "control_refusals 4 answers of ecs within 10 s were 429 or 503",
		},
		"a slow candidate": {
			func(m *crossfadev1.Mirror) {
				m.Stop = &crossfadev1.MirrorStop{CandidateLatency: durationpb.New(time.Second)}
			},
			func(rc *crossfadev1.RunCounts) { rc.CandidateP99Ms = 1500 }, 2, "candidate_latency the 99th percentile of eks was 1.5s over 10 s; at most 1s is allowed",
		},
		"a candidate that is fast enough": {
			func(m *crossfadev1.Mirror) {
				m.Stop = &crossfadev1.MirrorStop{CandidateLatency: durationpb.New(time.Second)}
			},
			func(rc *crossfadev1.RunCounts) { rc.CandidateP99Ms = 1000 }, 0, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "", nil)
			doc := w.run(c.doc)
			both := []*comparator{w.connect("one", nil), w.connect("two", nil)}
			seconds := c.after
			if seconds == 0 {
				seconds = 20
			}
			for i := range seconds {
				if ends := w.takeEnds(); len(ends) > 0 {
					t.Fatalf("ended after %d s: %q", i, ends)
				}
				for _, x := range both {
					if c.each != nil {
						x.tell(c.each)
						x.taken()
					}
				}
				w.pass(time.Second)
			}
			if c.want == "" {
				if ends := w.takeEnds(); len(ends) > 0 {
					t.Errorf("%q", ends)
				}
				return
			}
			want := "try run-1 " + c.want
			if ends := w.takeEnds(); !slices.Equal(ends, []string{want}) {
				t.Fatalf("ended %q, want %q", ends, want)
			}
			both[0].idle() // nobody is asked from now on
			w.pass(4 * time.Second)
			if ends := w.takeEnds(); len(ends) > 0 {
				t.Errorf("again: %q", ends)
			}
			w.pass(time.Second)
			if ends := w.takeEnds(); !slices.Equal(ends, []string{want}) {
				t.Errorf("told again %q", ends)
			}
			w.desk.Set([]Mirror{mirrorOf(t, policy.EndMirror(doc, w.time(), "x", "y"))})
			w.pass(time.Minute)
			if ends := w.takeEnds(); len(ends) > 0 {
				t.Errorf("after its end: %q", ends)
			}
		})
	}
}

// TestOldSignalsStopNothing: what an instance said of the last ten seconds counts for ten seconds.
func TestOldSignalsStopNothing(t *testing.T) {
	w := newWorld(t, "", nil)
	w.run(func(m *crossfadev1.Mirror) { m.Stop = &crossfadev1.MirrorStop{ControlRefusals: 3} })
	one := w.connect("one", nil)
	one.tell(func(rc *crossfadev1.RunCounts) { rc.ControlRefusals = 2 })
	one.taken()
	one.goes(false)
	w.pass(11 * time.Second)
	two := w.connect("two", nil)
	two.tell(func(rc *crossfadev1.RunCounts) { rc.ControlRefusals = 2 })
	two.taken()
	w.pass(time.Second)
	if ends := w.takeEnds(); len(ends) > 0 {
		t.Errorf("%q", ends)
	}
}

// TestFindingsStay: what was a finding once is one, whatever is counted later; it does not end a run.
func TestFindingsStay(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir, nil)
	doc := w.run(nil)
	c := w.connect("one", nil)
	c.share("try", 100)
	c.count(80, 40)
	c.tell(nil)
	c.taken()
	got := w.report("try")
	if got.GetVerdict() != "Fail" || got.GetDifferences()[0].GetState() != "finding" || w.desk.Statuses("")[0].GetFindings() != 1 {
		t.Fatalf("%v", got)
	}
	w.pass(10 * time.Second)
	if ends := w.takeEnds(); len(ends) > 0 {
		t.Errorf("%q", ends)
	}
	c.goes(true)
	// The same instance, had it seen that control differs as often: no evidence any more.
	w.desk.mu.Lock()
	r := w.desk.runs["try"]
	for _, p := range r.parts {
		raw := strings.ReplaceAll(string(p.raw), `"odd":[40,0]`, `"odd":[40,40]`)
		if raw == string(p.raw) {
			t.Errorf("no odd answers in %s", raw)
		}
		tally, err := decode(r, []byte(raw))
		if err != nil {
			t.Error(err)
		}
		p.tally, p.raw = tally, []byte(raw)
	}
	r.touch()
	w.desk.mu.Unlock()
	for range 2 {
		if got := w.report("try"); got.GetVerdict() != "Fail" || got.GetDifferences()[0].GetState() != "finding" || got.GetWhy()[0].GetCode() != "differences" {
			t.Errorf("%v", got)
		}
		w.desk.save(w.time())
		w.open(dir)
		w.desk.Set([]Mirror{mirrorOf(t, doc)})
	}
	w.desk.mu.Lock()
	defer w.desk.mu.Unlock()
	if n := len(w.desk.runs["try"].found); n != 1 {
		t.Errorf("%d findings are remembered", n)
	}
}

// TestLimits: of one experiment, and of all of a fleet.
func TestLimits(t *testing.T) {
	w := newWorld(t, "", func(c *Config) { c.MaxRPS = 300 })
	w.traffic = Traffic{RPS: map[string]float64{"ecs": 1000, "eks": 5}}
	one, two := document(func(m *crossfadev1.Mirror) { m.MaxRps = 0 }), document(func(m *crossfadev1.Mirror) {
		m.Name, m.Service, m.MaxRps = "other", "payments", 500
	})
	w.desk.Set([]Mirror{mirrorOf(t, one)})
	c := w.connect("one", nil)
	w.desk.tick(w.time())
	c.share("try", 100)
	w.desk.Set([]Mirror{mirrorOf(t, one), mirrorOf(t, two)})
	w.desk.tick(w.time())
	c.share("try", 50)
	c.share("other", 250)
	w.mu.Lock()
	w.traffic = Traffic{}
	w.mu.Unlock()
	w.desk.Set([]Mirror{mirrorOf(t, one)})
	w.pass(time.Second)
	c.share("try", 1)
	if got := w.report("try").GetMaxRps(); got != 1 {
		t.Errorf("the report says %g", got)
	}
}

func TestEstimates(t *testing.T) {
	w := newWorld(t, "", nil)
	w.traffic = Traffic{RPS: map[string]float64{"ecs": 900, "eks": 100}}
	for name, c := range map[string]struct {
		doc                func(*crossfadev1.Mirror)
		by                 string
		control, candidate float64
	}{
		"by share":  {func(m *crossfadev1.Mirror) { m.Share = 100 }, "share", 12, 10},
		"by limit":  {func(m *crossfadev1.Mirror) { m.Share, m.MaxRps = 10_000, 0 }, "maxRps", 108, 90},
		"dark mode": {func(m *crossfadev1.Mirror) { m.Mode, m.Control, m.MaxRps = "dark", "", 0 }, "share", 0, 100},
	} {
		e := w.desk.Estimate(mirrorOf(t, document(c.doc)).Policy)
		if e.GetLiveRps() != 1000 || e.GetLimitedBy() != c.by || e.GetAddedRps()["ecs"] != c.control || e.GetAddedRps()["eks"] != c.candidate {
			t.Errorf("%s: %v", name, e)
		}
	}
}

// TestLiveAnswersAreThoseSinceTheStart: of this process or an earlier one; counters that begin anew are not taken for others.
func TestLiveAnswersAreThoseSinceTheStart(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir, nil)
	classes := func(n uint64) { w.mu.Lock(); defer w.mu.Unlock(); w.traffic.Classes = [6]uint64{2: n} }
	classes(1000)
	doc := document(nil)
	w.desk.Set([]Mirror{mirrorOf(t, doc)})
	w.desk.tick(w.time())
	classes(1500)
	w.pass(time.Second)
	w.desk.save(w.time())
	classes(7)
	w.open(dir)
	w.desk.Set([]Mirror{mirrorOf(t, doc)})
	w.pass(time.Second)
	classes(17)
	w.pass(time.Second)
	c := w.connect("one", nil)
	if o, _ := c.last(); o.GetRuns()[0].GetLive()[2] != 510 {
		t.Errorf("%v", o.GetRuns()[0].GetLive())
	}
	classes(3)
	w.pass(time.Second)
	c.w.await(func() error {
		if o, _ := c.last(); o.GetRuns()[0].GetLive()[2] != 510 {
			return errors.New("other counts")
		}
		return nil
	})
}

// TestDarkRunsAreNotJudged: nor is one with rules that mean nothing, which is said.
func TestDarkRunsAreNotJudged(t *testing.T) {
	w := newWorld(t, "", nil)
	w.run(func(m *crossfadev1.Mirror) { m.Mode, m.Control = "dark", "" })
	if got := w.report("try"); got.GetVerdict() != "Inconclusive" || got.GetWhy()[0].GetCode() != "dark" {
		t.Errorf("%v", got)
	}
	c := w.connect("one", nil)
	c.share("try", 100)
	w.run(func(m *crossfadev1.Mirror) {
		m.Rules = []*crossfadev1.MirrorRule{{Path: "$..", Action: "ignore"}}
		m.Run = policy.RunMirror(m, "run-2", began).GetRun()
	})
	if got := w.report("try"); got.GetVerdict() != "Error" || !strings.Contains(got.GetWhy()[0].GetMessage(), "rules[0].path") {
		t.Errorf("%v", got)
	}
	c.idle()
}

// TestAnIdentityThatIsGone: without it nobody is asked, which is said.
func TestAnIdentityThatIsGone(t *testing.T) {
	w := newWorld(t, "", nil)
	w.run(func(m *crossfadev1.Mirror) { m.Identity = "tester" })
	if got := w.report("try"); got.GetWhy()[0].GetCode() != "identity_unknown" {
		t.Errorf("%v", got)
	}
	c := w.connect("one", nil)
	c.idle()
}
