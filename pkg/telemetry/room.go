package telemetry

import (
	"maps"
	"sync/atomic"
	"time"
)

// sweepEvery is how often it is looked for series without data, while there is no room: each time costs a look at all of them.
const sweepEvery = 10 * time.Second

// room is how many series all fleets have together: one takes 9 kB, and more where latencies are reported.
type room struct {
	taken atomic.Int64
	swept atomic.Int64 // when all fleets were last looked through, in Unix nanoseconds
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

// due says whether it is time to look through all fleets: to one caller.
func (r *room) due(now time.Time) bool {
	last := r.swept.Load()
	return now.UnixNano()-last >= int64(sweepEvery) && r.swept.CompareAndSwap(last, now.UnixNano())
}

// makeRoom has series without data give way in all fleets, if there is no room for those that a flush is the first to name. No lock is held.
func (t *Telemetry) makeRoom(fl *flush, now time.Time) {
	if len(fl.byName) == 0 || !t.room.full() || !t.room.due(now) {
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
