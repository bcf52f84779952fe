package xds

import (
	"slices"
	"strings"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// reduced is the structure that a proxy can have which refused some of it: what is parked, and all of the services that it belongs to, is
// left as the proxy has it; the rest is the fleet's. So a service that one proxy refuses keeps nobody from changes of the others.
type reduced struct {
	*structure
	of      *structure      // reduced from
	blocked map[string]bool // services that are left as they are
}

// reduce returns what is left of a structure for this proxy, nil if it refused nothing of it.
func (s *session) reduce(c *config, whole *structure) *reduced {
	if !s.parking {
		return nil
	}
	if s.reduced != nil && s.reduced.of == whole {
		return s.reduced
	}
	s.parking = s.unpark(whole)
	if !s.parking {
		s.reduced = nil
		return nil
	}
	r := &reduced{of: whole, blocked: s.blockedServices(c, whole)}
	parked := func(k kind) func(string) bool {
		return func(name string) bool { return mapHas(s.kinds[k].parked, name) }
	}
	l := s.leave(listeners, whole.listenersAt(s.places), parked(listeners))
	// Nobody asks for the routes of a listener that is not there.
	unheard := func(name string) bool {
		return s.kinds[routes].have.version(name) == "" && l.version(name) == ""
	}
	rc := s.leave(routes, whole.routes, func(name string) bool { return parked(routes)(name) || unheard(name) })
	for _, name := range whole.virtualHosts.names {
		if rc.version(routeConfigurationOf(name)) == "" {
			r.block(whole.services[name])
		}
	}
	s.spread(c, r)
	ofBlocked := func(virtualHost string) bool {
		return slices.ContainsFunc(c.servicesOf(whole, virtualHost), func(service string) bool { return r.blocked[service] })
	}
	// A virtual host that it refuses to let go of, or to change, may name any cluster that is gone, if nobody knows its content.
	unknown := s.strange && len(s.kinds[virtualHosts].parked) > 0
	unserved := func(virtualHost string) bool { return rc.version(routeConfigurationOf(virtualHost)) == "" }
	r.structure = &structure{
		source: whole.source, services: whole.services, routes: rc, listeners: map[places]*table{s.places: l},
		virtualHosts: s.leave(virtualHosts, whole.virtualHosts, func(name string) bool {
			return parked(virtualHosts)(name) || unserved(name) || ofBlocked(name)
		}),
		clusters: s.leave(clusters, whole.clusters, func(name string) bool {
			return parked(clusters)(name) || r.blocked[serviceOf(name)] || unknown && whole.clusters.version(name) == "" ||
				name == policy.ComparatorCluster && r.mayCopy()
		}),
	}
	s.reduced = r
	return r
}

// mayCopy says whether only services that are left as they are may have routes that copy requests: no mirror runs any more.
func (r *reduced) mayCopy() bool {
	return len(r.blocked) > 0 && r.of.clusters.version(policy.ComparatorCluster) == ""
}

func (r *reduced) block(services []string) {
	for _, service := range services {
		r.blocked[service] = true
	}
}

// serviceOf returns the service of a cluster: "SERVICE/ORIGIN", "SERVICE/ORIGIN@shadow", or "SERVICE.SERVICE/ORIGIN" as
// [policy.EitherClusterName] has it. No service has a dot in its name.
func serviceOf(cluster string) string {
	service, _, _ := strings.Cut(cluster, "/")
	return service[strings.LastIndexByte(service, '.')+1:]
}

// structural are the kinds that a structure is made of.
var structural = [...]kind{clusters, listeners, routes, virtualHosts}

// unpark forgets what is no longer wanted as it was refused, and says whether anything stays parked.
func (s *session) unpark(whole *structure) (any bool) {
	for _, k := range structural {
		parked, to := s.kinds[k].parked, whole.table(k, s.places)
		for name, version := range parked {
			if to.version(name) != version {
				delete(parked, name)
			}
		}
		any = any || len(parked) > 0
	}
	return any
}

// blockedServices are those that a parked cluster or virtual host belongs to.
func (s *session) blockedServices(c *config, whole *structure) map[string]bool {
	r := reduced{blocked: map[string]bool{}}
	for cluster := range s.kinds[clusters].parked {
		r.block([]string{serviceOf(cluster)})
	}
	for virtualHost := range s.kinds[virtualHosts].parked {
		r.block(c.servicesOf(whole, virtualHost))
	}
	return r.blocked
}

// spread blocks what shares a virtual host with a blocked service, one that the proxy keeps as it has it: all of the services in it are to
// be as they were, too, or its routes would name clusters that are gone, and levers that are for others.
func (s *session) spread(c *config, r *reduced) {
	have := &s.kinds[virtualHosts].have
	var kept [][]string
	for _, name := range have.names() {
		if services := c.servicesOf(r.of, name); len(services) > 1 && have.version(name) != r.of.virtualHosts.version(name) {
			kept = append(kept, services)
		}
	}
	for before := -1; before < len(r.blocked); {
		before = len(r.blocked)
		for _, services := range kept {
			if slices.ContainsFunc(services, func(service string) bool { return r.blocked[service] }) {
				r.block(services)
			}
		}
	}
}

// leave returns a table in which some names are as the proxy has them: in another version, there although they should be gone, or not there.
func (s *session) leave(k kind, whole *table, left func(name string) bool) *table {
	have := &s.kinds[k].have
	out := &table{byName: make(map[string]*item, len(whole.names)), names: make([]string, 0, len(whole.names))}
	add := func(i *item) {
		out.byName[i.Name] = i
		out.names = append(out.names, i.Name)
	}
	for _, name := range whole.names {
		if i := whole.byName[name]; !left(name) || i.Version == have.version(name) {
			add(i)
		} else if v := have.version(name); v != "" {
			add(asHeld(name, v))
		}
	}
	for _, name := range have.names() {
		if whole.version(name) == "" && left(name) {
			add(asHeld(name, have.version(name)))
		}
	}
	slices.Sort(out.names)
	return out.reuse(whole)
}

// asHeld stands for what a proxy has and is never sent.
func asHeld(name, version string) *item {
	return &item{Resource: &discovery.Resource{Name: name, Version: version}}
}

// withoutHeld leaves out what only stands for what the proxy has: it asked for it again, and nobody has its content any more.
func (w *want) withoutHeld() {
	held := func(i *item) bool { return i.wire == nil }
	if slices.ContainsFunc(w.delta.upserts, held) {
		w.delta = &diff{upserts: slices.DeleteFunc(slices.Clone(w.delta.upserts), held), removals: w.delta.removals}
		w.exact, w.full = false, false
	}
}

// arrive notes that the proxy has the structure, but for the services that it blocks: of those it has what it had.
func (s *session) arrive(seq int64) {
	var blocked map[string]bool
	if s.reduced != nil {
		blocked = s.reduced.blocked
	}
	behind, stale := make(map[string]int64, len(blocked)), map[string]bool{}
	for service := range blocked {
		behind[service] = s.structureSeq
		if at, was := s.behind[service]; was {
			behind[service] = at
		}
		if s.stale[service] {
			stale[service] = true
		}
	}
	s.structureSeq, s.behind, s.stale, s.strange = seq, behind, stale, s.strange && len(s.kinds[virtualHosts].parked) > 0
}

// arrived says whether there is nothing new to [session.arrive] at.
func (s *session) arrived(seq int64) bool {
	if s.structureSeq < seq {
		return false
	}
	for service := range s.behind {
		if s.reduced == nil || !s.reduced.blocked[service] {
			return false
		}
	}
	return true
}

// settledSeq is the publication whose structure the proxy has in full.
func settledSeq(structureSeq int64, behind map[string]int64) int64 {
	for _, seq := range behind {
		structureSeq = min(structureSeq, seq)
	}
	return structureSeq
}
