package report

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestQuantileIsANearestRank(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(i + 1)
	}
	for _, c := range []struct {
		samples []float64
		q, want float64
	}{
		{hundred, 0.5, 50},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
		{hundred, 0, 1},
		{[]float64{7}, 0.99, 7},
		{[]float64{1, 2, 3}, 0.5, 2},
		{nil, 0.5, 0},
	} {
		if got := Quantile(c.samples, c.q); got != c.want {
			t.Errorf("%g of %d samples is %g, want %g", c.q, len(c.samples), got, c.want)
		}
	}
}

func TestRatioOf(t *testing.T) {
	twice := func(n int, factor ...float64) (own, other Series) {
		for i := range n {
			other = append(other, []float64{float64(i + 1)})
			own = append(own, []float64{float64(i+1) * factor[i%len(factor)]})
		}
		return own, other
	}
	own, other := twice(5, 2)
	if r, ok := RatioOf(ByP50, own, other); !ok || math.Abs(r.Mid-2) > 1e-9 || math.Abs(r.Low-2) > 1e-9 || math.Abs(r.High-2) > 1e-9 {
		t.Errorf("always twice is %+v, %t", r, ok)
	}
	own, other = twice(6, 0.5, 2)
	r, ok := RatioOf(ByP50, own, other)
	// Six logarithms of +-0.6931: their deviation is 0.7593, and Student's t of 0.975 with 5 degrees of freedom 2.5706.
	if want := math.Exp(2.5706 * 0.7593 / math.Sqrt(6)); !ok || math.Abs(r.Mid-1) > 1e-9 || math.Abs(r.High-want) > 1e-3 || math.Abs(r.Low-1/want) > 1e-3 {
		t.Errorf("half and twice is %+v, %t", r, ok)
	}
	if r, ok := RatioOf(ByP50, own[:2], other[:2]); !ok || math.Abs(r.Mid-1) > 1e-9 || r.Low != 0 || r.High != 0 {
		t.Errorf("two runs have no interval: %+v, %t", r, ok)
	}
	for name, c := range map[string][2]Series{
		"no pair": {nil, nil}, "one has more": {{{1}, {2}}, {{1}}}, "zero": {{{0}}, {{1}}}, "no samples": {{{}}, {{1}}},
	} {
		if r, ok := RatioOf(ByMean, c[0], c[1]); ok {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestAnAimIsMetByTheWorseEnd also holds that one is missed: a bar that cannot be missed is none.
func TestAnAimIsMetByTheWorseEnd(t *testing.T) {
	own, other := Series{{1}, {1.3}, {1}, {1}, {1}}, Series{{1}, {1}, {1}, {1}, {1}}
	l := NewLine("ours", "time", "s", nil, own).Compare("peer", ByP50, own, other)
	if *l.Ratio > 1.1 || *l.RatioHigh <= 1.1 {
		t.Fatalf("ratio %g up to %g", *l.Ratio, *l.RatioHigh)
	}
	if l.AimRatio(1.1); *l.Met {
		t.Error("met, though its interval reaches above")
	}
	if l.AimRatio(2); !*l.Met {
		t.Error("not met, though all of its interval is below")
	}
	for name, c := range map[string]struct {
		l    *Line
		want bool
	}{
		"p99 within":    {NewLine("s", "m", "ms", nil, Series{{1, 2, 3}}).AimP99(3), true},
		"p99 above":     {NewLine("s", "m", "ms", nil, Series{{1, 2, 3}}).AimP99(2), false},
		"nothing":       {NewLine("s", "m", "ms", nil, nil).AimP99(2), false},
		"none measured": {NewLine("s", "m", "ms", nil, nil).AimNone(), false},
		"no ratio":      {NewLine("s", "m", "ms", nil, own).AimRatio(2), false},
		"four runs":     {NewLine("s", "m", "ms", nil, own[:4]).Compare("peer", ByMean, own[:4], other[:4]).AimRatio(2), false},
		"invalid then":  {NewLine("s", "m", "ms", nil, own).AimP99(9).Invalidate("slow"), false},
		"invalid first": {NewLine("s", "m", "ms", nil, own).Invalidate("slow").AimP99(9), false},
		"of any kind":   {NewLine("s", "m", "ms", nil, own).AimOf("blue", "blue", true), true},
	} {
		if *c.l.Met != c.want {
			t.Errorf("%s: met is %t", name, *c.l.Met)
		}
	}
}

func TestThinKeepsTheEnds(t *testing.T) {
	all := make([]float64, 1000)
	for i := range all {
		all[i] = float64(i)
	}
	got := thin(all)
	if len(got) != maxSamples || got[0] != 0 || got[len(got)-1] != 999 || !slices.IsSorted(got) {
		t.Errorf("%d samples from %g to %g", len(got), got[0], got[len(got)-1])
	}
	if got := thin([]float64{1, 2}); !slices.Equal(got, []float64{1, 2}) {
		t.Errorf("got %v", got)
	}
}

// keys of interface.md, in any order.
var keys = []string{
	"schema", "bench", "system", "case", "metric", "unit", "n", "p50", "p90", "p99", "p99High", "max", "mean", "failed", "peer", "ratio", "ratioLow", "ratioHigh",
	"aim", "met", "offeredRps", "achievedRps", "run", "seed", "time", "commit", "machine", "versions", "command",
}

func TestWrite(t *testing.T) {
	folder := t.TempDir()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, bench := range []string{"one", "two"} {
		r := NewRun(bench, "go run ./bench/"+bench, 7, now)
		var own, other Series
		for run := range 5 {
			own, other = append(own, nil), append(other, nil)
			for i := range 50 {
				own[run] = append(own[run], float64(i+1)/1000)
				other[run] = append(other[run], float64(i+1)/500)
			}
		}
		c := map[string]any{"proxies": 3, "name": `<b>"x"</b>`}
		r.Add(NewLine("ours", "time", "s", c, own).Compare("theirs", ByP99, own, other).AimRatio(0.4))
		r.Add(NewLine("theirs", "time", "s", c, other))
		if got := r.aims(); len(got) != 1 || got[0] != `aim missed: ours time (name <b>"x"</b>, proxies 3): ratioHigh <= 0.4: p99 0.5 [0.5, 0.5] of theirs` {
			t.Errorf("aims: %q", got)
		}
		if err := r.Write(folder); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(filepath.Join(folder, "one.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			if _, ok := m[key]; !ok {
				t.Errorf("a line lacks %q", key)
			}
		}
	}
	// Both benches are on the pages, each with its command, and text from cases is text.
	for name, wants := range map[string][]string{
		"summary.md": {"go run ./bench/one", "go run ./bench/two", "not met: ratioHigh <= 0.4", "| 250 |"},
		"index.html": {"go run ./bench/one", "go run ./bench/two", `class="text missed"`, "<svg", "&lt;b&gt;"},
	} {
		b, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(b), want) {
				t.Errorf("%s lacks %q", name, want)
			}
		}
	}
}

// TestAnAimIsMetByFiveRuns: an interval of three is shown, and says too little.
func TestAnAimIsMetByFiveRuns(t *testing.T) {
	own := Series{{1}, {1.01}, {1}, {1.01}, {1}}
	for n, want := range map[int]string{
		2: "mean 1 of peer, too few runs for an interval; of 2 runs, 5 are needed", 3: "mean 1 [1, 1] of peer; of 3 runs, 5 are needed",
		4: "mean 1 [1, 1] of peer; of 4 runs, 5 are needed", 5: "mean 1 [1, 1] of peer",
	} {
		compared := func() *Line { return NewLine("s", "m", "s", nil, own[:n]).Compare("peer", ByMean, own[:n], own[:n]) }
		if l := compared().AimRatio(1.1); *l.Met != (n == 5) || l.Measured != want || (l.RatioHigh != nil) != (n >= 3) {
			t.Errorf("%d runs: met %t by %q", n, *l.Met, l.Measured)
		}
		if l := compared().AimOfInterval(n, "all of the interval of the ratio at most 2", "1", true); *l.Met != (n == 5) || strings.Contains(l.Measured, "needed") != (n < 5) {
			t.Errorf("%d runs, by words: met %t by %q", n, *l.Met, l.Measured)
		}
		if l := NewLine("s", "m", "s", nil, Series{own.All()[:n]}).AimOfInterval(n, "all of the interval of the mean at most 2", "1", true); *l.Met != (n == 5) {
			t.Errorf("%d samples: met %t by %q", n, *l.Met, l.Measured)
		}
		if l := compared().AimOf("p50 at most 2", "1", true); !*l.Met {
			t.Errorf("%d runs: an aim without an interval is not met", n)
		}
	}
	if l := NewLine("s", "m", "s", nil, own).AimRatio(2); *l.Met || l.Measured != "of 0 runs, 5 are needed" {
		t.Errorf("without a ratio: met %t by %q", *l.Met, l.Measured)
	}
}

// TestP99IsMetByItsUpperEnd: of 255 samples the 99th percentile may lie above all, and of 20 it is no more than the largest.
func TestP99IsMetByItsUpperEnd(t *testing.T) {
	to := func(n int) Series {
		s := make([]float64, n)
		for i := range s {
			s[i] = float64(i + 1)
		}
		return Series{s}
	}
	for n, c := range map[int]struct {
		high     float64 // 0: none
		measured string
	}{
		1: {0, "p99 1 ms, largest of 1 1 ms"}, 20: {0, "p99 20 ms, largest of 20 20 ms"}, 255: {0, "p99 253 ms, largest of 255 255 ms"},
		367: {0, "p99 364 ms, largest of 367 367 ms"}, 368: {368, "p99 365 ms, at most 368 ms with 97.5 %"}, 554: {554, "p99 549 ms, at most 554 ms with 97.5 %"},
		555: {554, "p99 550 ms, at most 554 ms with 97.5 %"}, 100_000: {99_062, "p99 99000 ms, at most 99062 ms with 97.5 %"},
	} {
		l := NewLine("s", "m", "ms", nil, to(n))
		l.N = 7 * n // what benchmarks of requests do
		end := l.Max
		if (l.P99High != nil) != (c.high > 0) {
			t.Errorf("%d samples have the upper end %v", n, l.P99High)
		} else if l.P99High != nil {
			if end = c.high; *l.P99High != c.high {
				t.Errorf("of %d samples the upper end is %g, want %g", n, *l.P99High, c.high)
			}
		}
		if l.AimP99(end); !*l.Met || l.Measured != c.measured {
			t.Errorf("%d samples: met %t by %q", n, *l.Met, l.Measured)
		}
		if l.AimP99(end - 1); *l.Met {
			t.Errorf("%d samples: met, though what may be p99 is above", n)
		}
	}
	if l := NewLine("s", "m", "ms", nil, nil); l.P99High != nil {
		t.Error("nothing has an upper end")
	}
	const times = 2000
	r, above := rand.New(rand.NewPCG(1, 1)), 0
	for range times {
		s := make([]float64, 600)
		for i := range s {
			s[i] = r.Float64()
		}
		if *NewLine("s", "m", "ms", nil, Series{s}).P99High < 0.99 {
			above++
		}
	}
	if above > times*35/1000 {
		t.Errorf("the 99th percentile is above its upper end %d times of %d", above, times)
	}
}

// TestEveryAimIsSaid, and what was measured of it: whoever looks at one that is met can see by how much.
func TestEveryAimIsSaid(t *testing.T) {
	r := NewRun("x", "cmd", 1, time.Now())
	r.Add(NewLine("s", "m", "ms", map[string]any{"n": 3}, Series{{1, 2}}).AimP99(2))
	r.Add(NewLine("s", "m", "ms", nil, Series{{1, 2}}))
	r.Add(NewLine("s", "n", "ms", nil, Series{{1, 2}}).AimP99(1).Invalidate("slow"))
	want := []string{
		"aim met: s m (n 3): p99 <= 2 ms, 0 failed: p99 2 ms, largest of 2 2 ms", "aim missed: s n: p99 <= 1 ms, 0 failed: p99 2 ms, largest of 2 2 ms; invalid: slow",
	}
	if got := r.aims(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// committed are the lines of the latest reports that this repository has, and its root.
func committed(t *testing.T) (root string, lines []*Line) {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	if lines, err = latest(filepath.Join(root, "bench", "results")); err != nil {
		t.Fatal(err)
	}
	return root, lines
}

// TestLatestPages: the latest full report of each bench, shorter ones aside; what is committed is made of what is committed.
func TestLatestPages(t *testing.T) {
	results := t.TempDir()
	report := func(bench, folder string, day int, p50 float64) {
		r := NewRun(bench, "go run ./bench/"+bench, 7, time.Date(2026, 3, day, 0, 0, 0, 0, time.UTC))
		r.Add(NewLine("ours", "time", "s", nil, Series{{p50}}))
		if err := r.Write(filepath.Join(results, folder)); err != nil {
			t.Fatal(err)
		}
	}
	report("one", "z-older", 1, 111)
	report("one", "b", 2, 222)
	report("two", "z-older", 1, 333)
	report("two", "b-quick", 3, 444)
	report("two", "b-short", 4, 555)
	report("two", "b-custom", 5, 666)
	report("two", "b-dirty", 6, 777)
	if err := LatestPages(results); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(results, "summary.md"))
	if err != nil {
		t.Fatal(err)
	}
	for figure, want := range map[string]bool{"111": false, "222": true, "333": true, "444": false, "555": false, "666": false, "777": false} {
		if got := strings.Contains(string(b), "| "+figure+" s |"); got != want {
			t.Errorf("%s: %v", figure, got)
		}
	}
	root, lines := committed(t)
	all, err := benches(filepath.Join(root, "bench"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), missing(all, nil)) || !slices.Contains(all, "fleet") || !slices.Contains(all, "telemetry") || slices.Contains(all, "compare") {
		t.Errorf("of the benchmarks %q none has a report, and it does not say so", all)
	}
	if b, err = os.ReadFile(filepath.Join(root, "bench", "results", "summary.md")); err != nil || string(b) != summary(latestTitle, missing(all, lines), lines) {
		t.Errorf("bench/results/summary.md is not made of the reports below it (%v): run go run ./bench/compare -join", err)
	}
}

// TestMissingReportsAreNamed: a benchmark that was never run in full does not vanish.
func TestMissingReportsAreNamed(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{"one": "package main", "two": "// Command two.\npackage main", "compare": "package main", "part": "package part"} {
		if err := os.Mkdir(filepath.Join(folder, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name, "main.go"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, err := benches(folder)
	if err != nil || !slices.Equal(all, []string{"one", "two"}) {
		t.Fatalf("%q, %v", all, err)
	}
	for bench, want := range map[string]string{"x": ": one, two.", "one": ": two."} {
		l := line("m")
		l.Bench = bench
		said := missing(all, []*Line{l})
		if !strings.HasSuffix(said, want) || !strings.Contains(summary("title", said, []*Line{l}), said) {
			t.Errorf("with a report of %s: %q", bench, said)
		}
		if err := pages(folder, "title", said, []*Line{l}); err != nil {
			t.Fatal(err)
		}
		if page, err := os.ReadFile(filepath.Join(folder, "index.html")); err != nil || !strings.Contains(string(page), said) {
			t.Errorf("index.html does not say %q: %v", said, err)
		}
	}
	one, two := line("m"), line("m")
	one.Bench, two.Bench = "one", "two"
	if said := missing(all, []*Line{one, two}); said != "" {
		t.Errorf("nothing is missing: %q", said)
	}
}

func TestReadRefusesBrokenLines(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "x.jsonl"), []byte("{}\n{\"schema\":"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(folder); err == nil || !strings.Contains(err.Error(), "x.jsonl") {
		t.Errorf("got %v", err)
	}
	if err := Pages(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no report") {
		t.Errorf("an empty folder gives %v", err)
	}
}

func TestAmountsReadWell(t *testing.T) {
	for _, c := range []struct {
		v    float64
		unit string
		want string
	}{
		{0.0123, "s", "12.3 ms"},
		{1.5, "s", "1.5 s"},
		{0, "s", "0 ms"},
		{512, "bytes", "512 B"},
		{1.5e6, "bytes", "1.5 MB"},
		{2.5e9, "bytes", "2.50 GB"},
		{3, "streams", "3 streams"},
		{1000, "resources", "1000 resources"},
	} {
		if got := Amount(c.v, c.unit); got != c.want {
			t.Errorf("%g %s is %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}
