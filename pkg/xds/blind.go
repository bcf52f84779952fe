package xds

import "slices"

// blind says whether the proxy has a cluster that is to change, while nothing is known of its endpoints, since their source has not answered
// since this server began. Envoy would put the changed one in use without any: what it has serves on until something is known.
func (s *session) blind(c *config, r *item) bool {
	have := s.kinds[clusters].have.version(r.Name)
	return r.eds && have != "" && have != r.Version && c.endpoints.version(r.Name) == ""
}

// blindClusters names the clusters whose change waits for endpoints. The session's lock is held.
func (s *session) blindClusters() (names []string) {
	if s.fleet == nil || !s.kinds[clusters].asked {
		return nil
	}
	c := s.fleet.config.Load()
	for _, r := range s.kinds[clusters].have.missing(s.structure(c).clusters, s.fleet.deltas.between).upserts {
		if s.blind(c, r) {
			names = append(names, r.Name)
		}
	}
	return names
}

func (s *session) withoutBlind(c *config, w *want, d *diff) *diff {
	blind := func(r *item) bool { return s.blind(c, r) }
	if !slices.ContainsFunc(d.upserts, blind) {
		return d
	}
	w.exact, w.full = false, false
	return &diff{upserts: slices.DeleteFunc(slices.Clone(d.upserts), blind), removals: d.removals}
}
