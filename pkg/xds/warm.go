package xds

import "slices"

// warm says whether every cluster has endpoints. They need not be the latest: under steady change they never are.
func (s *session) warm(c *config) bool {
	e := &s.kinds[endpoints]
	if e.inSync {
		return true
	}
	if !e.asked || len(e.fresh) > 0 {
		return false
	}
	return !slices.ContainsFunc(s.structure(c).clusters.names, func(name string) bool {
		return c.endpoints.version(name) != "" && e.have.version(name) == ""
	})
}

// rewarm makes the endpoints of changed clusters be sent again. Envoy puts a changed cluster in use, and acknowledges it, only when
// endpoints have arrived after it, and does not ask for them: it subscribed to that name before.
func (s *session) rewarm(changed []*item) {
	for _, r := range changed {
		if s.kinds[clusters].have.version(r.Name) != "" {
			s.kinds[endpoints].ask(r.Name)
		}
	}
}

// rewarmAll makes all endpoints be sent again to a proxy that came back, has said what it has, and asks for no clusters: Envoy does not while one of them waits
// for endpoints, which the stream before owed it, see [session.rewarm]. Which one that is, nobody knows any more. Endpoints that are not known yet are
// sent when they are: to say that there are none would put a cluster without any in use.
func (s *session) rewarmAll(c *config) {
	e, l := &s.kinds[endpoints], &s.kinds[listeners]
	if s.rewarmed || !e.resumed || !l.asked || l.resumed && !s.kinds[virtualHosts].asked {
		return
	}
	s.rewarmed = true
	if s.kinds[clusters].asked {
		return
	}
	e.at = nil
	for _, name := range e.names {
		if c.endpoints.version(name) == "" {
			e.have.set(name, "")
		} else {
			e.ask(name)
		}
	}
}
