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

// ratioBounds are bounds of ratio 1.1 from 1 ms to a minute.
func ratioBounds() []float64 {
	var out []float64
	for b := 1.0; b < 60_000; b *= 1.1 {
		out = append(out, b)
	}
	return append(out, 60_000)
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
		if got := w.Sum(second(s.now), s.back, nil); got.Started != s.want {
			t.Errorf("step %d: %d in the last %s, want %d", i, got.Started, s.back, s.want)
		}
	}
}

func TestQuantileWithinFivePercent(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	l, err := newLayout(packFloats(ratioBounds()...))
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		values := make([]float64, 1+random.IntN(3000))
		counts := make([]uint64, len(l.bounds)+1)
		scale := math.Exp(random.Float64() * 8)
		for i := range values {
			values[i] = min(59_999, 2+scale*random.ExpFloat64())
			at, _ := slices.BinarySearch(l.bounds, values[i])
			counts[at]++
		}
		slices.Sort(values)
		for _, q := range []float64{0.5, 0.9, 0.99, 1} {
			want := values[max(0, int(math.Ceil(q*float64(len(values))))-1)]
			got := l.quantile(counts, q).Seconds() * 1000
			if math.Abs(got-want) > 0.05*want {
				t.Fatalf("quantile %v of %d values: %v ms, want %v within 5 %%", q, len(values), got, want)
			}
		}
	}
}

func TestQuantileOfEdges(t *testing.T) {
	l, err := newLayout(packFloats(10, 20))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		counts []uint64
		want   time.Duration
	}{
		"none":        {[]uint64{0, 0, 0}, 0},
		"first":       {[]uint64{1, 0, 0}, 5 * time.Millisecond},
		"beyond last": {[]uint64{0, 0, 4}, 20 * time.Millisecond},
	} {
		if got := l.quantile(c.counts, 0.99); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestLayoutRefuses(t *testing.T) {
	for name, bounds := range map[string][]float64{
		"none": {}, "falling": {2, 1}, "equal": {1, 1}, "negative": {-1, 1}, "infinite": {1, math.Inf(1)}, "not a number": {1, math.NaN()},
		"too many": make([]float64, maxBuckets+1),
	} {
		if _, err := newLayout(packFloats(bounds...)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestLayoutsMerge(t *testing.T) {
	var all layouts
	fine, err := all.of(packFloats(10, 20, 30, 40))
	if err != nil {
		t.Fatal(err)
	}
	coarse, err := all.of(packFloats(10, 40))
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := all.of(packFloats(10, 40)); again != coarse {
		t.Error("the same bounds are another layout")
	}
	var w Window
	now := time.Unix(1_000_000, 0)
	w.addLatency(now, fine, all.buckets(), pack(1, 0, 0, 0, 2))
	w.addLatency(now, coarse, all.buckets(), pack(10, 20, 40))
	got := make([]uint64, all.buckets())
	w.Sum(now, time.Second, got)
	if want := []uint64{11, 20, 0, 0, 42}; !slices.Equal(got, want) { // the middle of 10…40 is 20
		t.Errorf("merged %v, want %v", got, want)
	}
	for i := range maxLayouts - 2 {
		if _, err := all.of(packFloats(float64(i + 1))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := all.of(packFloats(1000)); err == nil {
		t.Error("one layout too many is taken")
	}
}
