package xds

import (
	"slices"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// conclude notes what the proxy has reached.
func (s *session) conclude(c *config) (again bool) {
	has := true
	for _, k := range []kind{listeners, routes, virtualHosts} {
		has = has && s.kinds[k].inSync
	}
	if has && s.entered(c) && !s.arrived(c.structureSeq) {
		s.arrive(c.structureSeq)
		again = true
	}
	acked, tried := c.reached(), c.reached()
	for k := range numKinds {
		acked, tried = acked.min(s.kinds[k].reached), tried.min(s.kinds[k].tried)
	}
	// Under steady change a proxy never has the latest; what there was when it came, and the structure, is enough to be ready. So is all but
	// what it refused: else one service that it cannot have would keep it from serving the others.
	if all := tried.seq >= max(s.firstSeq, c.structureSeq); all && !s.complete && s.listens(c) && c.named {
		s.complete, again = true, true
		s.kinds[levers].at = nil // the readiness layer is due
	}
	s.progress(acked, tried, acked == c.reached())
	return again
}

// listens says whether the proxy has a listener for clients, if there is one to have.
func (s *session) listens(c *config) bool {
	serving := func(name string) bool { return name != translate.ExperimentListener }
	l := &s.kinds[listeners]
	return l.asked && (slices.ContainsFunc(l.have.names(), serving) || !slices.ContainsFunc(c.structure.listenersAt(s.places).names, serving))
}

// forsaken says whether a running proxy met a server that has nothing for its fleet: a wrong or a lost data directory. It keeps what it
// has, as it does without a server, until a document names its fleet.
func (s *session) forsaken(c *config) bool {
	if c.named {
		return false
	}
	for k := range s.kinds {
		if s.kinds[k].resumed {
			return true
		}
	}
	return false
}

// levered is the last publication whose levers the proxy acknowledged as they are right for it, whatever structure it refused. Of one whose weights
// travel in its routes, whichever layers it has, it is the last that it acknowledged as a whole.
func (s *session) levered() int64 {
	switch {
	case s.held != "":
		return s.decided.seq
	case !s.kinds[levers].asked || s.incompatible():
		return s.acked.seq
	default:
		return max(s.leversSeq, s.acked.seq)
	}
}

// progress tells the fleet how far the proxy has come.
func (s *session) progress(acked, tried reached, current bool) {
	if current {
		s.behindSince = time.Time{}
	} else if s.behindSince.IsZero() {
		s.behindSince = s.server.now()
	}
	before, levered := s.acked.seq, s.told
	if acked.seq > s.acked.seq {
		s.acked = acked
	}
	news := tried.seq > s.tried.seq && s.parking || s.held != "" // held: which services it has may differ, too
	s.tried = s.tried.max(tried)
	if s.told = s.levered(); s.told != levered {
		s.fleet.moves.Add(1)
	}
	if s.acked.seq > before || s.told > levered || news {
		s.fleet.server.move()
		s.fleet.ackedUp(s)
	}
}
