package telemetry

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// pack writes numbers as a packed field of 8-byte ones.
func pack(counts ...uint64) []byte {
	var b []byte
	for _, n := range counts {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return b
}

func packFloats(bounds ...float64) []byte {
	var b []byte
	for _, x := range bounds {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
	}
	return b
}

// bootstrapBounds are those of deploy/envoy; latency_test.go is with the real ones.
func bootstrapBounds() []float64 {
	out := []float64{0.5, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	for scale := 1.0; scale <= 1000; scale *= 10 {
		for _, b := range []float64{10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 24, 26, 28, 30, 33, 36, 39, 42, 46, 50, 55, 60, 66, 72, 79, 86, 94, 99} {
			out = append(out, b*scale)
		}
	}
	return out
}

func TestWindow(t *testing.T) {
	second := func(n int) time.Time { return time.Unix(1_000_000+int64(n), 500_000_000) }
	steps := []struct {
		add  int // second
		n    uint64
		now  int
		back time.Duration
		want uint64
	}{
		{add: 0, n: 1, now: 0, back: time.Second, want: 1},
		{add: 1, n: 10, now: 1, back: time.Second, want: 10},
		{add: 1, n: 10, now: 1, back: 2 * time.Second, want: 21},
		{add: 0, n: 5, now: 1, back: 2 * time.Second, want: 26}, // late, of another proxy
		{add: 30, n: 100, now: 30, back: time.Minute, want: 126},
		{add: 62, n: 0, now: 62, back: time.Minute, want: 100}, // the first seconds are out
		{add: 64, n: 7, now: 64, back: time.Hour, want: 107},   // bounded; takes the slot of second 0
		{add: 0, n: 9, now: 64, back: time.Hour, want: 107},    // older than the ring: dropped
		{add: 500, n: 3, now: 500, back: time.Minute, want: 3},
	}
	var w Window
	for i, s := range steps {
		w.Add(second(s.add), &Counts{Started: s.n})
		if got := w.Sum(second(s.now), s.back); got.Started != s.want {
			t.Errorf("step %d: %d in the last %s, want %d", i, got.Started, s.back, s.want)
		}
	}
}

// envoySorts puts latencies into buckets as Envoy does: whole milliseconds, bins of two digits, buckets by one end of the bin.
func envoySorts(values []float64, bounds []float64, inclusive bool) []uint64 {
	counts := make([]uint64, len(bounds)+1)
	for _, v := range values {
		whole := math.Floor(v)
		end := binAt(whole)
		if !inclusive {
			end = binAt(whole) + binWidth(whole)
			if whole < 10 {
				end = whole + 0.1
			}
			if whole == 0 {
				end = 0
			}
		}
		at, _ := slices.BinarySearch(bounds, end)
		counts[at]++
	}
	return counts
}

func TestQuantilesWithinFivePercent(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	bounds := bootstrapBounds()
	shares := []float64{0.5, 0.9, 0.99, 1}
	for _, inclusive := range []bool{true, false} {
		l, err := newLayout(packFloats(bounds...), inclusive)
		if err != nil {
			t.Fatal(err)
		}
		for range 300 {
			values := make([]float64, 1+random.IntN(3000))
			scale, least := math.Exp(random.Float64()*8), random.Float64()*1000
			for i := range values {
				values[i] = min(59_999, least+scale*random.ExpFloat64())
			}
			var d distribution
			d.add(l, envoySorts(values, bounds, inclusive))
			slices.Sort(values)
			for i, got := range d.quantiles(shares) {
				want := values[max(0, int(math.Ceil(shares[i]*float64(len(values))))-1)]
				if off := math.Abs(got.Seconds()*1000 - want); off > max(0.05*want, 1) {
					t.Fatalf("inclusive %v, quantile %v of %d values: %s, want %v ms within 5 %%", inclusive, shares[i], len(values), got, want)
				}
			}
		}
	}
}

func TestQuantilesOfEdges(t *testing.T) {
	l, err := newLayout(packFloats(10, 20), true)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		counts []uint64
		want   time.Duration
	}{
		"none":        {[]uint64{0, 0, 0}, 0},
		"first":       {[]uint64{1, 0, 0}, 5500 * time.Microsecond}, // 0 to 11
		"beyond last": {[]uint64{0, 0, 4}, 21 * time.Millisecond},
	} {
		var d distribution
		d.add(l, c.counts)
		if got := d.quantiles([]float64{0.99})[0]; got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestLayoutRefuses(t *testing.T) {
	for name, bounds := range map[string][]float64{
		"none": {}, "falling": {2, 1}, "equal": {1, 1}, "negative": {-1, 1}, "infinite": {1, math.Inf(1)}, "not a number": {1, math.NaN()},
		"too many": make([]float64, maxBuckets+1),
	} {
		if _, err := newLayout(packFloats(bounds...), true); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// A fleet that is being updated has histograms of two kinds; quantiles are over both.
func TestLayoutsMerge(t *testing.T) {
	var all layouts
	now := time.Unix(1_000_000, 0)
	fine, err := all.of(packFloats(10, 20, 30, 40), true, now)
	if err != nil {
		t.Fatal(err)
	}
	older, err := all.of(packFloats(10, 40), false, now)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := all.of(packFloats(10, 40), false, now); again != older {
		t.Error("the same bounds are another layout")
	}
	if other, _ := all.of(packFloats(10, 40), true, now); other == older {
		t.Error("bounds that are read in another way are the same layout")
	}
	var w Window
	var r room
	w.addLatency(now, fine, pack(1, 0, 0, 0, 2), &r)
	w.addLatency(now, older, pack(10, 20, 40), &r)
	w.addLatency(now.Add(time.Second), older, pack(0, 0, 0), &r)
	got := w.quantiles(now.Add(time.Second), 2*time.Second, 10./73, 30./73, 31./73, 1)
	want := []time.Duration{5 * time.Millisecond, 20 * time.Millisecond, 20 * time.Millisecond, 41 * time.Millisecond}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestKindsOfHistogramsGiveWay: there are some at most, and what no flush had for an hour is not in the way of another.
func TestKindsOfHistogramsGiveWay(t *testing.T) {
	var all layouts
	now := testTime
	of := func(bound float64) *layout {
		t.Helper()
		l, err := all.of(packFloats(bound), true, now)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	for i := range maxLayouts {
		if of(float64(i)) == nil {
			t.Fatalf("there is no room for %d", i)
		}
	}
	now = now.Add(keepIdle)
	kept := of(7)
	if of(1000) != nil {
		t.Error("one too many is taken")
	}
	now = now.Add(time.Second)
	if of(1000) == nil || len(all.all) != 2 || of(7) != kept {
		t.Errorf("%d are kept, want the one that is used, and the new one", len(all.all))
	}
}

// TestLatenciesHaveABound: what a series held for its latencies is given back when there are none any more, or of other kinds.
func TestLatenciesHaveABound(t *testing.T) {
	var r room
	var w Window
	kind := func(bounds ...float64) *layout {
		t.Helper()
		l, err := newLayout(packFloats(bounds...), true)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	now := testTime
	fill := func(l *layout) {
		for range slots {
			now = now.Add(time.Second)
			if !w.addLatency(now, l, pack(1, 1, 1, 1), &r) {
				t.Fatal("there is no room")
			}
		}
	}
	first, second := kind(1, 2, 3), kind(1, 2)
	fill(first)
	if w.held != slots*4*4 || r.latencies.Load() != w.held {
		t.Errorf("%d bytes, of which %d are counted", w.held, r.latencies.Load())
	}
	fill(second)
	fill(second)
	if w.held != slots*3*4 {
		t.Errorf("%d bytes: the kind that does not come any more keeps its place", w.held)
	}
	if n := w.tidy(now.Add(MaxWindow)); n != w.held || n == 0 {
		t.Errorf("%d bytes after a minute", n)
	}
	if n := w.tidy(now.Add(slots * time.Second)); n != 0 || slices.ContainsFunc(w.ring[:], func(s slot) bool { return s.latency != nil }) {
		t.Errorf("%d bytes when all of it is out", n)
	}
	r.latencies.Store(maxLatencies - 12)
	if !w.addLatency(now, second, pack(1), &r) || w.addLatency(now, first, pack(1), &r) || r.latencies.Load() != maxLatencies {
		t.Errorf("%d bytes are counted, there is room for %d", r.latencies.Load(), maxLatencies)
	}
}
