package telemetry_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/pkg/telemetry"
)

// What a retry saves is no failure, whatever it was tried again for.
func TestWatchOfARetriedService(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		for _, protocol := range protocols {
			t.Run(protocol, func(t *testing.T) {
				t.Parallel()
				h := newHouseWith(t, protocol, telemetry.Options{Retried: func(string) bool { return true }})
				h.edit = func(s *crossfadev1.Service) {
					s.Retries = &crossfadev1.Retries{On: []string{"5xx", "reset"}, Attempts: 3}
				}
				w := newWatched(t, version, h)
				w.send(4, "")
				w.counted(4)
				if err := h.eks.SetFaults(origin.Faults{ErrorShare: 0.25, ResetShare: 0.25, Status: 500}); err != nil {
					t.Fatal(err)
				}
				failed := w.send(60, "")
				if got := w.counted(60); got.Completed != 60 || got.Failed != uint64(failed) || failed > 10 {
					t.Errorf("60 requests of which %d failed are counted as %+v", failed, got)
				}
			})
		}
	})
}

// Latencies are between the edges of their bucket.
func TestWatchedLatenciesAreInTheirBuckets(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		h := newHouse(t, "http1")
		w := newWatched(t, version, h)
		w.send(4, "")
		w.counted(4)
		for _, delay := range []time.Duration{30, 99, 205} {
			delay *= time.Millisecond
			began := time.Now()
			if w.send(8, "delay="+delay.String()) != 0 {
				t.Fatal("failed")
			}
			n, took := uint64(0), time.Since(began)
			for _, b := range w.counted(8).Latency {
				n += b.Count
				if b.UpTo <= delay || b.Above > took {
					t.Errorf("between %s and %s is in %+v", delay, took, b)
				}
			}
			if n != 8 {
				t.Errorf("%d requests in buckets, want 8", n)
			}
		}
	})
}

// TestHowSoonAWatchShows logs how long it takes from an answer that failed until it can be read.
func TestHowSoonAWatchShows(t *testing.T) {
	const times = 5
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		for _, lane := range []bool{true, false} {
			t.Run(fmt.Sprint("lane ", lane), func(t *testing.T) {
				t.Parallel()
				h := newHouseWith(t, "http1", telemetry.Options{Retried: func(string) bool { return !lane }})
				h.flush = 2 * time.Second
				w := newWatched(t, version, h)
				w.send(4, "")
				if lane {
					w.await("load reports", func() bool { return h.telemetry.Stats().LoadReports >= 3 })
				}
				stop := w.proxy.load(t)
				defer stop()
				var took []time.Duration
				for i := range times {
					w.watch.Read(time.Now())
					<-time.After(time.Duration(i) * 373 * time.Millisecond)
					w.proxy.get(t.Context(), "status=500")
					began := time.Now()
					w.await("the failure", func() bool {
						select {
						case <-w.watch.Changed():
						default:
						}
						return w.watch.Read(time.Now())[0].Failed > 0
					})
					took = append(took, time.Since(began))
				}
				slices.Sort(took)
				t.Logf("Envoy %s, lane %v: median %s, most %s", version, lane, took[times/2].Round(time.Millisecond), took[times-1].Round(time.Millisecond))
				if limit := 30 * time.Second; took[times-1] > limit {
					t.Errorf("took longer than %s", limit)
				}
			})
		}
	})
}
