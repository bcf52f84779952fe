package xds

import (
	"slices"

	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// narrowLevers holds the layers until it is known what structure a resumed proxy has, sends base layers before the top layer, and
// the readiness layer on only when the proxy has everything.
func (s *session) narrowLevers(c *config, w *want, d *diff) *diff {
	state := &s.kinds[levers]
	if s.held != "" {
		return s.heldLevers(c, w)
	}
	if state.resumed && !s.recognised {
		w.exact, w.full = false, false
		return &diff{}
	}
	full := w.full
	out := s.onlySubscribed(levers, c, w, d)
	w.full = full // layers that the bootstrap lacks make the proxy incompatible, not behind
	out = s.withReady(w, out)
	w.top = w.layers.top
	at := slices.IndexFunc(out.upserts, func(r *item) bool { return r.Name == translate.TopLayer })
	if at < 0 || len(out.upserts) == 1 || state.have.version(translate.TopLayer) == "" {
		return out
	}
	top := &diff{upserts: out.upserts[at : at+1 : at+1]}
	base := &diff{upserts: slices.Delete(slices.Clone(out.upserts), at, at+1), removals: out.removals}
	w.exact, w.full = false, false
	if base = s.coveredBase(w.layers, base); base.empty() {
		return top
	}
	return base
}

// coveredBase returns base layers as they can be sent before the top one. What the top layer of the proxy does not cover yet would be
// seen out of date, so it is overlaid with what the top one will say.
func (s *session) coveredBase(l *layers, base *diff) *diff {
	uncovered := map[string]bool{}
	for service := range l.top {
		if !mapHas(s.top, service) {
			uncovered[translate.LayerOf(service)] = true
		}
	}
	out := &diff{removals: base.removals}
	for _, r := range base.upserts {
		if uncovered[r.Name] {
			r = l.overlaid(r.Name)
		}
		if s.kinds[levers].have.version(r.Name) != r.Version {
			out.upserts = append(out.upserts, r)
		}
	}
	return out
}

// recognise settles, once a resumed proxy has told what it has, with which structure its levers must be right.
func (s *session) recognise(c *config) {
	if s.recognised || !s.kinds[levers].resumed || !s.heard() {
		return
	}
	s.recognised = true
	for _, k := range []kind{clusters, listeners, routes, virtualHosts} {
		if !s.kinds[k].have.missing(s.table(k, c), s.fleet.deltas.between).empty() {
			return
		}
	}
	s.arrive(c.structureSeq)
}

// heard says whether the proxy has told what structure it has.
func (s *session) heard() bool {
	if s.server.now().Sub(s.connected) > hearingTime {
		return true
	}
	l, v := &s.kinds[listeners], &s.kinds[virtualHosts]
	return l.asked && (!l.resumed || v.asked)
}

// withReady replaces the readiness layer by one that is off until the proxy has everything. Once on, it is left on.
func (s *session) withReady(w *want, d *diff) *diff {
	if s.complete {
		return d
	}
	out := &diff{removals: d.removals}
	differs := false
	for _, r := range d.upserts {
		if r.Name != translate.ReadyLayer {
			out.upserts = append(out.upserts, r)
			continue
		}
		differs = true
	}
	if !differs {
		return out
	}
	w.exact = false
	have := s.kinds[levers].have.version(translate.ReadyLayer)
	switch _, ready, above := onTop(have); {
	case have == "":
		out.upserts = append(out.upserts, notReady)
	case above && len(out.upserts) > 0: // levers from when it was held go only when all below them is right
		w.full = false
	case above && ready:
		out.upserts = append(out.upserts, isReady)
	case above:
		out.upserts = append(out.upserts, notReady)
	}
	return out
}

var notReady = wrap(translate.Ready(false))
