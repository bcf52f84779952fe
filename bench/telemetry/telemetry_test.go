package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/internal/role"
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
			if n := seen[part+" "+f.metric]; n == 0 || n > cases {
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
	} {
		w := kept()
		c.spoil(w)
		l := linesOf("cost", windows{w}, versus{})["cpu_of_control_plane"]
		if l.Met == nil || *l.Met != c.met || *l.OfferedRPS != 100 || (l.Invalid == "") != w.kept() {
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
		for range 3 {
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
	w := &window{proxies: aimProxies, rollouts: aimRollouts, interval: 10 * time.Second, seconds: 10, server: 0.5, delays: []float64{0.1}}
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

// TestShortHasIntervals: of fewer pairs there is none, and so no aim of a ratio could be met.
func TestShortHasIntervals(t *testing.T) {
	if o, err := parse(nil); err != nil || o.pairs < 3 {
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
