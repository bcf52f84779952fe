package guard

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// ramp are the weights of the preset of ten steps.
var ramp = []float64{0.01, 0.05, 0.10, 0.15, 0.25, 0.35, 0.50, 0.65, 0.80, 1}

// healthy is a kind of rollout that nothing is wrong with: the candidate keeps its limits.
type healthy struct {
	name   string
	rate   float64 // of the service, requests per second
	length time.Duration
	runs   int // in the full test
	make   func(w *world, bake float64)
}

func both(w *world, change func(o *origin)) {
	change(&w.candidate)
	change(&w.control)
}

// errorsOf gives both origins a rate of errors.
func errorsOf(w *world, rate float64) { both(w, func(o *origin) { o.errors = constantly(rate) }) }

// latencies gives both a median of 50 ms and a p99 of 202 ms. Without them the guards of latencies see nothing, and cost no time.
func latencies(w *world) { both(w, func(o *origin) { o.median, o.spread = constantly(0.05), 0.6 }) }

// atLimit is the spread at which 1 % are above 250 ms.
var atLimit = math.Log(5) / 2.3263

func coldStarts(bake, lasts, cold, warm float64) func(float64) float64 {
	return func(t float64) float64 {
		if math.Mod(t, bake) < lasts {
			return cold
		}
		return warm
	}
}

const (
	quarter = 250 * time.Millisecond
	second  = time.Second
)

var healthyKinds = []healthy{
	{"independent, 0.1 % errors, p99 202 ms", 2000, second, 60, func(w *world, _ float64) { errorsOf(w, 0.001); latencies(w) }},
	{"at the limits: 0.5 % errors", 2000, second, 600, func(w *world, _ float64) { errorsOf(w, 0.005) }},
	{"at the limits: 0.5 % errors, windows of 250 ms", 2000, quarter, 100, func(w *world, _ float64) { errorsOf(w, 0.005) }},
	{"at the limits: 0.5 % errors, 20 req/s", 20, second, 600, func(w *world, _ float64) { errorsOf(w, 0.005) }},
	{"at the limit and twice the control's errors", 2000, second, 200, func(w *world, _ float64) {
		w.candidate.errors, w.control.errors = constantly(0.005), constantly(0.0025)
	}},
	{"at the limits: 1 % above 250 ms, and 1.3 times the control", 2000, second, 40, func(w *world, _ float64) {
		latencies(w)
		both(w, func(o *origin) { o.spread = atLimit })
		w.control.median = constantly(0.05 / 1.3)
	}},
	{"errors in clumps of 3 in the mean, 0.3 %", 2000, second, 200, func(w *world, _ float64) {
		errorsOf(w, 0.003)
		both(w, func(o *origin) { o.clump = 3 })
	}},
	{"errors in clumps of 10 in the mean, 0.3 %", 2000, second, 200, func(w *world, _ float64) {
		errorsOf(w, 0.003)
		both(w, func(o *origin) { o.clump = 10 })
	}},
	{"one pod of 20 fails 6 % always", 2000, second, 200, func(w *world, _ float64) {
		w.candidate.errors, w.control.errors = constantly(0.001+0.06/20), constantly(0.003)
	}},
	{"one pod of 20 fails for 0.3 s each 60 s", 2000, quarter, 100, func(w *world, _ float64) {
		errorsOf(w, 0.001)
		both(w, func(o *origin) { o.every, o.lasts = 60, 0.3 })
	}},
	{"one pod of 20 fails for 0.3 s each 60 s, windows of 1 s", 2000, second, 200, func(w *world, _ float64) {
		errorsOf(w, 0.001)
		both(w, func(o *origin) { o.every, o.lasts = 60, 0.3 })
	}},
	{"errors go up and down, 0.05 to 0.45 %, in 10 min", 2000, second, 200, func(w *world, _ float64) {
		both(w, func(o *origin) {
			o.errors = func(t float64) float64 { return 0.0025 + 0.002*math.Sin(t/600*2*math.Pi) }
		})
	}},
	{"errors rise from 0.02 to 0.25 %, half of the limit", 2000, second, 200, func(w *world, bake float64) {
		w.candidate.errors, w.control.errors = w.from(0.0002, 3*bake, 0.0025), constantly(0.002)
	}},
	{"heavy tails: 2 % Pareto 1.3, no deviation", 2000, second, 40, func(w *world, _ float64) {
		latencies(w)
		both(w, func(o *origin) { o.spread, o.heavy = 0.5, 0.02 })
	}},
	{"one pod of 20 stands still for 0.5 s each 20 s", 2000, second, 40, func(w *world, _ float64) {
		latencies(w)
		both(w, func(o *origin) { o.spread, o.pauses, o.paused = 0.5, 20, 0.5 })
	}},
	{"cold starts: 3 times slower for 4 s of each step", 2000, second, 40, func(w *world, bake float64) {
		latencies(w)
		w.candidate.median = coldStarts(bake, 4, 0.15, 0.05)
	}},
	{"cold starts: 3 % errors for 0.5 s of each step", 2000, quarter, 100, func(w *world, bake float64) {
		errorsOf(w, 0.001)
		w.candidate.errors = coldStarts(bake, 0.5, 0.03, 0.001)
	}},
}

