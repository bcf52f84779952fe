package telemetry

import (
	"math/rand/v2"
	"testing"
)

// Each request is counted once, whatever the order of messages, and whenever lanes come and go; nothing is counted before it was.
func TestWatchCountsEachRequestOnce(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for i, c := range []struct {
		name string
		mix  mix
	}{
		{"good", mix{good: 1}},
		{"failing", mix{good: 5, failed: 1}},
		{"retries save requests", mix{good: 5, saved: 2}},
		{"no connection", mix{good: 5, unconnected: 2, saved: 2}},
		{"answers that break", mix{good: 5, cut: 1, saved: 1}},
		{"gRPC statuses", mix{good: 5, status: 1, failed: 1, saved: 1, steady: true}},
		{"nothing works", mix{failed: 1, unconnected: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			for range 40 {
				h := newModelHouse(t, random, c.mix)
				h.run(random)
				if got := (credit{h.read.Completed, h.read.Failed}); got != h.truth {
					t.Fatalf("counted %+v, clients saw %+v", got, h.truth)
				}
			}
		})
	}
}

// What only one source shows may hide what only the other does, within an interval of metrics: less is counted then, never more, and no less than
// either source has.
func TestWatchCountsNoLessThanMetrics(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 9))
	worst, all := 0.0, 0.0
	for range 40 {
		h := newModelHouse(t, random, mix{good: 10, failed: 1, status: 2, unconnected: 2, saved: 1, steady: true})
		h.run(random)
		shown := h.tel.Classes("orders", "eks")
		if h.read.Completed != h.truth.requests || h.read.Failed < shown[5] {
			t.Fatalf("counted %d of %d, clients saw %+v, metrics %v", h.read.Failed, h.read.Completed, h.truth, shown)
		}
		missed := 1 - float64(h.read.Failed)/float64(max(1, h.truth.failures))
		worst, all = max(worst, missed), all+missed/40
	}
	t.Logf("missed of the failures: %.1f %% in the mean, %.1f %% at most", 100*all, 100*worst)
}
