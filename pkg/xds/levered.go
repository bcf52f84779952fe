package xds

import "slices"

// Seq numbers the publication that is followed among those of its fleet, see [Fleet.Levered].
func (w *Waiter) Seq() int64 { return w.seq }

// Levered says how far the levers of a publication, or of a later one, have come: how many proxies are connected, and which of them do not have
// them yet, by id. What a proxy refused of structures does not count.
func (f *Fleet) Levered(seq int64) (connected int, behind []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, p := range f.proxies {
		if len(p.sessions) == 0 {
			continue
		}
		connected++
		for s := range p.sessions {
			if s.leversAt() < seq {
				behind = append(behind, id)
				break
			}
		}
	}
	slices.Sort(behind)
	return connected, behind
}

// leversAt is the number of the publication whose levers the proxy has.
func (s *session) leversAt() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.levered()
}
