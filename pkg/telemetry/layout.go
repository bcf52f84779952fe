package telemetry

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of histograms.
const (
	maxBuckets = 512
	maxLayouts = 16 // of all fleets
)

// layout is how to read the buckets of one kind of histogram. Envoy counts whole milliseconds in bins of two significant digits and, for each
// flush, sorts whole bins into the buckets of the bootstrap: a bin goes to the first bucket whose upper bound is not below the bin's lower end;
// up to 1.37, not below its upper end.
type layout struct {
	raw       string       // the packed bounds, in milliseconds
	inclusive bool         // by the lower end of bins
	used      atomic.Int64 // when a flush last had it, in Unix seconds
	values    []float64
	edges     *edges // by this order of sorting
	unsure    *edges // by either, for a proxy whose version is not known
}

// layouts are those that come. A fleet has one, or a few while it is updated. What no flush had for long gives way.
type layouts struct {
	mu  sync.RWMutex
	all []*layout
}

// of returns the layout of packed bounds; nil if there is no room for another.
func (l *layouts) of(raw []byte, inclusive bool, now time.Time) (*layout, error) {
	l.mu.RLock()
	found := l.find(raw, inclusive, now)
	l.mu.RUnlock()
	if found != nil {
		return found, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if found := l.find(raw, inclusive, now); found != nil {
		return found, nil
	}
	if len(l.all) == maxLayouts {
		l.all = slices.DeleteFunc(l.all, func(x *layout) bool { return now.Unix()-x.used.Load() > int64(keepIdle/time.Second) })
	}
	if len(l.all) == maxLayouts {
		return nil, nil
	}
	n, err := newLayout(raw, inclusive)
	if err != nil {
		return nil, err
	}
	n.used.Store(now.Unix())
	l.all = append(l.all, n)
	return n, nil
}

func (l *layouts) find(raw []byte, inclusive bool, now time.Time) *layout {
	for _, x := range l.all {
		if x.inclusive == inclusive && x.raw == string(raw) {
			x.used.Store(now.Unix())
			return x
		}
	}
	return nil
}

func newLayout(raw []byte, inclusive bool) (*layout, error) {
	n := len(raw) / 8
	if n == 0 || n > maxBuckets {
		return nil, fmt.Errorf("a histogram has %d bounds, 1 to %d are allowed", n, maxBuckets)
	}
	l := &layout{raw: string(raw), inclusive: inclusive, values: make([]float64, n+1)}
	last, from := math.Inf(-1), 0.0
	bounds := make([]float64, n)
	for i := range n {
		b := math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
		if !(b > last) || b < 0 || math.IsInf(b, 0) {
			return nil, errors.New("the bounds of a histogram do not rise")
		}
		to := binAt(b)
		if inclusive {
			to = binAfter(b)
		}
		l.values[i] = middle(from, to)
		last, from, bounds[i] = b, to, b
	}
	l.values[n] = from
	sorts := binAt
	if inclusive {
		sorts = binAfter
	}
	known, either := newEdges(bounds, sorts, sorts), newEdges(bounds, binAt, binAfter)
	l.edges, l.unsure = &known, &either
	return l, nil
}

// edgesFor are those of the buckets of an Envoy of some version.
func (l *layout) edgesFor(v version) *edges {
	if v == (version{}) {
		return l.unsure
	}
	return l.edges
}

// middle is the value that stands for a bucket of values from one bound to another: the geometric middle, which with a ratio of 1.1 is at most
// 5 % from any value in it.
func middle(from, to float64) float64 {
	if from <= 0 {
		return to / 2
	}
	return math.Sqrt(from * to)
}

// binAt is the lower end of the bin in which a value is. Below 100 only whole milliseconds are there.
func binAt(x float64) float64 {
	scale := binWidth(x)
	return math.Floor(x/scale) * scale
}

// binAfter is the lower end of the next bin.
func binAfter(x float64) float64 { return binAt(x) + binWidth(x) }

func binWidth(x float64) float64 {
	width := 1.0
	for x/width >= 100 {
		width *= 10
	}
	return width
}
