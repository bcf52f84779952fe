package stats

import (
	"math"
	"math/bits"
	"time"
)

// subBuckets are the buckets between two powers of two: a quantile is at most 1/32 off.
const (
	subBits    = 4
	subBuckets = 1 << subBits
	octaves    = 28 // of microseconds: up to 4.5 minutes; longer durations count as that
	// Buckets is how many a sketch has.
	Buckets = (octaves - subBits + 1) * subBuckets
)

// Sketch counts durations in fixed buckets of a few per cent each, so that sketches can be added. The zero value is ready for use.
type Sketch struct {
	Counts [Buckets]uint64
	N      uint64
}

// Add counts a duration; negative ones as zero.
func (s *Sketch) Add(d time.Duration) {
	s.Counts[bucket(d)]++
	s.N++
}

// bucket is that of a duration: below 16 microseconds one each, above 16 for every doubling.
func bucket(d time.Duration) int {
	v := uint64(max(d.Microseconds(), 0))
	if v < subBuckets {
		return int(v)
	}
	e := bits.Len64(v) - subBits - 1
	return min((e<<subBits)+int(v>>e), Buckets-1)
}

// middle is the duration in the middle of a bucket.
func middle(b int) time.Duration {
	if b < subBuckets {
		return time.Duration(b) * time.Microsecond
	}
	e := b>>subBits - 1
	low := uint64(subBuckets+b&(subBuckets-1)) << e
	return time.Duration(low+(uint64(1)<<e)/2) * time.Microsecond
}

// Merge adds another sketch.
func (s *Sketch) Merge(o *Sketch) {
	for i, n := range o.Counts {
		s.Counts[i] += n
	}
	s.N += o.N
}

// Quantile is the duration below which a share q of all are; 0 if there are none.
func (s *Sketch) Quantile(q float64) time.Duration {
	if s.N == 0 {
		return 0
	}
	rank := uint64(math.Ceil(q * float64(s.N)))
	rank = min(max(rank, 1), s.N)
	seen := uint64(0)
	for i, n := range s.Counts {
		if seen += n; seen >= rank {
			return middle(i)
		}
	}
	return middle(Buckets - 1)
}

// Comparison is how two sets of latencies lie to each other.
type Comparison struct {
	// Slower is the probability that a latency of the second set is above one of the first, ties counted half (Vargha and Delaney's A): 0.5
	// is no difference, 0.56 a small one, 0.64 a medium one, 0.71 a large one.
	Slower float64
	// P is the probability of so much or more if there is no difference, by Mann and Whitney, two-sided, corrected for ties.
	P float64
}

// Compare tests whether the durations of two sketches differ. With less than 20 of either it says that nothing is known: 0.5 and 1.
func Compare(a, b *Sketch) Comparison {
	if a.N < 20 || b.N < 20 {
		return Comparison{Slower: 0.5, P: 1}
	}
	m, n := float64(a.N), float64(b.N)
	u, below, ties := 0.0, 0.0, 0.0
	for i := range a.Counts {
		x, y := float64(a.Counts[i]), float64(b.Counts[i])
		u += y * (below + x/2)
		below += x
		t := x + y
		ties += t * (t*t - 1)
	}
	total := m + n
	variance := m * n / 12 * (total + 1 - ties/(total*(total-1)))
	if variance <= 0 {
		return Comparison{Slower: 0.5, P: 1}
	}
	z := max(math.Abs(u-m*n/2)-0.5, 0) / math.Sqrt(variance)
	return Comparison{Slower: u / (m * n), P: min(2*normalTail(z), 1)}
}
