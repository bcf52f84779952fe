package shadow

import (
	"cmp"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/shadowtest"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/stats"
)

// fullVariable makes the tables of docs/design/comparison.md, in some minutes, instead of a few of their numbers: CROSSFADE_FULL=1.
const fullVariable = "CROSSFADE_FULL"

func full() bool { return os.Getenv(fullVariable) == "1" }

// power is a line of the table of docs/design/comparison.md: within so many pairs of an endpoint a difference is found with a probability of
// 99.9 %.
type power struct {
	rate, noise float64
	confirm     bool // control is asked again for differences
	pairs       int
}

// stated is that table. Control is asked twice for a share of 20 %.
var stated = []power{
	{1, 0, true, 40},
	{1, 0.01, true, 45},
	{1, 0.1, true, 50},
	{0.1, 0, true, 500},
	{0.1, 0.01, true, 700},
	{0.1, 0.1, true, 2000},
	{0.01, 0, true, 5000},
	{0.01, 0.01, true, 18_000},
	{0.01, 0.1, true, 140_000},
	{0.001, 0, true, 52_000},
	{0.001, 0.01, true, 1_300_000},
	{1, 0, false, 270},
	{1, 0.01, false, 270},
	{1, 0.1, false, 300},
	{0.1, 0, false, 2600},
	{0.1, 0.01, false, 3500},
	{0.1, 0.1, false, 10_000},
	{0.01, 0, false, 26_000},
	{0.01, 0.01, false, 95_000},
	{0.01, 0.1, false, 700_000},
	{0.001, 0, false, 260_000},
}

// TestPairsNeeded: of many experiments with one difference, no more than 0.1 % need more pairs than are stated.
func TestPairsNeeded(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 5))
	t.Logf("seed %d; pairs until a difference is found", seed)
	for _, p := range stated {
		runs := 200
		if full() {
			runs = min(4000, 1_200_000_000/p.pairs)
		} else if p.pairs > 50_000 {
			continue
		}
		needed := make([]int, runs)
		late := uint64(0)
		for i := range needed {
			needed[i] = evidenceAlone(r, p.rate, p.noise, 0.2, p.confirm, threshold, 4*p.pairs)
			if needed[i] > p.pairs {
				late++
			}
		}
		slices.Sort(needed)
		_, high := stats.Interval(late, uint64(runs), 0.95)
		t.Logf("rate %5.1f %%  noise %4.1f %%  asked again %-5v  median %8d  99.9 %% %8d  stated %8d  late %d of %d (at most %.2f %%)", p.rate*100, p.noise*100, p.confirm, needed[runs/2], needed[int(math.Ceil(float64(runs)*0.999))-1], p.pairs, late, runs, high*100)
		if stats.BinomialTail(late, uint64(runs), 0.001) < 1e-6 {
			t.Errorf("%+v: %d of %d were late", p, late, runs)
		}
	}
}

