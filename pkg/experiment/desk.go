package experiment

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// Desk leads comparators. Its methods may be called from several goroutines.
type Desk struct {
	crossfadev1.UnimplementedComparatorServiceServer
	c       Config
	keeper  *keeper
	setting sync.Mutex // one Set at a time, as it reads files; taken before mu
	loaded  bool       // Set was called before; under setting
	members chan struct{}
	saves   chan struct{}
	begins  chan struct{}  // an experiment has begun
	work    sync.WaitGroup // streams and calls of End; added to under mu

	mu       sync.Mutex
	runs     map[string]*run     // by mirror
	sessions map[string]*session // by instance
	streams  int                 // with those that have not said hello
	proxies  map[string]string
	version  int           // of proxies, from 1
	changed  chan struct{} // closed when a report has changed
	fresh    bool          // a report has changed since
	urgent   bool          // what was counted is to be kept at once
	closed   bool
	refused  time.Time // when a refusal was said in the log last
}

// Open returns a desk with no experiment yet, and makes its directory, if there is none. Where it cannot be made, which the log and reports say, it
// is tried again with each write. Call [Desk.Set] and [Desk.Run] next.
func Open(c Config) *Desk {
	c.fill()
	return &Desk{
		c: c, keeper: newKeeper(c.Dir, c.Log), runs: map[string]*run{}, sessions: map[string]*session{}, version: 1, changed: make(chan struct{}),
		members: make(chan struct{}, 1), saves: make(chan struct{}, 1), begins: make(chan struct{}, 1),
	}
}

// Run leads until ctx ends; then comparators are left to their leases, and what was counted is written once more. It waits for streams to end:
// where a comparator is frozen, until gRPC gives up its connection.
func (d *Desk) Run(ctx context.Context) {
	var tellers sync.WaitGroup
	tellers.Go(func() { d.tellMembers(ctx) })
	tellers.Go(func() { d.saveAll(ctx) })
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for d.tick(d.c.Now()); ctx.Err() == nil; {
		select {
		case <-ctx.Done():
		case <-d.begins: // where proxies are is to be known at once
			d.tick(d.c.Now())
		case <-ticker.C:
			d.tick(d.c.Now())
		}
	}
	d.mu.Lock()
	d.closed = true
	for _, s := range d.sessions {
		s.stop(errStopping)
	}
	d.mu.Unlock()
	d.work.Wait()
	tellers.Wait()
	d.save(d.c.Now())
}

// tick is what is done once a second, and when an experiment begins.
func (d *Desk) tick(now time.Time) {
	traffic, proxies := d.look()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(traffic) > 0 && !maps.Equal(d.proxies, proxies) {
		d.proxies = proxies
		d.version++
	}
	for _, name := range slices.Sorted(maps.Keys(d.runs)) {
		r := d.runs[name]
		if t, ok := traffic[r.policy.Service]; ok && r.open() {
			r.observe(t)
		}
		if r.turns(now) {
			d.fresh = true
		}
		d.expire(r, now)
		d.endIfDue(r, now)
	}
	d.setLimits()
	for _, s := range d.sessions {
		s.notify()
	}
	notify(d.members) // one may have gone silent
	notify(d.saves)
	if d.fresh {
		d.fresh = false
		close(d.changed)
		d.changed = make(chan struct{})
	}
}

// look asks the owner what is live, without the lock: the owner may hold one of its own while it calls the desk.
func (d *Desk) look() (map[string]Traffic, map[string]string) {
	d.mu.Lock()
	traffic := map[string]Traffic{}
	for _, r := range d.runs {
		if r.open() {
			traffic[r.policy.Service] = Traffic{}
		}
	}
	d.mu.Unlock()
	for service := range traffic {
		traffic[service] = d.c.Traffic(service)
	}
	if len(traffic) == 0 {
		return nil, nil // nobody is asked
	}
	return traffic, d.c.Proxies()
}

// Changed returns a channel that is closed when a report has changed, at most once a second. Get it anew then.
func (d *Desk) Changed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changed
}

// notify leaves a word for whoever waits on a channel that holds one.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
