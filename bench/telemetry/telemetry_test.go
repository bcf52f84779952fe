package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/internal/role"
	"github.com/crossfade-proxy/crossfade/bench/internal/usage"
)

// TestMain makes the test binary double as the simulated fleet.
func TestMain(m *testing.M) {
	if role.Serve(roles()) {
		return
	}
	os.Exit(m.Run())
}

// TestQuick runs everything small. What needs no clock is held: every part has its figures, the control plane counted each request that was sent,
// simulated or real, and each rollout met what it was to meet, or there would have been an error.
func TestQuick(t *testing.T) {
	results := t.TempDir()
	if err := run(t.Context(), []string{"-quick", "-proxies", "5", "-services", "10", "-rollouts", "1", "-interval", "500ms", "-results", results}); err != nil {
		t.Fatal(err)
	}
	lines, err := report.Read(filepath.Join(results, "*-quick"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, l := range lines {
		seen[fmt.Sprint(l.Case["part"], " ", l.Metric)]++
		if l.Metric == "requests_counted" && (l.Failed > 0 || l.N == 0) || l.Metric == "real_requests_counted" && l.N == 0 {
			t.Errorf("%s: %d of %d: %s", l.Metric, l.Failed, l.N, l.Note)
		}
	}
	for part, cases := range map[string]int{"cost": 2, "rates": 2, "intervals": 1, "sizes": 2, "guards": 1} {
		for _, f := range figures {
			if n := seen[part+" "+f.metric]; n == 0 && (f.metric != loadReporters || part != "rates") || n > cases {
				t.Errorf("%s of %s: %d lines, not 1 to %d", f.metric, part, n, cases)
			}
		}
		if seen[part+" requests_counted"] != 1 {
			t.Errorf("%s: nobody counted", part)
		}
	}
	for _, metric := range []string{"sizes largest_fleet", "guards real_rollout_completed", "guards real_requests_counted", "guards failing_until_decided"} {
		if seen[metric] == 0 {
			t.Errorf("%s was not measured", metric)
		}
	}
}

func TestLoads(t *testing.T) {
	got := fmt.Sprint(Traffic{Rate: 10, Half: []int{0}, Failing: []int{0}, Errors: 0.5}.loads(2), Traffic{Rate: 10, Both: true}.loads(1))
	if want := "[{5 0} {5 0.5} {10 0} {0 0}] [{5 0} {5 0}]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if clusters := clusters(2); clusters[1].Name != "service-000/eks" || clusters[2].Name != "service-001/ecs" || len(clusters) != 4 {
		t.Errorf("clusters are not in the order of loads: %v", clusters)
	}
}

// TestKept: what was late, or failed, meets no aim.
func TestKept(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*window)
		met   bool
	}{
		"as it should be": {func(*window) {}, true},
		"too few flushes": {func(w *window) { w.sent.Flushes = 970 }, false},
		"one refused":     {func(w *window) { w.sent.Refused = 1 }, false},
		"one timed out":   {func(w *window) { w.sent.TimedOut = 1 }, false},
		"too late":        {func(w *window) { w.delays = []float64{11} }, false},
		"too dear":        {func(w *window) { w.server = 1.1 }, false},
		"rolled back":     {func(w *window) { w.over = "service-000 is RolledBack" }, false},
	} {
		w := kept()
		c.spoil(w)
		l := linesOf("cost", windows{w}, versus{})["cpu_of_control_plane"]
		if l.Met == nil || *l.Met != c.met || *l.OfferedRPS != 100 || (l.Invalid == "") != (w.spoilt() == "") {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

// TestFlat: what more requests cost is held against windows of few requests, and disturbed ones on either side meet no aim, though they may be dear.
func TestFlat(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(own, base *window)
		met   bool
	}{
		"as it should be":       {func(_, _ *window) {}, true},
		"dearer":                {func(own, _ *window) { own.server = 0.9 }, false},
		"disturbed":             {func(own, _ *window) { own.sent.Flushes = 970 }, false},
		"beside a disturbed":    {func(_, base *window) { base.server, base.delays = 2, []float64{11} }, false},
		"with too few flushes":  {func(_, base *window) { base.sent.Flushes = 970 }, false},
		"both of them are such": {func(own, base *window) { own.sent.Refused, base.sent.Refused = 1, 1 }, false},
	} {
		var own, base windows
		for range 5 {
			own, base = append(own, kept()), append(base, kept())
			c.spoil(own[len(own)-1], base[len(base)-1])
		}
		l := linesOf("rates", own, versus{base, "1 requests/s", aimFlat})["cpu_of_control_plane"]
		if l.Met == nil || *l.Met != c.met {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

// kept is a window as it should be.
func kept() *window {
	w := &window{proxies: aimProxies, rollouts: aimRollouts, interval: 10 * time.Second, seconds: 10, server: 0.5, delays: []float64{0.1}, loads: []float64{3e6, 2e6}}
	w.sent.Flushes, w.sent.FlushBytes = 1000, 450_000_000
	return w
}

// linesOf are the lines of windows, by metric.
func linesOf(part string, ws windows, v versus) map[string]*report.Line {
	b := &bench{options: &options{services: aimServices}, r: report.NewRun("telemetry", "", 1, time.Time{})}
	b.lines(part, ws, v)
	out := map[string]*report.Line{}
	for _, l := range b.r.Lines() {
		out[l.Metric] = l
	}
	return out
}

// TestBytesAreThoseOfTheWire: 49 kB/s of messages are more than 50 on a wire. The aim is told at the interval of the part cost and at that of bootstraps,
// and says which.
func TestBytesAreThoseOfTheWire(t *testing.T) {
	const metric = "bytes_per_proxy_on_wire"
	for _, c := range []struct {
		part     string
		interval time.Duration
		kB       uint64 // per second, of messages
		both     bool
		want     string
	}{
		{"cost", 13 * time.Second, 47, false, "p99 <= 50 kB/s, 0 failed, at a flush of 13s: true"},
		{"cost", 13 * time.Second, 49, false, "p99 <= 50 kB/s, 0 failed, at a flush of 13s: false"},
		{"intervals", 2 * time.Second, 260, false, "p99 <= 50 kB/s, 0 failed, at a flush of 2s: false"},
		{"intervals", 2 * time.Second, 47, false, "p99 <= 50 kB/s, 0 failed, at a flush of 2s: true"},
		{"intervals", 2 * time.Second, 47, true, ""},
		{"intervals", 5 * time.Second, 47, false, ""},
		{"sizes", 13 * time.Second, 47, false, ""},
	} {
		w := kept()
		w.interval, w.seconds, w.both = c.interval, c.interval.Seconds(), c.both
		w.sent.FlushBytes = c.kB * 1000 * aimProxies * uint64(w.seconds)
		lines := linesOf(c.part, windows{w}, versus{})
		l, got := lines[metric], ""
		if l.Aim != nil {
			got = fmt.Sprintf("%s: %t", *l.Aim, *l.Met)
		}
		if got != c.want || lines["bytes_per_proxy"].Aim != nil || (lines["cpu_of_control_plane"].Aim != nil) != (c.want != "") {
			t.Errorf("%+v: %s", c, got)
		}
		if want := float64(c.kB) * (1448 + 66) / 1448; math.Abs(l.Mean-want) > 0.01 || lines["bytes_per_proxy"].Mean != float64(c.kB) {
			t.Errorf("%+v: %g kB/s on the wire", c, l.Mean)
		}
	}
}

// TestWhoSendsMost: those that send load reports have a sample each; without any there is no line.
func TestWhoSendsMost(t *testing.T) {
	w := kept()
	if l := linesOf("cost", windows{w}, versus{})[loadReporters]; l == nil || l.N != 2 || math.Abs(l.Max-300*onWire) > 0.01 || l.Aim != nil {
		t.Errorf("%+v", l)
	}
	w.loads = nil
	if l := linesOf("cost", windows{w}, versus{})[loadReporters]; l != nil {
		t.Errorf("%+v", l)
	}
}

// TestAPartThatFails: its lines are invalid, those of others are not, all are written, and the benchmark fails after that.
func TestAPartThatFails(t *testing.T) {
	o, results := quick(t)
	part := func(b *bench, name string, err error) report.Part {
		return report.Part{Name: name, Run: func(context.Context) error {
			b.lines(name, windows{kept()}, versus{})
			return err
		}}
	}
	wrong := errors.New("the control plane counted 3, and 4 was sent")
	err := o.report(func(r *report.Run) (failed, err error) {
		b := &bench{options: o, r: r}
		return b.each(t.Context(), []report.Part{part(b, "cost", nil), part(b, "rates", wrong), part(b, "guards", nil)})
	})
	if !errors.Is(err, wrong) || !strings.Contains(err.Error(), "rates: ") {
		t.Errorf("the error is %v", err)
	}
	lines, err := report.Read(filepath.Join(results, "*-quick"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, l := range lines {
		part := fmt.Sprint(l.Case["part"])
		seen[part]++
		if l.Metric == "part_completed" {
			seen["told"]++
		}
		if strings.Contains(l.Invalid, wrong.Error()) != (part == "rates") {
			t.Errorf("%s %s: %q", part, l.Metric, l.Invalid)
		}
	}
	if n := len(figures); seen["cost"] != n || seen["guards"] != n || seen["rates"] != n+1 || seen["told"] != 1 {
		t.Errorf("lines: %v", seen)
	}
}

// TestInterruptedWritesNothing: who ends a run does not want what there is of it.
func TestInterruptedWritesNothing(t *testing.T) {
	o, results := quick(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := o.report(func(r *report.Run) (failed, err error) {
		b := &bench{options: o, r: r}
		return b.each(ctx, []report.Part{{Name: "cost", Run: func(ctx context.Context) error {
			cancel()
			return ctx.Err()
		}}})
	})
	if found, _ := filepath.Glob(filepath.Join(results, "*")); !errors.Is(err, context.Canceled) || len(found) > 0 {
		t.Errorf("%v, %v", err, found)
	}
}

// quick are the options of a quick run, and where it writes its results.
func quick(t *testing.T) (*options, string) {
	t.Helper()
	results := t.TempDir()
	o, err := parse([]string{"-quick", "-results", results})
	if err != nil {
		t.Fatal(err)
	}
	return o, results
}

// TestTooLarge: it is said what was too small.
func TestTooLarge(t *testing.T) {
	for want, spoil := range map[string]func(*window){
		"": func(*window) {},
		"the control plane was too busy: of 2 cores the control plane had 1.60 and the simulator 0.30, and more than 1.50": func(w *window) { w.server = 1.6 },
		"the machine was too small for both: of 2 cores the control plane had 0.80 and the simulator 1.15; 97.0 of 100.0": func(w *window) {
			w.server, w.fleet, w.sent.Flushes = 0.8, 1.15, 970
		},
		"1 flushes were not taken: refused, though of 2 cores the control plane had 0.50 and the simulator 0.30": func(w *window) {
			w.sent.Refused, w.sent.LastError = 1, "refused"
		},
	} {
		w := kept()
		w.fleet = 0.3
		spoil(w)
		if got := w.tooLarge(2); !strings.HasPrefix(got, want) || (got == "") != (want == "") {
			t.Errorf("%q, want %q", got, want)
		}
	}
	last := kept()
	last.memory, last.fleets = 3e8, 5e8
	for free, enough := range map[float64]bool{1e9: true, 7e8: false, 0: true} { // a thousand more need 0.8 GB
		if got := roomFor(2000, windows{last}, free); (got == "") != enough {
			t.Errorf("%g bytes free: %q", free, got)
		}
	}
	if usage.Free() == 0 {
		t.Error("free memory is not known")
	}
}

// TestSizes: which is the largest, why, and what each proxy costs.
func TestSizes(t *testing.T) {
	for _, c := range []struct {
		sizes []int
		why   string
		note  string
		slope bool
	}{
		{[]int{500, 2000}, "", "no size was too large up to 2000, the largest that was tried; the simulator", true},
		{[]int{500, 2000}, "3000 were too many: too busy", "3000 were too many: too busy; 2000 were the last that were not; the simulator", true},
		{[]int{500}, "2000 were too many: too busy", "2000 were too many: too busy; 500 were the last", false},
		{nil, "500 were too many: too busy", "500 were too many: too busy; the simulator", false},
	} {
		var good windows
		for _, n := range c.sizes {
			w := kept()
			w.proxies, w.server, w.memory = n, 0.05+0.00025*float64(n), 5e7+1e5*float64(n)
			good = append(good, w)
		}
		b := &bench{options: &options{services: aimServices}, r: report.NewRun("telemetry", "", 1, time.Time{})}
		b.sizeLines(good, c.why)
		got := map[string]float64{}
		for _, l := range b.r.Lines() {
			got[l.Metric] = l.Mean
			if l.Metric == "largest_fleet" && !strings.HasPrefix(l.Note, c.note) {
				t.Errorf("note %q, want %q", l.Note, c.note)
			}
		}
		largest := 0
		if len(c.sizes) > 0 {
			largest = c.sizes[len(c.sizes)-1]
		}
		want := map[string]float64{"largest_fleet": float64(largest)}
		if c.slope {
			want["cpu_of_control_plane_each_proxy"], want["memory_of_control_plane_each_proxy"], want["proxies_per_core"] = 0.00025, 1e5, 4000
		}
		if !maps.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

// TestPairsAreEnough: of fewer an aim of a ratio cannot be met.
func TestPairsAreEnough(t *testing.T) {
	if o, err := parse(nil); err != nil || o.pairs < 5 {
		t.Errorf("%d pairs, %v", o.pairs, err)
	}
}

func TestMistakes(t *testing.T) {
	for args, want := range map[string]string{
		"-proxies 0": "-proxies: 0: must be", "-services 0": "-services: 0: must be", "-rollouts 201": "-rollouts: 201: must be", "-rate 0": "-rate: 0: must be",
		"-interval 1ms": "-interval: 1ms: must be", "-pairs 0": "-pairs: 0: must be", "-quick -full": "exclude each other", "x": `"x" is not a flag`,
	} {
		if _, err := parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}