// TestTables prints what is found of what is planted, and what is found that is not, beside Diffy's rule on the same pairs.
func TestTables(t *testing.T) {
	if !full() {
		return // the same at small numbers: TestFindsTheTruth, TestNoiseIsNoFinding, TestDiffyBeside
	}
	t.Run("recall", func(t *testing.T) {
		for _, c := range []struct {
			rate  float64
			pairs int
			seeds uint64
		}{{1, 60, 20}, {0.1, 700, 20}, {0.01, 5500, 20}, {0.001, 55_000, 2}} {
			planted, found, false_ := 0, 0, 0
			for seed := range c.seeds {
				e := newExperiment(t, seed+100, shadowtest.Options{Endpoints: 3, Rate: c.rate, Noise: 0.1, Noisy: 10}, 0.2, true)
				e.run(c.pairs * e.world.EndpointCount())
				f, _, invented := e.judge(Policy{})
				planted, found, false_ = planted+len(e.world.Planted()), found+f, false_+len(invented)
			}
			low, high := stats.Interval(uint64(found), uint64(planted), 0.95)
			t.Logf("rate %5.1f %%, %6d pairs an endpoint, %d seeds: %d of %d found (%.2f to %.2f %%), %d false", c.rate*100, c.pairs, c.seeds, found, planted, low*100, high*100, false_)
		}
	})
	t.Run("false findings", func(t *testing.T) {
		pairs, experiments, false_ := 0, uint64(0), uint64(0)
		for seed := range uint64(50) {
			e := newExperiment(t, seed+1000, shadowtest.Options{Endpoints: 4, Noise: 0.1, Noisy: 60, Rate: 0}, 0.2, true)
			for range 10 {
				e.run(2000)
				pairs += 2000
				if _, _, invented := e.judge(Policy{}); len(invented) > 0 {
					false_ += uint64(len(invented))
				}
			}
			experiments++
		}
		_, high := stats.Interval(false_, experiments, 0.95)
		t.Logf("%d false findings in %d pairs of %d experiments with 60 noisy places and 10 looks (at most %.1f %% of experiments)", false_, pairs, experiments, high*100)
	})
	t.Run("false findings, long", func(t *testing.T) {
		false_, pairs := 0, 0
		odd := map[Kind]stats.Evidence{}
		for seed := range uint64(6) {
			e := newExperiment(t, seed+5000, shadowtest.Options{Endpoints: 3, Noise: 0.1, Noisy: 60, Rate: 0}, 0.2, true)
			e.live = Live{2: 1000}
			e.run(250_000)
			pairs += 250_000
			_, _, invented := e.judge(Policy{})
			false_ += len(invented)
			addOdd(odd, e.tally)
		}
		t.Logf("%d false findings in %d pairs of 6 experiments with 60 noisy places", false_, pairs)
		checkFair(t, odd)
	})
	t.Run("false findings, odd answers alone", func(t *testing.T) {
		r := rand.New(rand.NewPCG(9, 9))
		for _, a := range []float64{1e-1, 1e-2, 1e-3} {
			reached, runs := uint64(0), uint64(20_000)
			for range runs {
				if evidenceAlone(r, 0, 0.1, 0.2, true, math.Log(1/a), 20_000) <= 20_000 {
					reached++
				}
			}
			low, high := stats.Interval(reached, runs, 0.95)
			t.Logf("threshold for %g: reached in %.5f of runs (%.5f to %.5f), a look after each of 20000 pairs", a, rate(reached, runs), low, high)
		}
	})
	t.Run("diffy", func(t *testing.T) {
		diffyTable(t, 20, 10_000)
		diffyTable(t, 4, 120_000)
	})
}

// diffyTable prints both methods on the same pairs, each request sent three times, as Diffy does.
func diffyTable(t *testing.T, seeds uint64, pairs int) (ours, diffys [2]int) {
	t.Helper()
	for _, world := range []struct {
		rate, noise float64
	}{{0.1, 0.1}, {0.01, 0.1}, {0.01, 0.01}, {0, 0.1}} {
		var mine, theirs [2]int // found, false
		planted := 0
		for seed := range seeds {
			e := newExperiment(t, seed+1, shadowtest.Options{Endpoints: 3, Rate: cmp.Or(world.rate, 1e-12), Noise: world.noise, Noisy: 40}, 1, false)
			e.diffy, e.totals = map[shadowtest.Place]*[2]uint64{}, map[string]uint64{}
			e.run(pairs)
			if world.rate > 0 {
				planted += len(e.world.Planted())
			}
			f, _, invented := e.judge(Policy{})
			mine[0], mine[1] = mine[0]+f, mine[1]+len(invented)
			f, wrong := e.judgeDiffy()
			theirs[0], theirs[1] = theirs[0]+f, theirs[1]+wrong
		}
		t.Logf("rate %4.1f %%, noise to %4.1f %%, %d pairs, %d seeds: ours %d of %d found and %d false; Diffy's rule %d and %d", world.rate*100, world.noise*100, pairs, seeds, mine[0], planted, mine[1], theirs[0], theirs[1])
		for i := range 2 {
			ours[i], diffys[i] = ours[i]+mine[i], diffys[i]+theirs[i]
		}
	}
	return ours, diffys
}

// judgeDiffy applies Diffy's rule to what was counted.
func (e *experiment) judgeDiffy() (found, invented int) {
	planted := map[shadowtest.Place]bool{}
	for _, p := range e.world.Planted() {
		planted[p] = true
	}
	for p, n := range e.diffy {
		switch {
		case !stats.DiffyRule(n[0], n[1], e.totals[p.Endpoint], stats.DiffyRelative, stats.DiffyAbsolute):
		case planted[p]:
			found++
		case !consequence(p, e.world.Planted()):
			invented++
		}
	}
	return found, invented
}

// TestDiffyBeside: on the same pairs Diffy's rule takes noise for differences, and ours does not.
func TestDiffyBeside(t *testing.T) {
	ours, theirs := diffyTable(t, 1, 2000)
	if ours[1] > 0 || theirs[1] == 0 {
		t.Errorf("ours %v, Diffy's %v", ours, theirs)
	}
}
