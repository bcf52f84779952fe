package guard

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// world draws what two origins answer. All of it comes from its seed.
type world struct {
	*rand.Rand
	rate      float64       // requests per second of the service
	share     float64       // of the candidate
	length    time.Duration // of windows
	candidate origin
	control   origin
}

// origin is how one answers. Functions get seconds since the start.
type origin struct {
	errors  func(t float64) float64 // rate
	clump   float64                 // mean size of clumps of errors (geometric); 0 and 1: single ones
	every   float64                 // a pod of 20 fails each so many seconds; 0: never
	lasts   float64                 // for so long, exponential
	until   float64                 // the burst ends then
	median  func(t float64) float64 // of latencies, in seconds; nil: none are drawn
	spread  float64                 // sigma of their logarithm
	heavy   float64                 // share of requests with a Pareto tail of index 1.3 from the median on
	pauses  float64                 // a pod of 20 stands still each so many seconds
	paused  float64                 // for so long: its requests take so much longer
	resumes float64
	cells   []cell // of the median and spread that they were made for
	cached  float64
}

type cell struct{ p float64 }

// bounds are the ends of buckets as deploy/envoy has them, near enough: whole milliseconds, then ten per cent apart.
var bounds = func() []time.Duration {
	out := []time.Duration{500 * time.Microsecond}
	for ms := 1.0; ms < 60_000; ms = math.Max(ms+1, math.Floor(ms*1.1)) {
		out = append(out, time.Duration(ms)*time.Millisecond)
	}
	return append(out, time.Minute)
}()

// poisson draws a count.
func (w *world) poisson(mean float64) uint64 {
	switch {
	case mean <= 0:
		return 0
	case mean > 60:
		return uint64(max(math.Round(mean+math.Sqrt(mean)*w.NormFloat64()), 0))
	}
	limit, n := math.Exp(-mean), uint64(0)
	for p := w.Float64(); p > limit; p *= w.Float64() {
		n++
	}
	return n
}

// binomial draws how many of n.
func (w *world) binomial(n uint64, p float64) uint64 {
	if p <= 0 || n == 0 {
		return 0
	}
	if n < 30 || p > 0.2 && n < 300 {
		x := uint64(0)
		for range n {
			if w.Float64() < p {
				x++
			}
		}
		return x
	}
	if mean := float64(n) * p; mean > 60 {
		return uint64(min(max(math.Round(mean+math.Sqrt(mean*(1-p))*w.NormFloat64()), 0), float64(n)))
	}
	// Geometric gaps.
	x, at, l := uint64(0), 0.0, math.Log1p(-p)
	for {
		at += math.Floor(math.Log(1-w.Float64())/l) + 1
		if at > float64(n) {
			return x
		}
		x++
	}
}

// next draws a window that begins at a time.
func (w *world) next(t float64) Pair {
	s := w.length.Seconds()
	return Pair{Candidate: w.window(&w.candidate, t, w.rate*w.share*s), Control: w.window(&w.control, t, w.rate*(1-w.share)*s)}
}

func (w *world) window(o *origin, t, mean float64) Window {
	out := Window{Length: w.length, Completed: w.poisson(mean)}
	n := out.Completed
	if o.errors != nil {
		if p := o.errors(t); o.clump > 1 {
			for range w.poisson(float64(n) * p / o.clump) {
				out.Failed += 1 + uint64(math.Log(1-w.Float64())/math.Log(1-1/o.clump))
			}
		} else {
			out.Failed = w.binomial(n, p)
		}
	}
	if o.every > 0 {
		out.Failed += w.binomial(n, w.overlap(t, o.every, o.lasts, &o.until)/20)
	}
	out.Failed = min(out.Failed, n)
	if o.median != nil {
		out.Latency = w.latencies(o, t, n)
	}
	return out
}

// overlap is the part of a window in which something that comes at random goes on.
func (w *world) overlap(t, every, lasts float64, until *float64) float64 {
	s, part := w.length.Seconds(), 0.0
	if *until > t {
		part = min(*until-t, s)
	} else if w.Float64() < s/every {
		begin := t + s*w.Float64()
		*until = begin + lasts*w.ExpFloat64()
		part = min(*until, t+s) - begin
	}
	return part / s
}

// latencies draws a histogram.
func (w *world) latencies(o *origin, t float64, n uint64) []Bucket {
	late := uint64(0)
	if o.pauses > 0 {
		late = w.binomial(n, w.overlap(t, o.pauses, o.paused, &o.resumes)/20)
	}
	if m := o.median(t); o.cells == nil || o.cached != m {
		o.cells, o.cached = cellsOf(m, o.spread, o.heavy), m
	}
	out := make([]Bucket, 0, len(bounds))
	last := time.Duration(0)
	for i, b := range append(slices.Clone(bounds), 0) {
		if c := w.poisson(float64(n-late) * o.cells[i].p); c > 0 {
			out = append(out, Bucket{last, b, c})
		}
		last = b
	}
	if late > 0 {
		out = addBuckets(out, []Bucket{{500 * time.Millisecond, 550 * time.Millisecond, late}})
	}
	return out
}

func cellsOf(median, spread, heavy float64) []cell {
	below := func(d time.Duration) float64 {
		x := d.Seconds() / median
		logNormal := math.Erfc(-math.Log(x)/spread/math.Sqrt2) / 2
		pareto := 0.0
		if x > 1 {
			pareto = 1 - math.Pow(x, -1.3)
		}
		return (1-heavy)*logNormal + heavy*pareto
	}
	out, last := make([]cell, len(bounds)+1), 0.0
	for i, b := range bounds {
		p := below(b)
		out[i], last = cell{p - last}, p
	}
	out[len(bounds)] = cell{1 - last}
	return out
}

func constantly(v float64) func(float64) float64 { return func(float64) float64 { return v } }

// from is one value before a time and another one from it on; the mean of both in the window in which it is.
func (w *world) from(before, at, after float64) func(float64) float64 {
	return func(t float64) float64 {
		part := min(max((t+w.length.Seconds()-at)/w.length.Seconds(), 0), 1)
		return before + part*(after-before)
	}
}
