package telemetry

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
)

func TestEdgesAreThoseOfEnvoysBins(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 4))
	bounds := bootstrapBounds()
	assumed, err := newLayout(packFloats(bounds...), version{}.inclusiveBuckets())
	if err != nil {
		t.Fatal(err)
	}
	for _, inclusive := range []bool{true, false} {
		l, err := newLayout(packFloats(bounds...), inclusive)
		if err != nil {
			t.Fatal(err)
		}
		for range 20_000 {
			ms := random.Float64() * []float64{12, 120, 1200, 70_000}[random.IntN(4)]
			counts := envoySorts([]float64{ms}, bounds, inclusive)
			for name, e := range map[string]*edges{"known": l.edgesFor(new140), "unknown": assumed.edgesFor(version{})} {
				got := e.buckets(counts)
				if len(got) != 1 || got[0].Above > milliseconds(ms) || got[0].UpTo != 0 && got[0].UpTo <= milliseconds(ms) || ms < 60_000 && got[0].UpTo == 0 {
					t.Fatalf("inclusive %v, %s: %v ms is in %+v", inclusive, name, ms, got)
				}
				if width := (got[0].UpTo - got[0].Above).Seconds() * 1000; name == "known" && ms < 60_000 && width > max(1, 0.2*ms) {
					t.Fatalf("inclusive %v: %v ms is in %+v", inclusive, ms, got)
				}
			}
		}
	}
}

// Whatever bounds a bootstrap has, guards can read the buckets.
func TestOddBoundsMakeWindows(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 5))
	plan := guard.Plan{Origins: []string{"eks", "ecs"}, Candidate: "eks", Steps: 1, Observed: time.Hour}
	guards, errs := guard.Compile([]guard.Spec{{Name: "slow", Metric: guard.P99, Max: "1s"}}, plan)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for range 300 {
		var l tally
		for range 1 + random.IntN(4) {
			bounds := make([]float64, 1+random.IntN(200))
			for i := range bounds {
				bounds[i] = random.ExpFloat64() * []float64{1, 100, 1e5, 1e30}[random.IntN(4)]
			}
			slices.Sort(bounds)
			bounds = slices.Compact(bounds)
			y, err := newLayout(packFloats(bounds...), random.IntN(2) == 0)
			if err != nil {
				t.Fatal(err)
			}
			counts := make([]uint64, len(bounds)+1)
			for i := range counts {
				counts[i] = uint64(random.IntN(3))
			}
			l.timed(y.edgesFor(version{1, uint32(random.IntN(2)), 0}), pack(counts...))
		}
		w := l.take()
		w.Length = time.Second
		if _, r := guards[0].Observe(guards[0].Start(), guard.Pair{Candidate: w}); r.Verdict == guard.Error {
			t.Fatalf("%s: %+v", r.Message, w.Latency)
		}
	}
}
