package xds

import (
	"maps"
	"slices"
	"strings"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// A proxy that comes back with levers of a change that the store does not know is held: what it has may be a rollback that no disk took,
// of one service or of all, and nothing that it is sent may take that back. What somebody decides of a service from then on, a rollback
// above all, reaches it all the same, and of that service only: its levers travel in the readiness layer, which is above the layers that
// nobody knows. Once every service of the fleet is decided, there is nothing left to protect, and the proxy gets all it should have.

// checkStamp looks, on the first request of a resumed session, whether the store knows the levers that the proxy has.
func (s *session) checkStamp() {
	stamp := stampOf(s.kinds[levers].have.version(translate.TopLayer))
	if stamp != "" && s.server.knownStamp != nil && !s.server.knownStamp(s.fleet.name, stamp) && !s.fleet.config.Load().settled {
		s.held = stamp
	}
}

func stampOf(version string) string {
	_, stamp, _ := strings.Cut(version, "@")
	return stamp
}

// decide adds services to those that somebody has decided in this process. That nothing is left to be decided is found out where it may
// have changed only: a change of levers costs the same whatever the number of services.
func (c *config) decide(services []string, structural bool) {
	added := slices.ContainsFunc(services, func(service string) bool { return !c.decided[service] })
	if added {
		c.addDecided(services)
	}
	if added || structural {
		c.settled = c.allDecided()
	}
}

func (c *config) addDecided(services []string) {
	next := maps.Clone(c.decided)
	if next == nil {
		next = map[string]bool{}
	}
	for _, service := range services {
		next[service] = true
	}
	c.decided = next
}

// allDecided says whether somebody has decided every service that there is.
func (c *config) allDecided() bool {
	for _, services := range c.structure.services {
		for _, service := range services {
			if !c.decided[service] {
				return false
			}
		}
	}
	return len(c.structure.services) > 0
}

// Release lets the sessions go on that are held because their proxy has levers of an unknown change: somebody said what holds.
// It returns how many there were.
func (f *Fleet) Release() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.release(f.config.Load())
}

// release stores a config and lets held sessions go on with it: not with the one before, which may be what they were held from. The
// fleet's lock is held.
func (f *Fleet) release(next *config) (n int) {
	f.config.Store(next)
	for _, s := range f.sessions() {
		s.mu.Lock()
		if s.held != "" {
			s.held, s.kinds[levers].at = "", nil
			n++
		}
		s.mu.Unlock()
	}
	return n
}

// decided is what a held proxy acknowledged: the services whose levers it has on top, and the publication that they are of.
type decided struct {
	services map[string][]translate.Lever
	seq      int64
}

// has says whether these are all among them, as of a publication.
func (d decided) has(services []string, seq int64) bool {
	for _, service := range services {
		if !mapHas(d.services, service) {
			return false
		}
	}
	return len(services) > 0 && d.seq >= seq
}

// The version of a readiness layer with levers on top ends with whether its proxy is ready, which stays as it was, and with the services:
// a later process must know of which, for it does not know their levers.
const (
	onTopReady    = "+on:"
	onTopNotReady = "+off:"
)

// onTop reads the version of a readiness layer: the services whose levers it has on top, if any, and whether its proxy is ready.
func onTop(version string) (services []string, ready, above bool) {
	_, names, ready := strings.Cut(version, onTopReady)
	if _, others, not := strings.Cut(version, onTopNotReady); not {
		names, above = others, true
	}
	if above = above || ready; above {
		services = strings.Split(names, ",")
	}
	return services, ready, above
}

// heldLevers is what a held proxy may get: the levers of decided services, on top of all that it has.
func (s *session) heldLevers(c *config, w *want) *diff {
	state := &s.kinds[levers]
	w.exact, w.full = false, false
	if len(c.decided) == 0 || !state.names.has(translate.ReadyLayer) {
		return nothing
	}
	have := state.have.version(translate.ReadyLayer)
	before, ready, above := onTop(have)
	w.top = s.decidedLevers(c, w.layers, before)
	if len(w.top) == 0 {
		return nothing
	}
	r := readyWith(w.top, ready || !above && have == isReady.Version)
	if have != r.Version {
		return &diff{upserts: []*item{wrap(r)}}
	}
	if state.sent == nil {
		s.decided = decided{w.top, c.seq}
	}
	return nothing
}

// decidedLevers are the levers of the services that are decided, as they are right for this proxy. Of a service of which it has structure
// that nobody knows, only those of a rollback are: everything to the primary. That is what services get, too, which it has on top
// since a former process and which nobody has decided in this one.
func (s *session) decidedLevers(c *config, l *layers, before []string) map[string][]translate.Lever {
	all, back := map[string][]translate.Lever{}, map[string][]translate.Lever{}
	for service := range c.decided {
		if levers := l.tables.of(service); len(levers) > 0 {
			all[service] = levers
			if toPrimary(levers) {
				back[service] = levers
			}
		}
	}
	for _, service := range before {
		if levers := l.tables.of(service); len(levers) > 0 && !c.decided[service] {
			back[service] = rolledBack(levers)
		}
	}
	out := map[string][]translate.Lever{}
	if s.recognised {
		out = l.services(all)
	}
	for service, levers := range back {
		if !mapHas(out, service) {
			out[service] = levers
		}
	}
	return out
}

// of returns the levers of a service, wherever they are.
func (t *leverTables) of(service string) []translate.Lever {
	if levers, ok := t.recent[service]; ok {
		return levers
	}
	return t.based[translate.LayerOf(service)][service]
}

// toPrimary says whether these levers send everything to the primary, pinned requests to other origins aside.
func toPrimary(levers []translate.Lever) bool {
	for _, l := range levers {
		if !l.Fraction && !l.Primary && l.Value > 0 {
			return false
		}
	}
	return true
}

// rolledBack sends everything to the primary.
func rolledBack(levers []translate.Lever) []translate.Lever {
	out := slices.Clone(levers)
	for i := range out {
		if out[i].Value = 0; out[i].Primary {
			out[i].Value = uint32(policy.Whole)
		}
	}
	return out
}

// readyWith is the readiness layer with levers on top.
func readyWith(services map[string][]translate.Lever, ready bool) translate.Resource {
	value, suffix := uint32(0), onTopNotReady
	if ready {
		value, suffix = translate.On, onTopReady
	}
	all := []translate.Lever{{Key: translate.ReadyKey, Value: value, Fraction: true}}
	for _, service := range sortedKeys(services) {
		all = append(all, services[service]...)
	}
	r := translate.Layer(translate.ReadyLayer, all)
	r.Version += suffix + strings.Join(sortedKeys(services), ",")
	return r
}

var isReady = wrap(translate.Ready(true))
