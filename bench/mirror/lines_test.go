package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/mirror/exact"
)

// invented is a benchmark that has measured nothing yet.
func invented() *bench {
	return &bench{options: &options{tenfold: 10 * time.Second}, r: report.NewRun("mirror", "", 1, time.Unix(0, 0))}
}

// line is the only one of a system and metric.
func (b *bench) line(t *testing.T, system, metric string) *report.Line {
	t.Helper()
	var found *report.Line
	for _, l := range b.r.Lines() {
		if l.System == system && l.Metric == metric {
			if found != nil {
				t.Fatalf("two lines: %s %s", system, metric)
			}
			found = l
		}
	}
	if found == nil {
		t.Fatalf("no line: %s %s", system, metric)
	}
	return found
}

// expect checks whether an aim is met, and what makes the line invalid.
func expect(t *testing.T, name string, l *report.Line, met bool, invalid string) {
	t.Helper()
	if l.Met == nil || *l.Met != met || !strings.Contains(l.Invalid, invalid) || (l.Invalid == "") != (invalid == "") {
		t.Errorf("%s: %+v", name, l)
	}
	if l.Measured == "" {
		t.Errorf("%s: not said what was held against the aim", name)
	}
}

func TestCopiesThatAreMissing(t *testing.T) {
	for name, c := range map[string]struct {
		share  int32
		runs   []copying
		enough bool
	}{
		"all":                           {whole, []copying{{1000, 1000}, {1000, 1000}}, true},
		"some late":                     {whole, []copying{{1000, 950}}, true},
		"a seventh missing":             {whole, []copying{{1000, 1000}, {1000, 850}}, false},
		"stopped in one run":            {whole, []copying{{1000, 1000}, {1000, 100}}, false},
		"1 %":                           {100, []copying{{6000, 60}, {6000, 55}}, true},
		"1 %, drawn unluckily":          {100, []copying{{6000, 60}, {6000, 40}}, true},
		"1 %, stopped in one run":       {100, []copying{{6000, 60}, {6000, 20}}, false},
		"1 %, a third less in all runs": {100, []copying{{6000, 40}, {6000, 40}, {6000, 40}, {6000, 40}}, false},
		"none of few":                   {100, []copying{{100, 0}}, false},
		"no run":                        {whole, nil, false},
	} {
		if got := tooFew(c.share, c.runs...); (got == "") != c.enough {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestRatesThatAreNotReached(t *testing.T) {
	fine, slow, slower := sum{offered: 100, achieved: 98}, sum{offered: 100, achieved: 96}, sum{offered: 100, achieved: 80}
	if got := tooSlow(fine, fine); got != "" {
		t.Error(got)
	}
	if got := tooSlow(fine, slow, slower); !strings.Contains(got, "2 of 3 runs, in the worst 80 of 100") {
		t.Error(got)
	}
}

// pairsOf are n pairs at 1000 requests/s with so many milliseconds of p99 more, 60 copies of 6000 requests each.
func pairsOf(n int, more float64) (out []pair) {
	for range n {
		s := sum{done: 6000, offered: 1000, achieved: 1000, p50: 0.0005, p99: 0.002, used: spent{busy: 3, total: 12}}
		p := pair{with: s, without: s, copying: copying{6000, 60}}
		p.with.p99 += more / 1e3
		out = append(out, p)
	}
	return out
}

func TestLatencyIsHeldOnlyWhereThereWereCopiesAndTheRate(t *testing.T) {
	for name, c := range map[string]struct {
		more    float64
		change  func([]pair)
		met     bool
		invalid string
	}{
		"a little more":     {0.1, func([]pair) {}, true, ""},
		"too much":          {0.5, func([]pair) {}, false, ""},
		"a request failed":  {0.1, func(p []pair) { p[1].without.failed = 1 }, false, ""},
		"copying stopped":   {0.1, func(p []pair) { p[4].copying.copies = 9 }, false, "too few in 1 of 5 runs"},
		"rate, with":        {0.1, func(p []pair) { p[0].with.achieved = 960 }, false, "960 of 1000 requests/s"},
		"rate, without":     {0.1, func(p []pair) { p[0].without.achieved = 960 }, false, "960 of 1000 requests/s"},
		"busy for a moment": {0.1, func(p []pair) { p[0].without.used.busy = 12 }, true, ""},
		"the machine busy":  {0.1, func(p []pair) { p[0].with.used.busy, p[1].with.used.busy, p[2].with.used.busy = 12, 12, 12 }, false, "the machine was busy 48 %"},
	} {
		b, all := invented(), pairsOf(5, c.more)
		c.change(all)
		b.latencyLines(100, all)
		expect(t, name, b.line(t, system, "latency_p99_difference"), c.met, c.invalid)
		if ratio := b.line(t, system, "latency_p99"); (ratio.Invalid == "") != (c.invalid == "") {
			t.Errorf("%s: the ratio is of the same runs: %q", name, ratio.Invalid)
		}
		if busy := b.line(t, system, "machine_busy"); *busy.Met == strings.Contains(c.invalid, "busy") {
			t.Errorf("%s: %+v", name, busy)
		}
	}
}

// TestRatesOfALineAreThoseOfItsRuns: not of the last pair.
func TestRatesOfALineAreThoseOfItsRuns(t *testing.T) {
	b, all := invented(), pairsOf(4, 0)
	all[0].with.achieved, all[1].without.achieved, all[1].without.failed = 980, 990, 3
	b.latencyLines(whole, all)
	for name, want := range map[string]float64{system: 995, peer: 997.5} {
		if got := b.line(t, name, "latency_p50"); *got.AchievedRPS != want || *got.OfferedRPS != 1000 {
			t.Errorf("%s: %g of %g", name, *got.AchievedRPS, *got.OfferedRPS)
		}
	}
	if own, other := b.line(t, system, "latency_p50").Failed, b.line(t, peer, "latency_p50").Failed; own != 0 || other != 3 {
		t.Errorf("%d and %d failed", own, other)
	}
}

func TestARollbackThatFailsEndsTheRounds(t *testing.T) {
	failed := errors.New("not acknowledged")
	for _, at := range []int{0, 3, batch - 1, batch, 5*batch + 3} {
		n := 0
		with, without, err := rounds(3, func(bool) (flip, error) {
			if n++; n-1 == at {
				return flip{}, failed
			}
			return flip{ack: 1}, nil
		})
		if !errors.Is(err, failed) || with != nil || without != nil || n != at+1 {
			t.Errorf("at %d: %v after %d, %d and %d rounds", at, err, n, len(with), len(without))
		}
	}
}

func TestRoundsAreWholeAndBeginInTurn(t *testing.T) {
	var order []bool
	with, without, err := rounds(3, func(mirrored bool) (flip, error) {
		order = append(order, mirrored)
		return flip{}, nil
	})
	if err != nil || len(with) != 3 || len(without) != 3 || !order[0] || order[2*batch] || !order[4*batch] {
		t.Error(len(with), len(without), order, err)
	}
	for i := range with {
		if len(with[i]) != batch || len(without[i]) != batch {
			t.Errorf("round %d has %d and %d", i, len(with[i]), len(without[i]))
		}
	}
}

func TestRollbacksAreHeldByWhatIsNeverZero(t *testing.T) {
	fine := sum{done: 10_000, offered: 500, achieved: 500, used: spent{busy: 3, total: 12}}
	for name, c := range map[string]struct {
		ack, live float64 // of those with a mirror, in ms; without it is 2 and 0
		copies    int64
		load      sum
		met       bool
		invalid   string
	}{
		"no request seen":      {2, 0, 50, fine, true, ""},
		"acknowledged late":    {4, 0, 50, fine, false, ""},
		"requests later":       {2, 4, 50, fine, false, ""},
		"copies ended before":  {2, 0, 10, fine, false, "too few in 5 of 5 runs"},
		"a request failed":     {2, 0, 50, sum{done: 10_000, failed: 1, offered: 500, achieved: 500}, false, ""},
		"rate not reached":     {2, 0, 50, sum{done: 10_000, offered: 500, achieved: 480}, false, "480 of 500 requests/s"},
		"the machine was busy": {2, 0, 50, sum{done: 10_000, offered: 500, achieved: 500, used: spent{busy: 9, total: 12}}, false, "busy 75 %"},
	} {
		var with, without [][]flip
		for range 5 {
			var x, y []flip
			for range batch {
				x = append(x, flip{ack: c.ack / 1e3, live: c.live / 1e3, before: copying{50, c.copies}})
				y = append(y, flip{ack: 0.002})
			}
			with, without = append(with, x), append(without, y)
		}
		b := invented()
		b.rollbackLines(with, without, c.load)
		l := b.line(t, system, "rollback")
		expect(t, name, l, c.met, c.invalid)
		if l.RatioHigh == nil {
			t.Errorf("%s: no interval", name)
		}
		if note := b.line(t, peer, "last_request").Note; c.load.achieved == 500 && !strings.Contains(note, "4.0 ms in the mean") {
			t.Errorf("%s: not said what cannot be seen: %s", name, note)
		}
	}
}

func TestCopiesOfAState(t *testing.T) {
	for name, c := range map[string]struct {
		in   stateCopies
		want string
	}{
		"healthy":                      {stateCopies{healthy: true, requests: 1000, sent: 986, asked: 970}, ""},
		"healthy, stopped":             {stateCopies{healthy: true, requests: 1000, sent: 500, asked: 500}, "500 copies of 1000"},
		"healthy, dropped":             {stateCopies{healthy: true, requests: 1000, sent: 986, asked: 80}, "80 of 986"},
		"candidate frozen":             {stateCopies{requests: 1000, sent: 986, asked: 64}, ""},
		"candidate frozen, none asked": {stateCopies{requests: 1000, sent: 986}, "0 of 986 copies"},
		"candidate frozen, stopped":    {stateCopies{requests: 1000, sent: 200, asked: 200}, "200 copies of 1000"},
		"comparator frozen":            {stateCopies{disturbed: true, requests: 1000, sent: 90}, ""},
		"comparator frozen, none sent": {stateCopies{disturbed: true, requests: 1000}, "no copy of 1000"},
	} {
		got := c.in.wrong()
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		b := invented()
		b.harmLine(system, map[string]any{}, exact.Sum{Done: 1000}, "", got)
		expect(t, name, b.line(t, system, "requests"), c.want == "", c.want)
		b.memoryLines(map[string]any{}, map[string]memory{"envoy": {peak: 1 << 20}}, nil, got)
		expect(t, name, b.line(t, system, "memory of envoy, peak"), c.want == "", c.want)
	}
}

// TestUploadsAreHeldByTheWorseEnd: of the ratio of the rounds, not by the median of all.
func TestUploadsAreHeldByTheWorseEnd(t *testing.T) {
	for name, c := range map[string]struct {
		frozen  []float64 // milliseconds, of each round; without a mirror it is 10
		copies  []int64
		met     bool
		invalid string
	}{
		"the same":                  {[]float64{10, 10, 10, 10, 10}, []int64{6, 6, 6, 6, 6}, true, ""},
		"longer":                    {[]float64{20, 20, 20, 20, 20}, []int64{6, 6, 6, 6, 6}, false, ""},
		"a little longer":           {[]float64{10.4, 10.5, 10.6, 10.5, 10.4}, []int64{6, 6, 6, 6, 6}, true, ""},
		"the same in the median":    {[]float64{8, 10, 10, 13, 14}, []int64{6, 6, 6, 6, 6}, false, ""},
		"too few rounds":            {[]float64{10, 10, 10, 10}, []int64{6, 6, 6, 6}, false, ""},
		"one that waited":           {[]float64{10, 10, 10, 10, -1}, []int64{6, 6, 6, 6, 6}, false, ""},
		"no copies were in a round": {[]float64{10, 10, 10, 10, 10}, []int64{6, 0, 6, 6, 6}, false, "no copy was sent"},
	} {
		u := &upload{took: map[string]report.Series{}, failed: map[string]int{}}
		for _, ms := range c.frozen {
			took := []float64{ms / 1e3, ms / 1e3, ms / 1e3}
			if ms < 0 {
				took = []float64{0.010, 0.010, 1.1}
			}
			u.took[unmirrored] = append(u.took[unmirrored], []float64{0.010, 0.010, 0.010})
			u.took[justFrozen] = append(u.took[justFrozen], took)
		}
		b := invented()
		b.uploadLines([]*upload{u}, c.copies)
		for _, l := range b.r.Lines() {
			if l.Case["when"] == justFrozen {
				expect(t, name, l, c.met, c.invalid)
			}
		}
	}
}

func TestACapHoldsNothingUnlessItIsPressed(t *testing.T) {
	if got := unpressed(950, 10*time.Second); got != "" {
		t.Error(got)
	}
	if got := unpressed(500, 10*time.Second); got == "" {
		t.Error("copies stopped halfway")
	}
}

// TestRunsAreEnough: of fewer pairs an aim of an interval cannot be met.
func TestRunsAreEnough(t *testing.T) {
	for _, args := range [][]string{nil, {"-full"}} {
		o, err := parse(args)
		if err != nil || min(o.pairs, o.ratios, o.rounds, o.batches) < 5 {
			t.Errorf("%q: %+v, %v", args, o, err)
		}
	}
}

func TestGrowthGoesOnWithANewHost(t *testing.T) {
	g := growth{last: 1000}
	for _, n := range []int64{1010, 0, 0, 5, 7, 3} {
		g.at(n)
	}
	if g.sum != 20 {
		t.Error(g.sum)
	}
}
