package telemetry

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// distribution is how often each latency was counted, over histograms of any layout.
type distribution struct {
	points []weighted
	total  uint64
}

type weighted struct {
	value float64 // in milliseconds
	count uint64
}

// add adds the counts of a histogram.
func (d *distribution) add(l *layout, counts []uint64) {
	for i, n := range counts {
		if n > 0 {
			d.points = append(d.points, weighted{l.values[i], n})
			d.total += n
		}
	}
}

// quantiles returns the latency below which each share stayed; 0 if nothing was counted. With the buckets of our bootstrap each is within 5 %
// of the true one from 10 ms on, and within a millisecond below; in the last bucket it is its lower end.
func (d *distribution) quantiles(shares []float64) []time.Duration {
	slices.SortFunc(d.points, func(a, b weighted) int { return cmp.Compare(a.value, b.value) })
	out := make([]time.Duration, len(shares))
	for i, share := range shares {
		rank := max(1, uint64(math.Ceil(share*float64(d.total))))
		for _, p := range d.points {
			if rank <= p.count {
				out[i] = time.Duration(p.value * float64(time.Millisecond))
				break
			}
			rank -= p.count
		}
	}
	return out
}
