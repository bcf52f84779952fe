package telemetry

import (
	"maps"
	"sync/atomic"
	"time"
)

// How often it is looked for what gives way: each time costs a look at all series.
const (
	sweepEvery = 10 * time.Second // series without data, while there is no room
	tidyEvery  = time.Minute      // latencies that are out of their window
)

// maxLatencies bounds the latencies of all series, in bytes: with the buckets of our bootstrap, a series that has some in every second takes 32 kB.
const maxLatencies = 512 << 20

// room is how many series all fleets have together: one takes 9 kB, and its latencies beside.
type room struct {
	taken     atomic.Int64
	latencies atomic.Int64 // bytes of them when it was last looked, and what came since
	swept     turn
	tidied    turn
}

// turn is when something was last done, in Unix nanoseconds.
type turn struct{ atomic.Int64 }

// due says whether it is time to do it again: to one caller.
func (t *turn) due(now time.Time, every time.Duration) bool {
	last := t.Load()
	return now.UnixNano()-last >= int64(every) && t.CompareAndSwap(last, now.UnixNano())
}

// take takes the place of one, if there is one.
func (r *room) take() bool {
	if r.taken.Add(1) <= maxSeriesInAll {
		return true
	}
	r.taken.Add(-1)
	return false
}

// give gives places back.
func (r *room) give(n int) { r.taken.Add(int64(-n)) }

func (r *room) full() bool { return r.taken.Load() >= maxSeriesInAll }

// hold takes the place of so many bytes of latencies, if there is one.
func (r *room) hold(bytes int64) bool {
	if r.latencies.Add(bytes) <= maxLatencies {
		return true
	}
	r.latencies.Add(-bytes)
	return false
}

// tidy has series without latencies in their window give the memory back, and counts what there is. No lock is held.
func (t *Telemetry) tidy(now time.Time) {
	if !t.room.tidied.due(now, tidyEvery) {
		return
	}
	before, held := t.room.latencies.Load(), int64(0)
	for _, f := range t.all() {
		f.mu.Lock()
		for _, s := range f.byID {
			if s != nil {
				held += s.window.tidy(now)
			}
		}
		f.mu.Unlock()
	}
	t.room.latencies.Add(held - before) // what came meanwhile may count twice, until the next time
}

// makeRoom has series without data give way in all fleets, if there is no room for those that a flush is the first to name. No lock is held.
func (t *Telemetry) makeRoom(fl *flush, now time.Time) {
	if len(fl.byName) == 0 || !t.room.full() || !t.room.swept.due(now, sweepEvery) {
		return
	}
	for _, f := range t.all() {
		f.mu.Lock()
		next := maps.Clone(*f.index.Load())
		if f.giveWay(next, now) > 0 {
			f.index.Store(&next)
		}
		f.mu.Unlock()
	}
}

// giveWay takes series that had no data for long out of the fleet and of the index, and returns how many. f.mu is held.
func (f *fleet) giveWay(index map[string]*series, now time.Time) (n int) {
	if !f.swept.IsZero() && now.Sub(f.swept) < sweepEvery {
		return 0
	}
	f.swept = now
	for id, s := range f.byID {
		if s != nil && now.Sub(s.last) > keepIdle {
			f.byID[id] = nil
			f.free = append(f.free, int32(id))
			delete(index, s.name)
			n++
		}
	}
	f.room.give(n)
	return n
}
