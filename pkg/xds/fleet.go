package xds

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// Fleet is the Envoys with the same node.cluster and what they should have.
type Fleet struct {
	name   string
	server *Server
	config atomic.Pointer[config]
	deltas deltaCache
	turns  turns

	moves atomic.Int64 // counts what may change slowest

	mu          sync.Mutex
	open        []*session // sessions as one list; nil: to be made
	slowest     slowest
	levers      leverState
	lastChange  time.Time
	proxies     map[string]*proxy
	inlineMu    sync.Mutex
	inlineCache *structure
	inlineFor   inlineKey

	waitMu  sync.Mutex
	waiters map[*Waiter]bool
}

// Update is a change of what a fleet should have. What is nil stays.
type Update struct {
	// Revision of intent that this brings the fleet to.
	Revision int64
	// Structure, if it may have changed.
	Structure *translate.Structure
	// Inline returns the structure with live weights in its routes; it is asked only while an incompatible proxy is connected.
	Inline func() *translate.Structure
	// Levers of the services that changed; nil for a service that is gone.
	Levers map[string][]translate.Lever
	// Endpoints that changed. Those of clusters that the structure lacks are forgotten.
	Endpoints []translate.Resource
	// Stamp identifies the change among all that the store knows; proxies remember it. See [Options].KnownStamp.
	Stamp string
	// Rollback makes the waiter ask for levers alone: they are right for whatever structure a proxy has, also where it refused some.
	Rollback bool
	// Decides names the services of which this says on purpose where their traffic goes, as a rollback does: proxies that are held get
	// that at once, see held.go.
	Decides []string
	// Named says that a service or a fleet document names the fleet.
	Named bool
}

func newFleet(name string, server *Server) *Fleet {
	f := &Fleet{name: name, server: server, slowest: slowest{as: -1}, levers: newLeverState(), proxies: map[string]*proxy{}, waiters: map[*Waiter]bool{}}
	empty := newStructure(translate.Build(&policy.Fleet{Name: name}, nil, translate.Options{}), nil)
	f.config.Store(&config{structure: empty, endpoints: emptyTable, levers: f.levers.tables(nil, "")})
	return f
}

// Name of the fleet: the node.cluster of its proxies.
func (f *Fleet) Name() string { return f.name }

// Publish makes an update what the fleet should have and sends it to every proxy that may have it now. It returns when all
// responses are on their way, with a waiter that follows them; close it.
func (f *Fleet) Publish(u Update) *Waiter {
	f.server.move()
	f.mu.Lock()
	old := f.config.Load()
	next := *old
	next.seq++
	next.revision = max(old.revision, u.Revision)
	if u.Structure != nil {
		if s := newStructure(u.Structure, old.structure); !s.same(old.structure) {
			next.structure, next.structureSeq = s, next.seq
			next.former = next.formerHosts(old.structure, f.settled())
		}
	}
	structural := next.structureSeq == next.seq
	changed := u.Structure == nil && len(u.Levers) > 0 // a change of levers only is sent even if it brings nothing new: its stamp counts
	for _, service := range sortedKeys(u.Levers) {
		changed = f.levers.set(service, u.Levers[service], next.seq, structural) || changed
	}
	if changed {
		next.levers = f.levers.tables(old.levers, cmpOr(u.Stamp, old.levers.stamp))
		f.lastChange = f.server.now()
	}
	if len(u.Endpoints) > 0 || structural {
		next.endpoints = old.endpoints.with(u.Endpoints, next.structure.withoutEndpoints(old.endpoints.names)).reuse(old.endpoints)
	}
	if u.Inline != nil {
		next.inlineOf = u.Inline
	}
	next.named = old.named || u.Named
	next.decide(u.Decides, structural)
	decides := u.Decides
	if structural {
		decides = nil // a held proxy takes no structure
	}
	w := f.follow(old, &next, u.Rollback, decides)
	if next.settled && !old.settled {
		f.release(&next)
	}
	f.publish(&next)
	return w
}

// named says whether a service or a fleet document names the fleet. A session asks the config that it is at instead: what was there before the
// fleet had a name is not what its proxies should have.
func (f *Fleet) named() bool { return f.config.Load().named }

// Follow follows what the fleet should have now.
func (f *Fleet) Follow() *Waiter {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.config.Load()
	return f.follow(c, c, false, nil)
}

// publish stores a config, unlocks the fleet and steps its sessions.
func (f *Fleet) publish(next *config) {
	f.config.Store(next)
	sessions := f.sessions()
	f.mu.Unlock()
	var late []*session
	for _, s := range sessions {
		if s.inlined.Load() {
			late = append(late, s)
			continue
		}
		s.step()
	}
	for _, s := range late { // for these a structure of their own is built first
		s.step()
	}
}

