package guard

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"
)

// fullVariable makes the tables of docs/design/guards.md, in some minutes, instead of a few of their numbers: CROSSFADE_FULL=1.
const fullVariable = "CROSSFADE_FULL"

func full() bool { return os.Getenv(fullVariable) == "1" }

func compile(t testing.TB, plan Plan, specs ...Spec) []*Guard {
	t.Helper()
	out, errs := Compile(specs, plan)
	if errs != nil {
		t.Fatal(errs)
	}
	return out
}

// usualPlan is ten steps of ten minutes.
var usualPlan = Plan{Origins: []string{"ecs", "eks"}, Candidate: "eks", Steps: 10, Observed: 100 * time.Minute}

// usualGuards are those of the rollouts that are simulated.
func usualGuards() []Spec {
	return []Spec{
		{Name: "err", Metric: ErrorRate, Max: "0.5%"},
		{Name: "rel", Metric: ErrorRate, MaxRatio: 2, Against: "ecs"},
		{Name: "p99", Metric: P99, Max: "250ms"},
		{Name: "slow", Metric: P99, MaxRatio: 1.3, Against: "ecs"},
		{Name: "mean", Metric: Mean, Max: "100ms"},
	}
}

// early is the detection of what is not there.
const early = -1

// detection is the time from the first bad request until a guard fails, in seconds, at the end of the window that shows it; +Inf if it does not within most.
func detection(g *Guard, w *world, before, most float64, bad func(*Window) bool) float64 {
	s, first := g.Start(), math.Inf(1)
	for i := 0; ; i++ {
		t := float64(i) * w.length.Seconds()
		p := w.next(t)
		end := t + w.length.Seconds()
		if end > before && math.IsInf(first, 1) && bad(&p.Candidate) {
			first = max(t, before)
		}
		if g.advance(&s, &p); s.Over >= g.failures {
			if end < before {
				return early
			}
			return end - first
		}
		if end > before+most {
			return math.Inf(1)
		}
	}
}

type curve struct{ median, p97, worst, within float64 }

func (c curve) String() string {
	return fmt.Sprintf("median %6.2f s  97 %% %6.2f s  99.9 %% %6.2f s  within 2.5 s %6.2f %%", c.median, c.p97, c.worst, 100*c.within)
}

func curveOf(times []float64) curve {
	slices.Sort(times)
	n := len(times)
	at := func(q float64) float64 { return times[min(int(math.Ceil(q*float64(n))), n)-1] }
	fast := 0
	for _, x := range times {
		if x <= 2.5 {
			fast++
		}
	}
	return curve{at(0.5), at(0.97), at(0.999), float64(fast) / float64(n)}
}

// TestFivePercentIsSeenInTime prints how long it takes until 5 % errors are seen, by the candidate's traffic, with the usual five guards' budget.
func TestFivePercentIsSeenInTime(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	g := compile(t, usualPlan, usualGuards()...)[0]
	runs := 30
	if full() {
		runs = 3000
	}
	for _, c := range []struct {
		rate, base, bad float64
		length          time.Duration
	}{
		{1, 0, 0.05, time.Second},
		{10, 0, 0.05, time.Second},
		{50, 0, 0.05, time.Second},
		{200, 0, 0.05, 250 * time.Millisecond},
		{200, 0, 0.05, 500 * time.Millisecond},
		{200, 0, 0.05, time.Second},
		{200, 0.001, 0.05, 250 * time.Millisecond},
		{200, 0.001, 0.05, time.Second},
		{1000, 0.001, 0.05, 250 * time.Millisecond},
		{200, 0.001, 0.02, 250 * time.Millisecond},
		{200, 0.001, 0.01, 250 * time.Millisecond},
		{200, 0.001, 0.0075, time.Second},
		{50, 0, 0.3, 250 * time.Millisecond},
		{10, 0, 1, 250 * time.Millisecond},
		{1, 0, 1, 250 * time.Millisecond},
	} {
		times := make([]float64, runs)
		for i := range times {
			w := &world{Rand: r, rate: 10 * c.rate, share: 0.1, length: c.length}
			before := 300 + c.length.Seconds()*r.Float64()
			w.candidate.errors, w.control.errors = w.from(c.base, before, c.bad), constantly(c.base)
			times[i] = detection(g, w, before, 3600, func(w *Window) bool { return w.Failures() > 0 })
		}
		late, before := 0, 0
		for _, x := range times {
			late += b2i(x > 2.5)
			before += b2i(x == early)
		}
		if c.rate >= 200 && c.bad >= 0.05 && c.length == quarter && tail(late, runs, 0.01) < 1e-6 || tail(before, runs, 0.002) < 1e-6 {
			t.Errorf("of %d, %d took more than 2.5 s, and %d were seen before they were there", runs, late, before)
		}
		t.Logf("%5.0f req/s  %4.1f %% → %5.2f %%  windows of %-5s  %s", c.rate, c.base*100, c.bad*100, c.length, curveOf(times))
	}
}
