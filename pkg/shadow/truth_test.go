package shadow

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/shadowtest"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/stats"
)

// experiment runs a world through a comparer and a tally, as the comparator will.
type experiment struct {
	world   *shadowtest.World
	r       *rand.Rand
	c       *Comparer
	tally   *Tally
	out     *Outcome
	share   float64 // of pairs for which control is asked twice by chance
	confirm bool    // control is asked again for differences
	extra   int     // how often control was asked again
	live    Live
	diffy   map[shadowtest.Place]*[2]uint64 // raw and noise, as Diffy counts; nil if it is not asked
	totals  map[string]uint64
}

func newExperiment(t testing.TB, seed uint64, o shadowtest.Options, share float64, confirm bool) *experiment {
	t.Helper()
	descs, err := ReadDescriptors(shadowtest.Descriptors())
	if err != nil {
		t.Fatal(err)
	}
	opts := Options{Key: key, Descriptors: descs}
	c, errs := NewComparer(opts)
	tally, errs2 := NewTally(opts)
	if errs.Err() != nil || errs2.Err() != nil {
		t.Fatal(errs, errs2)
	}
	return &experiment{world: shadowtest.New(seed, o), r: rand.New(rand.NewPCG(seed, 77)), c: c, tally: tally, share: share, confirm: confirm}
}

func (e *experiment) ask(q shadowtest.Request, candidate bool) *Answer {
	reply := e.world.Answer(e.r, q, candidate)
	return &Answer{Failure: Failure(reply.Failure), Status: reply.Status, Headers: reply.Headers, Trailers: reply.Trailers, Body: reply.Body, Length: int64(len(reply.Body)), Duration: time.Millisecond}
}

var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// run adds n pairs.
func (e *experiment) run(n int) {
	for i := range n {
		q := e.world.Ask(e.r)
		p := &Pair{Method: q.Method, Path: q.Path, Control: e.ask(q, false), Candidate: e.ask(q, true)}
		if e.r.Float64() < e.share {
			p.Second = e.ask(q, false)
		}
		e.out = e.c.Judge(p, e.live, e.out)
		if e.confirm && e.tally.Wants(e.out) {
			p.Second, p.Chosen = e.ask(q, false), ByDifference
			e.out = e.c.Judge(p, e.live, e.out)
			e.extra++
		}
		e.tally.Add(e.out, began.Add(time.Duration(i)*time.Second))
		if e.diffy != nil {
			e.askDiffy()
		}
	}
}

// askDiffy counts as Diffy does, with three answers to every request. Only for a share of 1.
func (e *experiment) askDiffy() {
	template, _ := e.tally.templates.Of(e.out.path)
	e.totals[template]++
	count := func(ds []Difference, side int) {
		for _, d := range ds {
			p := shadowtest.Place{Endpoint: template, Kind: string(d.Kind), Path: d.Path}
			if e.diffy[p] == nil {
				e.diffy[p] = &[2]uint64{}
			}
			e.diffy[p][side]++
		}
	}
	count(e.out.Differences, 0)
	count(e.out.noise, 1)
}

// judge returns how many planted differences were found, and what was found that was not planted.
func (e *experiment) judge(p Policy) (found int, missed, invented []shadowtest.Place) {
	is := map[shadowtest.Place]bool{}
	for _, d := range e.tally.Report(p).Differences {
		if d.State == Finding {
			is[shadowtest.Place{Endpoint: d.Endpoint, Kind: string(d.Kind), Path: d.Path}] = true
		}
	}
	for _, p := range e.world.Planted() {
		if is[p] {
			found++
		} else {
			missed = append(missed, p)
		}
		delete(is, p)
	}
	for p := range is {
		if !consequence(p, e.world.Planted()) {
			invented = append(invented, p)
		}
	}
	return found, missed, invented
}

// consequence says that a place differs because of a planted one: where noise is at a field that a difference removes, say.
func consequence(p shadowtest.Place, planted []shadowtest.Place) bool {
	for _, q := range planted {
		if p.Endpoint == q.Endpoint && p.Path == q.Path {
			return true
		}
	}
	return false
}

// TestFindsTheTruth: differences of all kinds are found at the number of pairs that the design states, nothing else is, and the verdict
// says so.
func TestFindsTheTruth(t *testing.T) {
	for _, c := range []struct {
		rate   float64
		pairs  int  // per endpoint
		shared bool // differences are at noisy places, and new chance decides about each answer
	}{{1, 60, false}, {0.1, 700, false}, {0.03, 2000, false}, {0.1, 2500, true}} {
		noisy := 10 // places, all of headers and of JSON
		if c.shared {
			noisy = 22 // one of nearly each kind
		}
		seed := rand.Uint64()
		e := newExperiment(t, seed, shadowtest.Options{Endpoints: 1, Rate: c.rate, Noise: 0.1, Noisy: noisy, Shared: c.shared, PerAnswer: c.shared}, 0.2, true)
		e.run(c.pairs * e.world.EndpointCount())
		found, missed, invented := e.judge(Policy{})
		t.Logf("rate %g, seed %d: %d found of %d, control asked again %d times for %d pairs", c.rate, seed, found, len(e.world.Planted()), e.extra, c.pairs*e.world.EndpointCount())
		if len(missed) > 0 || len(invented) > 0 {
			t.Errorf("rate %g, seed %d: missed %v, invented %v", c.rate, seed, missed, invented)
		}
		if v := e.tally.Report(Policy{}).Verdict; v != Fail {
			t.Error(v)
		}
	}
}