// beyondTheMethod are rollouts of which one may think that nothing is wrong, and which cannot be told from those that have to be seen in two seconds.
var beyondTheMethod = []healthy{
	{"one pod of 20 fails for 0.3 s each 10 min", 2000, quarter, 100, func(w *world, _ float64) {
		errorsOf(w, 0.001)
		both(w, func(o *origin) { o.every, o.lasts = 600, 0.3 })
	}},
	{"one pod of 20 fails for 1 s each 60 s", 2000, quarter, 100, func(w *world, _ float64) {
		errorsOf(w, 0.001)
		both(w, func(o *origin) { o.every, o.lasts = 60, 1 })
	}},
	{"errors rise from 0.02 to 0.45 %, below the limit", 2000, second, 200, func(w *world, bake float64) {
		w.candidate.errors, w.control.errors = w.from(0.0002, 3*bake, 0.0045), constantly(0.003)
	}},
	{"cold starts: 3 % errors for 2 s of each step", 2000, quarter, 100, func(w *world, bake float64) {
		errorsOf(w, 0.001)
		w.candidate.errors = coldStarts(bake, 2, 0.03, 0.001)
	}},
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// ramped is one healthy rollout. It returns which guards fail, each once.
func ramped(guards []*Guard, w *world, bake float64) []bool {
	states := make([]State, len(guards))
	failed := make([]bool, len(guards))
	for i, g := range guards {
		states[i] = g.Start()
	}
	windows := int(bake / w.length.Seconds())
	for step, share := range ramp {
		w.share = share
		for i, g := range guards {
			states[i] = g.NextStep(states[i])
		}
		for k := range windows {
			p := w.next(float64(step)*bake + float64(k)*w.length.Seconds())
			for i, g := range guards {
				if !failed[i] {
					g.advance(&states[i], &p)
					failed[i] = states[i].Over >= g.failures
				}
			}
		}
	}
	return failed
}

// TestHealthyRolloutsPass prints how many of the rollouts that nothing is wrong with are rolled back: in the full test ten steps of ten minutes,
// with a look at each window, else of a minute.
func TestHealthyRolloutsPass(t *testing.T) {
	for _, kind := range healthyKinds {
		t.Run(kind.name, func(t *testing.T) {
			if failed, runs := rampedOften(t, kind); tail(failed, runs, DefaultFalseRollbacks) < 1e-5 {
				t.Errorf("%d of %d were rolled back", failed, runs)
			}
		})
	}
	for _, kind := range beyondTheMethod {
		t.Run(kind.name, func(t *testing.T) { rampedOften(t, kind) })
	}
}

// rampedOften runs rollouts of a kind and prints how many were rolled back, and by which guards.
func rampedOften(t *testing.T, kind healthy) (failed, runs int) {
	seed := rand.Uint64()
	runs, bake := 3, 60.0
	if full() {
		runs, bake = kind.runs, 600
	}
	plan := usualPlan
	plan.Observed = time.Duration(10*bake) * time.Second
	guards := compile(t, plan, usualGuards()...)
	by := make([]int, len(guards))
	r := rand.New(rand.NewPCG(seed, 2))
	for range runs {
		w := &world{Rand: r, rate: kind.rate, length: kind.length}
		kind.make(w, bake)
		some := false
		look := guards
		if w.candidate.median == nil {
			look = guards[:2] // the others would see nothing
		}
		for i, f := range ramped(look, w, bake) {
			by[i] += b2i(f)
			some = some || f
		}
		failed += b2i(some)
	}
	which := ""
	for i, g := range guards {
		if by[i] > 0 {
			which += fmt.Sprintf(" %s %d", g.name, by[i])
		}
	}
	t.Logf("%-60s %4d of %4d rolled back (seed %d)%s", kind.name, failed, runs, seed, which)
	return failed, runs
}

// tail is the probability of x or more of n at a rate.
func tail(x, n int, rate float64) float64 {
	sum, term := 0.0, math.Pow(1-rate, float64(n))
	for i := range n + 1 {
		if i >= x {
			sum += term
		}
		term *= float64(n-i) / float64(i+1) * rate / (1 - rate)
	}
	return sum
}