// sessions of all proxies; not changed. The fleet's lock is held.
func (f *Fleet) sessions() []*session {
	if f.open == nil {
		f.open = make([]*session, 0, len(f.proxies))
		for _, p := range f.proxies {
			for s := range p.sessions {
				f.open = append(f.open, s)
			}
		}
	}
	return f.open
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Fold moves levers that have been quiet for long enough, or are too many, from the top layer to the base layers. It is called
// about once a second and does one of the two steps; it also lets sessions go on that waited for time to pass, and forgets
// proxies that have been lost for a day.
func (f *Fleet) Fold(quiet time.Duration) {
	f.mu.Lock()
	now := f.server.now()
	for id, p := range f.proxies {
		if len(p.sessions) == 0 && now.Sub(p.lastSeen) > lostAfter {
			delete(f.proxies, id)
		}
	}
	due := len(f.levers.folding) > 0 || len(f.levers.recent) > maxRecent || len(f.levers.recent) > 0 && now.Sub(f.lastChange) >= quiet
	next := *f.config.Load()
	if due {
		f.levers.fold(f.settled())
		next.seq++
		next.levers = f.levers.tables(next.levers, next.levers.stamp)
	}
	f.publish(&next)
}

// settled is the lowest publication whose structure every known proxy acknowledged, lost ones included, but for those of which this process
// knows no structure.
func (f *Fleet) settled() int64 {
	lowest := f.config.Load().seq
	for _, p := range f.proxies {
		if len(p.sessions) == 0 && !p.remembered {
			lowest = min(lowest, settledSeq(p.structureSeq, p.behind))
		}
		for s := range p.sessions {
			s.mu.Lock()
			lowest = min(lowest, settledSeq(s.structureSeq, s.behind))
			s.mu.Unlock()
		}
	}
	return lowest
}

// inlineKey is what a structure with weights in its routes was made for.
type inlineKey struct {
	structure *structure
	levers    *leverTables
}

// inline returns the structure with weights in its routes.
func (f *Fleet) inline(c *config) *structure {
	f.inlineMu.Lock()
	defer f.inlineMu.Unlock()
	key := inlineKey{c.structure, c.levers} // endpoints change more often, and are no part of it
	if f.inlineCache == nil || f.inlineFor != key {
		if c.inlineOf == nil {
			return c.structure
		}
		s := newStructure(c.inlineOf(), f.inlineCache)
		s.clusters = s.clusters.reuse(c.structure.clusters)
		f.inlineCache, f.inlineFor = s, key
	}
	return f.inlineCache
}

// add registers a session under its proxy.
func (f *Fleet) add(s *session, id, version, bootstrap string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.proxies[id]
	if !ok {
		p = &proxy{id: id, sessions: map[*session]bool{}}
		f.proxies[id] = p
	}
	p.version, p.bootstrap, p.remembered = version, bootstrap, false
	p.sessions[s], f.open = true, nil
	f.moves.Add(1)
	f.turns.join()
	s.fleet, s.proxy, s.lastSeq, s.firstSeq = f, p, p.structureSeq, f.config.Load().seq
	s.structureSeq, s.behind, s.behindSince = s.lastSeq, p.behind, s.connected
	s.stale, s.strange = p.stale, p.strange
	for k := range s.kinds {
		s.kinds[k].parked, s.parking = p.parked[k], true
		p.parked[k] = nil
		s.kinds[k].carried, p.doubtful[k] = p.doubtful[k], nil
	}
	f.waitMu.Lock()
	defer f.waitMu.Unlock()
	for w := range f.waiters {
		w.joined(s)
	}
}

// remove forgets a session; its proxy stays known.
func (f *Fleet) remove(s *session) {
	f.mu.Lock()
	p := s.proxy
	s.mu.Lock()
	p.structureSeq, p.behind, p.acked = s.structureSeq, s.behind, s.acked.revision
	p.stale, p.strange = s.stale, s.strange
	for k := range s.kinds {
		p.parked[k] = s.kinds[k].parked
		if kind(k).inParts() {
			p.doubtful[k] = s.inDoubt(kind(k))
		}
	}
	s.mu.Unlock()
	delete(p.sessions, s)
	f.open = nil
	f.moves.Add(1)
	p.lastSeen = f.server.now()
	f.makeRoom()
	f.mu.Unlock()
	f.turns.leave(s)
	f.waitMu.Lock()
	defer f.waitMu.Unlock()
	for w := range f.waiters {
		w.gone(s)
	}
}

// Proxies describes every known proxy, by id.
func (f *Fleet) Proxies() []ProxyStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.server.now()
	out := make([]ProxyStatus, 0, len(f.proxies))
	for _, p := range f.proxies {
		out = append(out, p.status(f, now))
	}
	slices.SortFunc(out, func(a, b ProxyStatus) int { return strings.Compare(a.Proxy, b.Proxy) })
	return out
}

// Proxy describes one proxy, if it is known.
func (f *Fleet) Proxy(id string) (ProxyStatus, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.proxies[id]
	if !ok {
		return ProxyStatus{}, false
	}
	return p.status(f, f.server.now()), true
}

// Lost returns the proxies that were seen within a day and are not connected, by id.
func (f *Fleet) Lost() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	lost := []string{}
	for id, p := range f.proxies {
		if len(p.sessions) == 0 {
			lost = append(lost, id)
		}
	}
	slices.Sort(lost)
	return lost
}
