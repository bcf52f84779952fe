package telemetry_test

import (
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/pkg/telemetry"
)

// What a proxy sorts into buckets and sends, and what comes out in the end, is what the proxy itself makes of the same requests, within 5 %. It
// counts in bins of two significant digits, and we know of the buckets only.
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
				for range 6 {
					all.Go(func() {
						for range n / 6 {
							if got := p.get(t.Context(), fmt.Sprintf("delay=%dms", delay)); got != "200 ecs" {
								t.Errorf("answered %q", got)
							}
						}
					})
				}
				all.Wait()
				got := h.awaitTraffic("ecs", func(x telemetry.Traffic) bool { return x.Requests >= n })
				own := p.latency(t, "orders/ecs")
				for name, q := range map[string]time.Duration{"50": got.P50, "99": got.P99} {
					ms := q.Seconds() * 1000
					if bin := own[name]; ms < 0.95*bin-1.5 || ms > 1.05*bin+1.5 || ms < 0.95*float64(delay)-1.5 {
						t.Errorf("p%s is %s, the proxy itself says %v ms, and the origin takes %v ms", name, q, bin, delay)
					}
				}
			})
		}
	})
}

var ownQuantile = regexp.MustCompile(`P([0-9.]+)\([^,]*,([0-9.]+)\)`)

// latency returns the quantiles of a cluster's answers since the start, in milliseconds, by their names: "50", "99".
func (p *proxy) latency(t *testing.T, cluster string) map[string]float64 {
	t.Helper()
	text, err := p.Get(t.Context(), "/stats?filter="+cluster+".upstream_rq_time")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, m := range ownQuantile.FindAllStringSubmatch(text, -1) {
		if out[m[1]], err = strconv.ParseFloat(m[2], 64); err != nil {
			t.Fatal(err)
		}
	}
	if len(out) == 0 {
		t.Fatalf("no quantiles in %q", text)
	}
	return out
}
