package guard

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// TestSlowerIsSeenInTime prints how long it takes until each guard of latencies sees that the candidate became slower, from a p99 of 202 ms.
func TestSlowerIsSeenInTime(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 3))
	guards := compile(t, usualPlan, append(usualGuards(), Spec{Name: "mid", Metric: P50, MaxRatio: 1.2, Against: "ecs"}, Spec{Name: "avg", Metric: Mean, MaxRatio: 1.3, Against: "ecs"})...)[2:]
	runs := 3
	if full() {
		runs = 150
	}
	for _, c := range []struct {
		rate, times float64
		length      time.Duration
	}{{10, 3, time.Second}, {50, 3, time.Second}, {200, 3, quarter}, {200, 2, quarter}, {200, 1.5, quarter}} {
		for _, g := range guards {
			if c.times == 1.5 && g.name == "mean" {
				continue // it keeps the limit
			}
			times := make([]float64, runs)
			for i := range times {
				w := &world{Rand: r, rate: 10 * c.rate, share: 0.1, length: c.length}
				latencies(w)
				before := 60 + c.length.Seconds()*r.Float64()
				w.candidate.median = w.from(0.05, before, 0.05*c.times)
				times[i] = detection(g, w, before, 300, func(*Window) bool { return true })
			}
			t.Logf("%4.0f req/s  %.1f times slower  windows of %-5s  %-5s %s", c.rate, c.times, c.length, g.name, curveOf(times))
		}
	}
}

// TestOneBurst prints how often one burst of errors, from none, is taken for more, at 200 requests a second.
func TestOneBurst(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 4))
	g := compile(t, usualPlan, usualGuards()...)[0]
	runs, lengths := 10, []time.Duration{quarter}
	if full() {
		runs, lengths = 300, []time.Duration{quarter, 2 * quarter, time.Second}
	}
	for _, length := range lengths {
		for _, rate := range []float64{0.05, 0.2, 1} {
			line := ""
			for _, lasts := range []float64{0.25, 0.5, 0.75, 1, 1.5, 2, 3} {
				failed := 0
				for range runs {
					w := &world{Rand: r, rate: 2000, share: 0.1, length: length}
					at := 120 + length.Seconds()*r.Float64()
					begin, end := w.from(0, at, rate), w.from(0, at+lasts, rate)
					w.candidate.errors, w.control.errors = func(t float64) float64 { return begin(t) - end(t) }, constantly(0)
					failed += b2i(detection(g, w, at, lasts+10, func(*Window) bool { return true }) < 100)
				}
				line += fmt.Sprintf("  %4.2f s %5.1f %%", lasts, 100*float64(failed)/float64(runs))
				if lasts <= 0.5 && length == quarter && failed > 0 {
					t.Errorf("a burst of %g s of %g errors was taken for more in %d of %d", lasts, rate, failed, runs)
				}
			}
			t.Logf("windows of %-5s  %3.0f %% errors: %s", length, 100*rate, line)
		}
	}
}
