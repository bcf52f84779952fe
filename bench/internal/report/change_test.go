package report

import (
	"math"
	"math/rand/v2"
	"slices"
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

// TestChangesAreFoundAmongMany: 10 of 600 lines are 10 % slower, which lie 3 % apart from run to run. What is found is seldom by chance.
func TestChangesAreFoundAmongMany(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 1))
	report := func(changed int) (lines []*Line) {
		for i := range 600 {
			mean, s := 1.0, Series{}
			if i < changed {
				mean = 1.1
			}
			for range 8 {
				s = append(s, []float64{mean * math.Exp(0.03*r.NormFloat64())})
			}
			lines = append(lines, NewLine("s", "m", "s", map[string]any{"case": i}, s))
		}
		return lines
	}
	const times, changed = 8, 10
	found, wrong, byBonferroni, alarms := 0, 0, 0, 0
	for range times {
		c := CompareReports(report(0), report(changed))
		for i, d := range c.Changes {
			if i < changed && d.p() <= 0.05/600 {
				byBonferroni++
			}
			if d.Sure && i < changed {
				found++
			} else if d.Sure {
				wrong++
			}
		}
		if anySure(CompareReports(report(0), report(0))) {
			alarms++
		}
	}
	t.Logf("of %d changes %d are found (by Bonferroni's method %d), and %d that are none; %d of %d reports without a change show one", times*changed, found, byBonferroni, wrong, alarms, times)
	if found < times*changed*9/10 || wrong > (found+wrong)/10 || alarms > times/5 || found <= byBonferroni {
		t.Error("too many, or too few")
	}
}

// TestOneBenchDoesNotHideAnother: what is found in one does not hang on how many lines another has.
func TestOneBenchDoesNotHideAnother(t *testing.T) {
	of := func(bench string, n int, factor float64) (lines []*Line) {
		for i := range n {
			l := NewLine("s", "m", "s", map[string]any{"case": i}, Series{{factor}, {1.02 * factor}, {0.98 * factor}, {1.01 * factor}, {0.99 * factor}})
			l.Bench = bench
			lines = append(lines, l)
		}
		return lines
	}
	alone := CompareReports(of("small", 1, 1), of("small", 1, 1.04)).Changes[0]
	beside := CompareReports(append(of("small", 1, 1), of("large", 600, 1)...), append(of("small", 1, 1.04), of("large", 600, 1)...)).Changes[0]
	if !alone.Sure || !beside.Sure || alone.Low != beside.Low {
		t.Errorf("alone %+v, beside another %+v", alone, beside)
	}
}

// TestWhatNeedsNoStatistics is said whatever the noise, of invalid lines and of those without an interval, too.
func TestWhatNeedsNoStatistics(t *testing.T) {
	of := func(change func(*Line)) *Line {
		l := NewLine("own", "m", "s", nil, Series{{1}})
		if change(l); l.Aim == nil {
			l.AimOf("p50 <= 3", "p50 1 s", true)
		}
		return l
	}
	same := func(*Line) {}
	failed := func(n int) func(*Line) { return func(l *Line) { l.N, l.Failed = 100, n } }
	offered := func(rate float64) func(*Line) { return func(l *Line) { l.OfferedRPS = &rate } }
	missed := func(l *Line) { l.AimOf("p50 <= 2", "p50 4 s", false) }
	for name, c := range map[string]struct {
		before, after func(*Line)
		want          []string
	}{
		"nothing":              {same, same, nil},
		"failures":             {failed(0), failed(7), []string{"none failed, and now 7 of 100 failed"}},
		"none any more":        {failed(7), failed(0), []string{"7 of 100 failed, and now none"}},
		"more failures":        {failed(7), failed(9), nil},
		"an aim":               {same, missed, []string{"the aim p50 <= 2 is met no longer: p50 4 s, was p50 1 s"}},
		"an aim that is":       {missed, same, []string{"the aim p50 <= 3 is met now: p50 1 s, was p50 4 s"}},
		"missed both times":    {missed, missed, nil},
		"invalid":              {same, func(l *Line) { l.Invalidate("busy") }, []string{"became invalid: busy", "the aim p50 <= 3 is met no longer: p50 1 s, was p50 1 s"}},
		"the rate":             {offered(1000), offered(1021), []string{"not of the same load: 1000 were offered per second, and now 1021"}},
		"about the rate":       {offered(1000), offered(981), nil},
		"a rate where none is": {same, offered(1000), nil},
	} {
		got := CompareReports([]*Line{of(c.before)}, []*Line{of(c.after)}).Turns
		var texts []string
		for _, turn := range got {
			texts = append(texts, turn.Text)
		}
		if !slices.Equal(texts, c.want) {
			t.Errorf("%s: %q", name, texts)
		}
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
