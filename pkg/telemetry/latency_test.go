package telemetry_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
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
				own := p.latencies(t, "orders/ecs")
				for share, q := range map[float64]time.Duration{0.5: got.P50, 0.99: got.P99} {
					low, high := around(own, share)
					if ms := q.Seconds() * 1000; ms < 0.95*low-1.5 || ms > 1.05*high+1.5 || ms < 0.95*float64(delay)-1.5 {
						t.Errorf("p%v is %s, the proxy itself counted %v to %v ms there, and the origin takes %v ms: %v", 100*share, q, low, high, delay, own)
					}
				}
			})
		}
	})
}

// bin is how often a proxy counted latencies from Low on, in milliseconds.
type bin struct {
	Low   float64 `json:"lower_bound"`
	Width float64 `json:"width"`
	Count uint64  `json:"count"`
}

// around is in which bins a quantile is, in milliseconds. There are several words for which of two neighbours is the median, and on a busy machine these can be far
// from each other: each neighbour will do.
func around(bins []bin, share float64) (low, high float64) {
	var total, sum uint64
	for _, b := range bins {
		total += b.Count
	}
	rank := uint64(math.Ceil(share * float64(total)))
	low = math.NaN()
	for _, b := range bins {
		sum += b.Count
		if math.IsNaN(low) && sum+1 >= rank {
			low = b.Low
		}
		if high = b.Low + b.Width; sum > rank {
			break
		}
	}
	return low, high
}

// latencies are those of a cluster's answers since the start, as the proxy itself counted them.
func (p *proxy) latencies(t *testing.T, cluster string) []bin {
	t.Helper()
	text, err := p.Get(t.Context(), "/stats?format=json&histogram_buckets=detailed&filter="+cluster+".upstream_rq_time")
	if err != nil {
		t.Fatal(err)
	}
	var page struct {
		Stats []struct {
			Histograms struct {
				Details []struct {
					Totals []bin `json:"totals"`
				} `json:"details"`
			} `json:"histograms"`
		} `json:"stats"`
	}
	if err := json.Unmarshal([]byte(text), &page); err != nil {
		t.Fatal(err)
	}
	var out []bin
	for _, s := range page.Stats {
		for _, d := range s.Histograms.Details {
			out = append(out, d.Totals...)
		}
	}
	if len(out) == 0 {
		t.Fatalf("no bins in %q", text)
	}
	slices.SortFunc(out, func(a, b bin) int { return cmp.Compare(a.Low, b.Low) })
	return out
}
