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
	latency []uint32 // by bucket; nil until needed
}

// at returns the slot of a time, empty if it is a new one; nil if the ring has gone on.
func (w *Window) at(now time.Time) *slot {
	second := now.Unix()
	s := &w.ring[uint64(second)%slots]
	switch {
	case s.second > second:
		return nil
	case s.second < second:
		clear(s.latency)
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
func (w *Window) addLatency(now time.Time, l *layout, buckets int, counts []byte) {
	s := w.at(now)
	if s == nil {
		return
	}
	if len(s.latency) != buckets {
		s.latency = make([]uint32, buckets)
	}
	for i := 0; len(counts) >= 8; i, counts = i+1, counts[8:] {
		if n := binary.LittleEndian.Uint64(counts); n != 0 {
			to := &s.latency[l.bucket(i)]
			*to = uint32(min(uint64(*to)+n, math.MaxUint32))
		}
	}
}

// Sum adds up the last length before now, at most [MaxWindow], into latency (by bucket, may be nil) and the returned counts.
func (w *Window) Sum(now time.Time, length time.Duration, latency []uint64) Counts {
	last := now.Unix()
	first := now.Add(-min(length, MaxWindow)).Unix()
	var sum Counts
	for i := range w.ring {
		s := &w.ring[i]
		if s.second <= first || s.second > last {
			continue
		}
		sum.add(&s.counts)
		for b, n := range s.latency {
			if b < len(latency) {
				latency[b] += uint64(n)
			}
		}
	}
	return sum
}

// quantile is the latency below which a share q of the requests stayed. With bounds of ratio 1.1 it is within 5 % of the true one; above the
// last bound it is that bound. 0 where there was no request.
func (l *layout) quantile(counts []uint64, q float64) time.Duration {
	var total uint64
	for _, n := range counts {
		total += n
	}
	if total == 0 || l == nil {
		return 0
	}
	rank := max(1, uint64(math.Ceil(q*float64(total))))
	for i, n := range counts {
		if rank <= n {
			return time.Duration(l.middle(i) * float64(time.Millisecond))
		}
		rank -= n
	}
	return 0
}
