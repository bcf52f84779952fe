package xds

import (
	"cmp"
	"slices"
	"time"
)

// MaxMemories bounds the proxies that are remembered over a restart: those seen last.
const MaxMemories = 10_000

// Memory is what is known of a proxy over a restart of the server: that it exists, not what it has. A stream begins by saying that.
type Memory struct {
	Fleet         string    `json:"fleet"`
	Proxy         string    `json:"proxy"`
	Version       string    `json:"version,omitempty"` // of Envoy
	LastSeen      time.Time `json:"lastSeen"`
	AckedRevision int64     `json:"ackedRevision"`
}

// Memories returns the proxies to remember, of fleets that a document names, by fleet and proxy.
func (s *Server) Memories() []Memory {
	var out []Memory
	for _, f := range s.Fleets() {
		if f.named() {
			out = f.memories(out)
		}
	}
	return newest(out)
}

// memories appends those of a fleet.
func (f *Fleet) memories(out []Memory) []Memory {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.server.now()
	for _, p := range f.proxies {
		m := Memory{Fleet: f.name, Proxy: p.id, Version: p.version, LastSeen: p.lastSeen, AckedRevision: p.acked}
		if len(p.sessions) > 0 {
			m.LastSeen, m.AckedRevision = now, p.reached(f.config.Load().revision)
		}
		out = append(out, m)
	}
	return out
}

// reached is the revision that all streams of a proxy acknowledged, at most wanted. The fleet's lock is held.
func (p *proxy) reached(wanted int64) int64 {
	for s := range p.sessions {
		s.mu.Lock()
		wanted = min(wanted, s.acked.revision)
		s.mu.Unlock()
	}
	return wanted
}

// Remember makes proxies known that an earlier process served: they are lost until they come back. It is called before proxies are served,
// and after what is live was published: fleets that no document names, and proxies that were not seen for a day, are passed over. It returns
// those that it took.
func (s *Server) Remember(memories []Memory) []Memory {
	now := s.now()
	var taken []Memory
	for _, m := range newest(memories) {
		s.mu.Lock()
		f := s.fleets[m.Fleet]
		s.mu.Unlock()
		if f == nil || !f.named() || now.Sub(m.LastSeen) > lostAfter || m.Proxy == "" || len(m.Proxy) > maxNameLength {
			continue
		}
		if m.LastSeen.After(now) {
			m.LastSeen = now // the clock was set back
		}
		if f.remember(m) {
			taken = append(taken, m)
		}
	}
	return taken
}

// remember adds a proxy that is not known yet.
func (f *Fleet) remember(m Memory) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if mapHas(f.proxies, m.Proxy) {
		return false
	}
	f.proxies[m.Proxy] = &proxy{
		id: m.Proxy, sessions: map[*session]bool{}, version: m.Version, lastSeen: m.LastSeen, acked: m.AckedRevision, remembered: true,
	}
	return true
}

// newest returns at most MaxMemories of them, those seen last, by fleet and proxy.
func newest(all []Memory) []Memory {
	byName := func(a, b Memory) int { return cmp.Or(cmp.Compare(a.Fleet, b.Fleet), cmp.Compare(a.Proxy, b.Proxy)) }
	all = slices.Clone(all)
	if len(all) > MaxMemories {
		slices.SortFunc(all, func(a, b Memory) int { return cmp.Or(b.LastSeen.Compare(a.LastSeen), byName(a, b)) })
		all = all[:MaxMemories]
	}
	slices.SortFunc(all, byName)
	return all
}
