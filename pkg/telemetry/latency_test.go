package telemetry_test

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/pkg/telemetry"
)

// What a proxy measures, buckets and sends, and what comes out in the end, is what clients saw.
func TestLatencyIsWhatClientsSee(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		for _, delay := range []int{15, 40, 100, 250, 405} {
			t.Run(fmt.Sprint(delay, " ms"), func(t *testing.T) {
				t.Parallel()
				h := newHouse(t, "http1")
				h.apply(0)
				p := h.proxy(version, "p1")
				var mu sync.Mutex
				var took []time.Duration
				var all sync.WaitGroup
				for range 3 {
					all.Go(func() {
						for range 20 {
							began := time.Now()
							if got := p.get(t.Context(), fmt.Sprintf("delay=%dms", delay)); got != "200 ecs" {
								t.Errorf("answered %q", got)
							}
							mu.Lock()
							took = append(took, time.Since(began))
							mu.Unlock()
						}
					})
				}
				all.Wait()
				slices.Sort(took)
				got := h.awaitTraffic("ecs", func(x telemetry.Traffic) bool { return x.Requests >= 60 })
				// Clients see their own time on top; a proxy counts whole milliseconds.
				within := func(got, want time.Duration) bool {
					return math.Abs((got - want).Seconds()) <= 0.05*want.Seconds()+0.0015
				}
				if !within(got.P50, took[29]) {
					t.Errorf("p50 is %s, clients saw %s", got.P50, took[29])
				}
				if !within(got.P99, took[59]) {
					t.Errorf("p99 is %s, clients saw %s", got.P99, took[59])
				}
				t.Logf("%s %s; clients %s…%s…%s", got.P50, got.P99, took[0], took[29], took[59])
			})
		}
	})
}
