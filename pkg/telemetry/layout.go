package telemetry

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
)

// Bounds of histograms.
const (
	maxBuckets = 512
	maxLayouts = 16
)

// layout is the upper bounds of a histogram's buckets, in milliseconds. The first that comes is what windows count in; counts of another
// (a proxy whose bootstrap is older) go to the bucket in which the middle of theirs lies.
type layout struct {
	raw    string // the packed field
	bounds []float64
	into   []int32 // bucket → bucket of the first layout; nil for the first itself
}

// layouts are all that have come.
type layouts struct {
	mu  sync.RWMutex
	all []*layout
}

// of returns the layout of a packed field.
func (l *layouts) of(raw []byte) (*layout, error) {
	l.mu.RLock()
	found := l.find(raw)
	l.mu.RUnlock()
	if found != nil {
		return found, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if found := l.find(raw); found != nil {
		return found, nil
	}
	if len(l.all) == maxLayouts {
		return nil, fmt.Errorf("proxies have more than %d kinds of histogram: make their bootstraps alike", maxLayouts)
	}
	n, err := newLayout(raw)
	if err != nil {
		return nil, err
	}
	if len(l.all) > 0 {
		n.mapInto(l.all[0])
	}
	l.all = append(l.all, n)
	return n, nil
}

func (l *layouts) find(raw []byte) *layout {
	for _, x := range l.all {
		if x.raw == string(raw) {
			return x
		}
	}
	return nil
}

// first is the layout that windows count in; nil before any came.
func (l *layouts) first() *layout {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.all) == 0 {
		return nil
	}
	return l.all[0]
}

func newLayout(raw []byte) (*layout, error) {
	n := len(raw) / 8
	if n == 0 || n > maxBuckets {
		return nil, fmt.Errorf("a histogram has %d bounds, 1 to %d are allowed", n, maxBuckets)
	}
	l := &layout{raw: string(raw), bounds: make([]float64, n)}
	last := math.Inf(-1)
	for i := range l.bounds {
		b := math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
		if !(b > last) || b < 0 || math.IsInf(b, 0) {
			return nil, errors.New("the bounds of a histogram do not rise")
		}
		l.bounds[i], last = b, b
	}
	return l, nil
}

// middle is the value that stands for a bucket: in the geometric middle of bounds with ratio 1.1, at most 5 % from any value in it. The last
// bucket has no upper bound; its lower one stands for it.
func (l *layout) middle(i int) float64 {
	switch {
	case i >= len(l.bounds):
		return l.bounds[len(l.bounds)-1]
	case i == 0:
		return l.bounds[0] / 2
	case l.bounds[i-1] == 0:
		return l.bounds[i] / 2
	}
	return math.Sqrt(l.bounds[i-1] * l.bounds[i])
}

func (l *layout) mapInto(o *layout) {
	l.into = make([]int32, len(l.bounds)+1)
	for i := range l.into {
		at, _ := slices.BinarySearch(o.bounds, l.middle(i))
		if i == len(l.bounds) && at < len(o.bounds) {
			at++ // beyond its last bound, not below
		}
		l.into[i] = int32(at)
	}
}

// bucket is where a count of bucket i goes.
func (l *layout) bucket(i int) int {
	if l.into == nil {
		return i
	}
	return int(l.into[i])
}

// buckets is the number of buckets that windows have for counts of this layout's kind; it is that of the first layout.
func (l *layouts) buckets() int {
	if f := l.first(); f != nil {
		return len(f.bounds) + 1
	}
	return 0
}
