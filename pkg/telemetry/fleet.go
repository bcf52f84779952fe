package telemetry

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// fleet is what the proxies with one node.cluster reported.
type fleet struct {
	name  string
	since time.Time // when it was first heard of
	room  *room     // for series, of all fleets

	mu         sync.Mutex
	proxies    map[string]*proxy
	proofs     map[*Proof]bool
	taps       map[string]*tap // by cluster, while it is watched
	census     census
	byID       []*series // by id; nil where one gave way
	free       []int32   // ids to use again; they take no room
	swept      time.Time // when series without data last gave way
	generation uint32    // of series that got a used id

	index atomic.Pointer[map[string]*series] // by cluster; replaced, never changed
}

// series is one cluster of a fleet. Guarded by the fleet.
type series struct {
	id     int32
	reused uint32 // how often the id was given before
	name   string
	window Window
	total  Counts
	last   time.Time // when it last got something
	tap    *tap      // nil: nobody watches it
}

// proxy is one Envoy by its node.id. Guarded by the fleet.
type proxy struct {
	id       string
	known    bool // it was connected once
	streams  int  // of xDS
	lastSeen time.Time

	reported  time.Time // arrival of its last flush; zero: never
	flushes   uint64
	clock     clock
	end       uint64        // of its last flush, by its clock
	period    time.Duration // of its last flush
	overrides bool
	expiry    int64      // of the first certificate that ends, in Unix seconds; 0: it said none
	last      []lastSeen // by id of the series: what its last flush that had the cluster held

	waits use // for a lane; guarded by lanes

	load    atomic.Pointer[loadStream] // its LRS stream; nil: none. Written under the fleet's lock
	version version                    // of Envoy, as that says
	ledgers map[string]*ledger         // by cluster that is watched by load reports, or was lately
}

// lastSeen is what is remembered of a proxy's last flush, per cluster.
type lastSeen struct {
	flush  uint64 // its number
	reused uint32 // of the series
	health health
}

func newFleet(name string, now time.Time, r *room) *fleet {
	f := &fleet{name: name, since: now, room: r, proxies: map[string]*proxy{}, proofs: map[*Proof]bool{}, taps: map[string]*tap{}}
	f.index.Store(&map[string]*series{})
	return f
}

// learn makes series of the clusters that a flush is the first to name. Those for which there is no room are dropped, and their number is
// returned. f.mu is held.
func (f *fleet) learn(fl *flush, now time.Time) (dropped int) {
	if len(fl.byName) == 0 {
		return 0
	}
	next := maps.Clone(*f.index.Load())
	for i := range fl.deltas {
		d := &fl.deltas[i]
		if d.series != nil {
			continue
		}
		if d.series = next[d.name]; d.series == nil {
			d.series = f.newSeries(d.name, next, now)
		}
		if d.series == nil {
			dropped++
		}
	}
	f.index.Store(&next)
	return dropped
}

// newSeries makes a series and puts it into the index, if there is room or can be made.
func (f *fleet) newSeries(name string, index map[string]*series, now time.Time) *series {
	if len(f.free) == 0 && len(f.byID) == maxSeries || f.room.full() {
		f.giveWay(index, now)
	}
	if len(f.free) == 0 && len(f.byID) == maxSeries || !f.room.take() {
		return nil
	}
	s := &series{name: name, last: now, tap: f.taps[name]}
	if n := len(f.free); n > 0 {
		s.id, f.free = f.free[n-1], f.free[:n-1]
		f.generation++
		s.reused = f.generation
		f.byID[s.id] = s
	} else {
		s.id = int32(len(f.byID))
		f.byID = append(f.byID, s)
	}
	index[name] = s
	return s
}

// remember notes what the current flush of a proxy held for a series.
func (p *proxy) remember(s *series, h health) {
	if int(s.id) >= len(p.last) {
		p.last = append(p.last, make([]lastSeen, int(s.id)+1-len(p.last))...)
	}
	p.last[s.id] = lastSeen{flush: p.flushes, reused: s.reused, health: h}
}

// recall returns what the proxy's last flush held for a cluster; zero if nothing.
func (f *fleet) recall(p *proxy, cluster string) health {
	s := (*f.index.Load())[cluster]
	if s == nil || int(s.id) >= len(p.last) {
		return health{}
	}
	if l := p.last[s.id]; l.reused == s.reused && l.flush == p.flushes && p.flushes > 0 {
		return l.health
	}
	return health{}
}
