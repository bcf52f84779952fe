package xds

import "slices"

// Seq numbers the publication that is followed among those of its fleet, see [Fleet.Levered].
func (w *Waiter) Seq() int64 { return w.seq }

// slowest is the last publication whose levers all connected proxies have, and how many these are, as of a count of what may change it.
type slowest struct {
	as        int64
	connected int
	seq       int64
}

// Levered says how far the levers of a publication, or of a later one, have come: how many proxies are connected, and which of them do not have
// them yet, by id. What a proxy refused of structures does not count. Every rollout asks every time it looks, so proxies are looked at only when
// one of them has come further, come or gone since.
func (f *Fleet) Levered(seq int64) (connected int, behind []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	as := f.moves.Load()
	if f.slowest.as == as && f.slowest.seq >= seq {
		return f.slowest.connected, nil
	}
	lowest := f.config.Load().seq
	for id, p := range f.proxies {
		if len(p.sessions) == 0 {
			continue
		}
		connected++
		at := p.leversAt()
		lowest = min(lowest, at)
		if at < seq {
			behind = append(behind, id)
		}
	}
	f.slowest = slowest{as, connected, lowest}
	slices.Sort(behind)
	return connected, behind
}

// leversAt is the number of the publication whose levers all connected processes of a proxy have. The fleet's lock is held.
func (p *proxy) leversAt() int64 {
	lowest := int64(-1)
	for s := range p.sessions {
		s.mu.Lock()
		at := s.levered()
		s.mu.Unlock()
		if lowest < 0 || at < lowest {
			lowest = at
		}
	}
	return lowest
}
