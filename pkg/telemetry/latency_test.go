package telemetry_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/pkg/telemetry"
)

// What a proxy sorts into buckets and sends, and what comes out in the end, is what its own access log says, within 5 %.
func TestLatencyWithinFivePercent(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		for _, delay := range []int{15, 40, 100, 250, 405} {
			t.Run(fmt.Sprint(delay, " ms"), func(t *testing.T) {
				t.Parallel()
				h := newHouse(t, "http1")
				h.apply(0)
				p := h.proxy(version, "p1")
				const n = 60
				var all sync.WaitGroup
				seen := make(chan float64, n) // by the client, in milliseconds
				for range 6 {
					all.Go(func() {
						for range n / 6 {
							began := time.Now()
							if got := p.get(t.Context(), fmt.Sprintf("delay=%dms", delay)); got != "200 ecs" {
								t.Errorf("answered %q", got)
							}
							seen <- time.Since(began).Seconds() * 1000
						}
					})
				}
				all.Wait()
				got := h.awaitTraffic("ecs", func(x telemetry.Traffic) bool { return x.Requests >= n })
				took, waited := p.logged(t, n), make([]float64, n)
				for i := range waited {
					waited[i] = <-seen
				}
				slices.Sort(waited)
				for _, q := range []struct {
					name string
					got  time.Duration
					most float64
				}{{"p50", got.P50, max(took[n/2-1], waited[n/2-1])}, {"p99", got.P99, max(took[n-1], waited[n-1])}} {
					// The log counts the whole request, the histogram from when all of it was sent, and the origin's delay is part of both:
					// on a quiet machine the three are a millisecond apart. All are whole milliseconds. On a machine that stands still now and then
					// they read their clocks at different moments, but none counts more than the client waited.
					ms, least := q.got.Seconds()*1000, float64(delay)
					if ms < 0.95*least-1.5 || ms > 1.05*q.most+1.5 {
						t.Errorf("%s is %s, the origin takes %v ms and the log, or the client, says %v ms", q.name, q.got, least, q.most)
					}
				}
			})
		}
	})
}

// logged waits for n lines of the access log and returns their durations in milliseconds, sorted.
func (p *proxy) logged(t *testing.T, n int) []float64 {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(envoytest.Deadline)
	for {
		var took []float64
		for line := range strings.Lines(p.Logs()) {
			var entry struct{ DurationMs *float64 }
			if json.Unmarshal([]byte(line), &entry) == nil && entry.DurationMs != nil {
				took = append(took, *entry.DurationMs)
			}
		}
		if len(took) >= n {
			slices.Sort(took)
			return took
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d lines in the access log, want %d", len(took), n)
		}
	}
}
