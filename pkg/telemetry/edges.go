package telemetry

import (
	"cmp"
	"slices"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
)

// edges say between what latencies the requests of each bucket of a histogram were, in the order of the histogram. They are those of the bins
// that Envoy sorts into it, see [layout], so that no bucket is finer than Envoy knows.
type edges []guard.Bucket

// longestLatency bounds edges, in milliseconds; a bucket that ends later has no end.
const longestLatency = 1e12

// newEdges makes the edges of rising bounds in milliseconds: below and upTo say where the bins end that stay below a bound, and those that
// belong to it.
func newEdges(bounds []float64, below, upTo func(float64) float64) edges {
	e := make(edges, len(bounds)+1)
	from := 0.0
	for i, b := range bounds {
		e[i] = between(from, max(upTo(b), binAfter(from))) // a bin at the least: latencies are whole milliseconds, cut off, and a 0 is anything below 1
		from = below(b)
	}
	e[len(bounds)] = between(max(from, upTo(bounds[len(bounds)-1])), 2*longestLatency)
	return e
}

// between is the bucket from one latency to another, in milliseconds.
func between(from, to float64) guard.Bucket {
	b := guard.Bucket{Above: milliseconds(min(from, longestLatency))}
	if to <= longestLatency {
		b.UpTo = milliseconds(to)
	}
	return b
}

func milliseconds(x float64) time.Duration { return time.Duration(x * float64(time.Millisecond)) }

// buckets returns those that have requests, in the order and form that a window has them.
func (e edges) buckets(counts []uint64) []guard.Bucket {
	var out []guard.Bucket
	for i, n := range counts {
		if n > 0 {
			out = append(out, guard.Bucket{Above: e[i].Above, UpTo: e[i].UpTo, Count: n})
		}
	}
	slices.SortStableFunc(out, func(a, b guard.Bucket) int {
		return cmp.Or(cmp.Compare(a.Above, b.Above), cmp.Compare(uint64(a.UpTo-1), uint64(b.UpTo-1))) // 0, no end, is last
	})
	kept := out[:0]
	for _, b := range out {
		if last := len(kept) - 1; last >= 0 && kept[last].Above == b.Above && kept[last].UpTo == b.UpTo {
			kept[last].Count += b.Count
		} else {
			kept = append(kept, b)
		}
	}
	return kept
}
