package telemetry

import (
	"encoding/binary"
	"math"
	"slices"
	"time"
)

// slots is the length of a window's ring; a slot is a second.
const slots = 64

// MaxWindow is how far back a [Window] remembers.
const MaxWindow = 60 * time.Second

// Window is what the requests of the last minute at one cluster came to, summed over the proxies. Time goes as its calls say; it may go back a
// little (messages of different proxies), but what is older than the ring is dropped.
type Window struct {
	ring  [slots]slot
	timed int64 // the last second with latencies
	held  int64 // bytes of latencies
}

// slot is one second.
type slot struct {
	second  int64
	counts  Counts
	latency []latencies
}

// latencies are how many requests were in each bucket of one kind of histogram.
type latencies struct {
	layout *layout
	counts []uint32
}

func (l *latencies) bytes() int64 { return 4 * int64(len(l.counts)) }

// at returns the slot of a time, empty if it is a new one; nil if the ring has gone on.
func (w *Window) at(now time.Time) *slot {
	second := now.Unix()
	s := &w.ring[uint64(second)%slots]
	switch {
	case s.second > second:
		return nil
	case s.second < second:
		s.latency = slices.DeleteFunc(s.latency, func(l latencies) bool {
			if slices.Max(l.counts) > 0 {
				clear(l.counts) // most likely it comes again
				return false
			}
			w.held -= l.bytes()
			return true
		})
		s.second, s.counts = second, Counts{}
	}
	return s
}

// Add adds what a proxy counted; it goes to the second of its arrival.
func (w *Window) Add(now time.Time, c *Counts) {
	if s := w.at(now); s != nil {
		s.counts.add(c)
	}
}

// addLatency adds the packed counts of a histogram, if there is room.
func (w *Window) addLatency(now time.Time, l *layout, counts []byte, r *room) bool {
	s := w.at(now)
	if s == nil {
		return true
	}
	at := slices.IndexFunc(s.latency, func(x latencies) bool { return x.layout == l })
	if at < 0 {
		add := latencies{l, make([]uint32, len(l.values))}
		if !r.hold(add.bytes()) {
			return false
		}
		at, s.latency = len(s.latency), append(s.latency, add)
		w.held += add.bytes()
	}
	w.timed = max(w.timed, s.second)
	into := s.latency[at].counts
	for i := 0; len(counts) >= 8 && i < len(into); i, counts = i+1, counts[8:] {
		if n := binary.LittleEndian.Uint64(counts); n != 0 {
			into[i] = uint32(min(uint64(into[i])+n, math.MaxUint32))
		}
	}
	return true
}

// tidy gives the memory of latencies back if the last ones are out, and returns how many bytes it has.
func (w *Window) tidy(now time.Time) int64 {
	if w.held > 0 && now.Unix()-w.timed >= slots {
		for i := range w.ring {
			w.ring[i].latency = nil
		}
		w.held = 0
	}
	return w.held
}

// last calls each for every second of the last length before now, at most [MaxWindow].
func (w *Window) last(now time.Time, length time.Duration, each func(*slot)) {
	last, first := now.Unix(), now.Add(-min(length, MaxWindow)).Unix()
	for i := range w.ring {
		if s := &w.ring[i]; s.second > first && s.second <= last {
			each(s)
		}
	}
}

// Sum adds up the last length before now, at most [MaxWindow].
func (w *Window) Sum(now time.Time, length time.Duration) Counts {
	var sum Counts
	w.last(now, length, func(s *slot) { sum.add(&s.counts) })
	return sum
}

// quantiles are the latencies below which a share of the requests of the last length stayed, for each share; 0 where there was no request.
func (w *Window) quantiles(now time.Time, length time.Duration, shares ...float64) []time.Duration {
	var d distribution
	w.latencies(now, length, &d)
	return d.quantiles(shares)
}

// latencies adds those of the last length to a distribution.
func (w *Window) latencies(now time.Time, length time.Duration, d *distribution) {
	sums := map[*layout][]uint64{}
	w.last(now, length, func(s *slot) {
		for _, l := range s.latency {
			sum := sums[l.layout]
			if sum == nil {
				sum = make([]uint64, len(l.counts))
				sums[l.layout] = sum
			}
			for i, n := range l.counts {
				sum[i] += uint64(n)
			}
		}
	})
	for l, sum := range sums {
		d.add(l, sum)
	}
}
