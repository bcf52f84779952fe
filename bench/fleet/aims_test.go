package main

import (
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

// invented is a round in which everything costs so much, and a storm brings everybody one resource.
func invented(s subject, cost float64) *measured {
	n := int64(cost * 1e6)
	p := phase{Last: []float64{cost}, CPU: cost, FleetCPU: cost, Bytes: cost, Responses: 2 * cost, Refused: cost, RSS: n}
	return &measured{
		Cold: cost, ColdCPU: cost, ColdBytes: n, Last: []float64{cost / 2, cost}, Median: []float64{cost / 2}, FlipBytes: cost, FlipCPU: cost, FleetCPU: cost,
		FlipResponses: cost, Fold: cost, FoldCPU: cost, Collections: cost, RSS: n, Peak: n, Heap: n, Goroutines: 1, Stacks: n, FoldBytes: n, Storm: cost, StormCPU: cost, StormUpserts: s.Clients, StormBytes: n,
		StormPeak: n, Behaving: p, Unruly: p,
	}
}

// TestAims: these lines have an aim and no others, of which we fail all but the exact ones if we cost too much, and what gave up meets none.
func TestAims(t *testing.T) {
	want := []string{
		"flip_acked_p99 ratioHigh <= 0.5", "memory ratioHigh <= 0.25", "memory_peak ratioHigh <= 0.25", "flip_acked ratioHigh <= 1.1", // main
		"reconnect_storm p99 <= 3 s, 0 failed", "reconnect_storm_resources p99 <= 1000 resources, 0 failed", "reconnect_storm_memory_peak ratioHigh <= 2",
		"flip_acked p99 <= 1 s, 0 failed",                                                                                      // proxies
		"flip_cpu ratioHigh <= 1.2", "flip_cpu ratioHigh <= 1.2", "flip_bytes ratioHigh <= 1.2", "flip_bytes ratioHigh <= 1.2", // services
		"responses_to_refusing p99 <= 2 responses, 0 failed", // manners
	}
	slices.Sort(want)
	for name, c := range map[string]struct {
		cost, more float64 // of ours, where the peer's is 5; and how much more for each further size
		gaveUp     int     // rounds of ours, of five
		met        int
	}{
		"cheap":      {cost: 1, met: len(want)},
		"dear":       {cost: 10, more: 10, met: 2}, // exactly what was missed, and the memory of the storm is that before it
		"not at all": {cost: 1, gaveUp: 5},
		"not always": {cost: 1, gaveUp: 1}, // what is left would meet all
	} {
		t.Run(name, func(t *testing.T) {
			o, err := parse([]string{"-full"})
			if err != nil {
				t.Fatal(err)
			}
			p := &parts{options: o, report: &report.Run{}, out: io.Discard}
			add := func(runs results, s subject, size int) {
				for _, s.system = range append([]string{crossfade}, p.peers...) {
					cost := 5.0
					if s.system == crossfade {
						cost = c.cost + float64(size)*c.more
					}
					m := invented(s, cost)
					runs[s] = slices.Repeat([]*measured{m}, 5)
					if s.system == crossfade && c.gaveUp > 0 {
						gone := invented(s, cost)
						gone.GaveUp = "needs over 12 GB"
						runs[s] = append(slices.Repeat([]*measured{m}, 5-c.gaveUp), slices.Repeat([]*measured{gone}, c.gaveUp)...)
					}
				}
			}
			runs := results{}
			add(runs, p.one, 0)
			p.mainLines(runs)
			runs = results{}
			var sizes []subject
			for i, e := range p.sizes.proxies {
				sizes = append(sizes, subject{Clients: e.size, Workload: p.one.Workload})
				add(runs, sizes[i], i)
			}
			p.proxiesLines(sizes, runs)
			sizes = nil
			for i, e := range p.sizes.services {
				sizes = append(sizes, subject{Clients: p.beside, Workload: workload{Services: e.size, Flipping: 20}})
				add(runs, sizes[i], i)
			}
			p.servicesLines(sizes, runs)
			unruly := subject{Clients: 1000, Envoys: 2, Manners: p.sizes.manners, Workload: p.one.Workload}
			add(runs, unruly, 0)
			unruly.system = crossfade
			p.mannersLines([]subject{unruly}, runs)
			var got []string
			met := 0
			for _, l := range p.report.Lines() {
				if l.Aim == nil {
					continue
				}
				got = append(got, fmt.Sprint(l.Metric, " ", *l.Aim))
				if *l.Met {
					met++
				}
				if why := fmt.Sprintf("%s gave up in %d of 5 rounds: needs over 12 GB", crossfade, c.gaveUp); c.gaveUp > 0 && l.Invalid != why {
					t.Errorf("%s is invalid by %q, not %q", l.Metric, l.Invalid, why)
				}
				if (l.N == 0) != (c.gaveUp == 5) {
					t.Errorf("%s has %d samples", l.Metric, l.N)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("aims %q\nwant %q", got, want)
			}
			if met != c.met {
				t.Errorf("%d aims are met, not %d", met, c.met)
			}
		})
	}
}