// TestNoiseIsNoFinding: two origins that are noisy alike give no finding, at no look, whether control is asked again or not.
func TestNoiseIsNoFinding(t *testing.T) {
	for _, confirm := range []bool{true, false} {
		seed := rand.Uint64()
		e := newExperiment(t, seed, shadowtest.Options{Endpoints: 4, Rate: 0, Noise: 0.1, Noisy: 40}, 0.2, confirm)
		for range 10 {
			e.run(300)
			if _, _, invented := e.judge(Policy{}); len(invented) > 0 {
				t.Fatalf("seed %d: %v", seed, invented)
			}
		}
		r := e.tally.Report(Policy{Control: "ecs", Candidate: "eks"})
		if len(r.Differences) < 20 || r.Verdict == Fail {
			t.Errorf("seed %d: %d differences, %s", seed, len(r.Differences), r.Verdict)
		}
	}
}

// TestOddAnswersAreFair: where two origins are noisy alike, the odd answer of three is as often the candidate's as one of control's, for each
// kind of difference, whichever is rarer on both sides, and also for what makes a pair count as not compared. It is sharper than waiting for
// a false finding.
func TestOddAnswersAreFair(t *testing.T) {
	for _, confirm := range []bool{true, false} {
		seed := rand.Uint64()
		share := 0.2
		if !confirm {
			share = 1
		}
		odd := map[Kind]stats.Evidence{}
		for i := range uint64(2) {
			e := newExperiment(t, seed+i, shadowtest.Options{Endpoints: 3, Rate: 0, Noise: 0.2, Noisy: 33}, share, confirm)
			e.live = Live{2: 1000}
			e.run(3000)
			addOdd(odd, e.tally)
		}
		if len(odd) < 15 {
			t.Errorf("only %d kinds of noise", len(odd))
		}
		t.Logf("seed %d, asked again %v", seed, confirm)
		checkFair(t, odd)
	}
}

// addOdd adds up whose answers were odd, by kind.
func addOdd(odd map[Kind]stats.Evidence, t *Tally) {
	for _, s := range t.endpoints {
		for p, c := range s.cells {
			o := odd[p.kind]
			odd[p.kind] = stats.Evidence{Candidate: o.Candidate + c.evidence.Candidate, Control: o.Control + c.evidence.Control}
		}
	}
}

func checkFair(t *testing.T, odd map[Kind]stats.Evidence) {
	t.Helper()
	for k, o := range odd {
		if p := stats.BinomialTail(max(o.Candidate, o.Control), o.Candidate+o.Control, 0.5); p < 1e-6 {
			t.Errorf("%s: candidate %d, control %d", k, o.Candidate, o.Control)
		}
	}
}

// TestAskingStopsForBothDirectionsAtOnce: a field that both origins add to few answers is missing as often as it is added. Control was once
// asked again for the one and no longer for the other, which taught nothing by itself; then the candidate's answer seemed to be the odd one
// more often than it was.
func TestAskingStopsForBothDirectionsAtOnce(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	c, tally := newPair(t, Options{})
	say := func() *Answer {
		if r.IntN(100) == 0 {
			return answer(200, "", "x-rare: 1")
		}
		return answer(200, "")
	}
	for range 60_000 {
		p := &Pair{Method: "GET", Path: "/a", Control: say(), Candidate: say()}
		o := c.Judge(p, Live{}, nil)
		if tally.Wants(o) {
			p.Second, p.Chosen = say(), ByDifference
			o = c.Judge(p, Live{}, o)
		}
		tally.Add(o, began)
	}
	for p, c := range tally.endpoints["/a"].cells {
		n, m := c.evidence.Candidate, c.evidence.Control
		if stats.BinomialTail(max(n, m), n+m, 0.5) < 1e-6 {
			t.Errorf("seed %d: %s: candidate %d, control %d", seed, p.kind, n, m)
		}
	}
}

// evidenceAlone plays the odd answers of one place, to learn how many pairs are needed: far cheaper than documents.
func evidenceAlone(r *rand.Rand, rate, noise, share float64, confirm bool, threshold float64, most int) (pairs int) {
	var ev stats.Evidence
	q := (1 - math.Sqrt(1-2*noise)) / 2
	draw := func(differs bool) int {
		switch {
		case differs:
			return 2
		case r.Float64() < q:
			return 1
		}
		return 0
	}
	for n := 1; n <= most; n++ {
		c, d := draw(false), draw(r.Float64() < rate)
		switch {
		case r.Float64() < share:
			s := draw(false)
			if (c != d) != (c != s) {
				if c != d {
					ev.Candidate++
				} else {
					ev.Control++
				}
			}
		case confirm && c != d:
			s := draw(false)
			if s == c {
				ev.Candidate++
			} else if s == d {
				ev.Control++
			}
		default:
			continue
		}
		if ev.Log() >= threshold {
			return n
		}
	}
	return most + 1
}
