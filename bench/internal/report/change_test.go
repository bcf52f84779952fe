package report

import (
	"math"
	"math/rand/v2"
	"testing"
)

// lines are those of a report of n lines: runs in pairs with a peer that is twice as slow, whose noise in a run is sigma.
func linesOf(r *rand.Rand, n, runs int, sigma, factor float64) (lines []*Line) {
	series := func(mean float64) (s Series) {
		for range runs {
			s = append(s, []float64{mean * math.Exp(sigma*r.NormFloat64())})
		}
		return s
	}
	for i := range n {
		own, other := series(factor), series(2)
		lines = append(lines, NewLine("own", "m", "s", map[string]any{"case": i}, own).Compare("peer", ByMean, own, other))
		lines = append(lines, NewLine("peer", "m", "s", map[string]any{"case": i}, other))
	}
	return lines
}

func TestWhatHasNotChangedSeldomShows(t *testing.T) {
	for _, runs := range []int{5, 10} {
		r := rand.New(rand.NewPCG(uint64(runs), 1))
		wrong, found := 0, 0
		const times = 40
		for range times {
			c := CompareReports(linesOf(r, 20, runs, 0.05, 1), linesOf(r, 20, runs, 0.05, 1))
			if anySure(c) {
				wrong++
			}
			if anySure(CompareReports(linesOf(r, 1, runs, 0.05, 1), linesOf(r, 1, runs, 0.05, 1.3))) {
				found++
			}
		}
		if wrong > times/10 || found < times/2 {
			t.Errorf("%d runs: too many, or too few", runs)
		}
		t.Logf("%d runs: %d of %d reports of 40 lines show a change that is none; 30 %% slower is seen %d times of %d", runs, wrong, times, found, times)
	}
}

func TestInvalidLinesAreNotCompared(t *testing.T) {
	of := func() *Line { return NewLine("own", "m", "s", nil, Series{{1}, {1.1}, {1.2}}) }
	for name, c := range map[string]struct {
		before, after    *Line
		compared, wanted int
	}{
		"neither": {of(), of(), 1, 0}, "before": {of().Invalidate("slow"), of(), 0, 1}, "after": {of(), of().Invalidate("slow"), 0, 1},
	} {
		got := CompareReports([]*Line{c.before}, []*Line{c.after})
		if len(got.Changes) != c.compared || len(got.Invalid) != c.wanted || len(got.Bare)+len(got.OnlyBefore)+len(got.OnlyAfter) != 0 {
			t.Errorf("%s is invalid: %+v", name, got)
		}
	}
}

func anySure(c Comparison) bool {
	for _, d := range c.Changes {
		if d.Sure {
			return true
		}
	}
	return false
}
