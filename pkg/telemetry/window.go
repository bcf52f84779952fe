package telemetry

import (
	"encoding/binary"
	"math"
	"time"
)

// slots is the length of a window's ring; a slot is a second.
const slots = 64

// MaxWindow is how far back a [Window] remembers.
const MaxWindow = 60 * time.Second

// Window is what the requests of the last minute at one cluster came to, summed over the proxies. Time goes as its calls say; it may go back a
// little (messages of different proxies), but what is older than the ring is dropped.
type Window struct {
	ring [slots]slot
}

// slot is one second.
type slot struct {
	second  int64
	counts  Counts
	latency [][]uint32 // by layout and bucket; nil until needed
}

// at returns the slot of a time, empty if it is a new one; nil if the ring has gone on.
func (w *Window) at(now time.Time) *slot {
	second := now.Unix()
	s := &w.ring[uint64(second)%slots]
	switch {
	case s.second > second:
		return nil
	case s.second < second:
		for _, l := range s.latency {
			clear(l)
		}
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

// addLatency adds the packed counts of a histogram.
func (w *Window) addLatency(now time.Time, l *layout, counts []byte) {
	s := w.at(now)
	if s == nil {
		return
	}
	for len(s.latency) <= l.index {
		s.latency = append(s.latency, nil)
	}
	if s.latency[l.index] == nil {
		s.latency[l.index] = make([]uint32, len(l.values))
	}
	into := s.latency[l.index]
	for i := 0; len(counts) >= 8 && i < len(into); i, counts = i+1, counts[8:] {
		if n := binary.LittleEndian.Uint64(counts); n != 0 {
			into[i] = uint32(min(uint64(into[i])+n, math.MaxUint32))
		}
	}
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
func (w *Window) quantiles(now time.Time, length time.Duration, all []*layout, shares ...float64) []time.Duration {
	var d distribution
	w.latencies(now, length, all, &d)
	return d.quantiles(shares)
}

// latencies adds those of the last length to a distribution.
func (w *Window) latencies(now time.Time, length time.Duration, all []*layout, d *distribution) {
	for _, l := range all {
		sum := make([]uint64, len(l.values))
		w.last(now, length, func(s *slot) {
			if l.index < len(s.latency) {
				for i, n := range s.latency[l.index] {
					sum[i] += uint64(n)
				}
			}
		})
		d.add(l, sum)
	}
}
