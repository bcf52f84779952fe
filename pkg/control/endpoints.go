package control

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/discovery/tracker"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// Discovery says how the endpoints of origins are found that are not in the document. The zero value finds none.
type Discovery struct {
	// Watch returns what watches the endpoints of an origin, for which [policy.Origin.Discovered] holds. Its error says why that cannot be,
	// for example because no cluster of that name is configured; an apply is then refused.
	Watch func(*policy.Origin) (tracker.Watch, error)
	// File is where what is known is kept over a restart; empty: nowhere.
	File string
	// Rules say which shrinks are doubted. The zero value has those of the tracker.
	Rules discovery.Rules
}

// endpoints finds out and remembers the endpoints of all origins.
type endpoints struct {
	watch   func(*policy.Origin) (tracker.Watch, error)
	tracker *tracker.Tracker
	news    tidings

	mu sync.Mutex
	// resolved are origins whose endpoints the proxies have looked up until now: they keep that cluster until the source names an endpoint.
	resolved map[tracker.Key]bool
}

func (c *Controller) openEndpoints(d Discovery) {
	c.endpoints.watch, c.endpoints.resolved = d.Watch, map[tracker.Key]bool{}
	if d.Watch == nil {
		c.endpoints.watch = func(o *policy.Origin) (tracker.Watch, error) {
			return nil, &policy.Error{Kind: policy.Invalid, Code: "discovery_missing", Message: "this server finds no endpoints of " + o.SourceKind() + " origins"}
		}
	}
	c.endpoints.tracker = tracker.New(tracker.Config{
		Rules: d.Rules, File: d.File, Log: c.log, Now: c.now,
		Changed:       c.publishEndpoints,
		StatusChanged: c.endpoints.news.changed,
	})
}

// firstLook is how long the answer to a change waits for what a source says of origins that are new.
const firstLook = 2 * time.Second

// awaitEndpoints waits until the origins that a change brought have been looked at once, so that its answer can say what was found.
func (c *Controller) awaitEndpoints(ctx context.Context, ch *change) {
	if len(ch.anew) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, firstLook)
	defer cancel()
	c.endpoints.tracker.AwaitLook(ctx, ch.anew...)
}

// follow makes the tracker follow the origins of a service as they are now, instead of as they were; either may be nil. It returns those that
// are followed anew. It waits for nobody.
func (e *endpoints) follow(old, now *policy.Service) []tracker.Key {
	before := map[string]*policy.Origin{}
	var anew []tracker.Key
	if old != nil {
		for i := range old.Origins {
			before[old.Origins[i].Name] = &old.Origins[i]
		}
	}
	if now != nil {
		for i := range now.Origins {
			o := &now.Origins[i]
			was := before[o.Name]
			delete(before, o.Name)
			if k := (tracker.Key{Service: now.Name, Origin: o.Name}); e.change(k, was, o) {
				anew = append(anew, k)
			}
		}
	}
	for name, was := range before {
		e.change(tracker.Key{Service: old.Name, Origin: name}, was, nil)
	}
	return anew
}

// change makes the tracker follow an origin as it is now; was and now are nil where it is new or gone. It says whether it is followed anew.
func (e *endpoints) change(k tracker.Key, was, now *policy.Origin) bool {
	if now != nil && now.Discovered() {
		if was != nil && was.Source() == now.Source() {
			return false
		}
		e.mu.Lock()
		delete(e.resolved, k)
		if was != nil && was.DNS != nil {
			e.resolved[k] = true
		}
		e.mu.Unlock()
		e.tracker.Follow(k, now.Source(), e.watchOf(now), written(was))
		return true
	}
	if was != nil && was.Discovered() {
		e.tracker.Forget(k)
	}
	e.news.changed(k)
	return false
}

// written are the endpoints that a document names.
func written(o *policy.Origin) []discovery.Endpoint {
	if o == nil {
		return nil
	}
	var out []discovery.Endpoint
	for _, a := range o.Static {
		out = append(out, discovery.Endpoint{Address: a, State: discovery.Ready})
	}
	return out
}

// watchOf is what watches an origin: where that cannot be, it tells why.
func (e *endpoints) watchOf(o *policy.Origin) tracker.Watch {
	watch, err := e.watch(o)
	if err == nil {
		return watch
	}
	return func(ctx context.Context, tell func(discovery.Look)) error {
		tell(discovery.Look{At: time.Now(), Err: err})
		<-ctx.Done()
		return ctx.Err()
	}
}

// of returns the endpoints of an origin as proxies get them, and whether anything is known of them.
func (e *endpoints) of(service string, o *policy.Origin) ([]translate.Endpoint, bool) {
	if !o.Discovered() {
		return translate.Static(o.Static), o.DNS == nil
	}
	tracked, known := e.tracked(service, o.Name)
	return forProxies(tracked), known
}

// tracked returns what is believed of an origin that is discovered, and whether it may be sent.
func (e *endpoints) tracked(service, origin string) ([]discovery.Tracked, bool) {
	k := tracker.Key{Service: service, Origin: origin}
	all, known := e.tracker.Endpoints(k)
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(all) > 0 {
		delete(e.resolved, k)
	}
	return all, len(all) > 0 || known && !e.resolved[k]
}

// isResolved says whether proxies look the endpoints of an origin up as before, since its source has named none yet.
func (e *endpoints) isResolved(k tracker.Key) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.resolved[k]
}

func forProxies(tracked []discovery.Tracked) []translate.Endpoint {
	out := make([]translate.Endpoint, len(tracked))
	for i := range tracked {
		t := &tracked[i]
		out[i] = translate.Endpoint{Address: t.Address, Zone: t.Zone, Draining: t.State == discovery.StateDraining}
	}
	return out
}

// resources returns the endpoints of all origins of a service. An origin of which nothing is known has none: proxies then keep what they
// have.
func (e *endpoints) resources(s *policy.Service) []translate.Resource {
	out := make([]translate.Resource, 0, len(s.Origins))
	for i := range s.Origins {
		if all, known := e.of(s.Name, &s.Origins[i]); known {
			out = append(out, translate.Endpoints(s.Name, s.Origins[i].Name, all))
			if asksAgain(s.Mirror, s.Origins[i].Name) {
				out = append(out, translate.ShadowEndpoints(s.Name, s.Origins[i].Name, all))
			}
		}
	}
	return out
}

// target is an origin whose endpoints are to be sent, and where.
type target struct {
	service string
	origin  *policy.Origin
	fleets  []string
	again   bool // a mirror asks it as well
}

// asksAgain says whether a mirror, which may be nil, asks an origin.
func asksAgain(m *policy.Mirror, origin string) bool {
	return m != nil && (m.Control == origin || m.Candidate == origin)
}

// publishEndpoints sends what has changed to the fleets. It is no revision: nobody's intent changed. The resources are made before publications
// are held up, and once more only where something has changed meanwhile: a rollback does not wait for 10,000 endpoints.
func (c *Controller) publishEndpoints(keys []tracker.Key) {
	made := map[tracker.Key]madeEndpoints{}
	for k, t := range c.discoveredOf(keys) {
		made[k] = c.endpoints.make(t)
	}
	c.order.Lock()
	defer c.order.Unlock()
	updates := map[string]*xds.Update{}
	for k, t := range c.discoveredOf(keys) { // some may have been deleted
		m, ok := made[k]
		if !ok || !c.endpoints.still(t, m) {
			m = c.endpoints.make(t)
		}
		for _, fleet := range t.fleets {
			if m.known {
				u := updateFor(updates, fleet)
				u.Endpoints = append(u.Endpoints, m.resources...)
			}
		}
	}
	revision := c.Revision()
	for _, fleet := range slices.Sorted(maps.Keys(updates)) {
		u := updates[fleet]
		u.Revision = revision
		c.send(fleet, *u).waiter.Close()
	}
}

// discoveredOf returns those of the origins that are live and discovered.
func (c *Controller) discoveredOf(keys []tracker.Key) map[tracker.Key]target {
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := map[tracker.Key]target{}
	for _, k := range keys {
		s := c.live.services.At(k.Service)
		if s == nil {
			continue
		}
		if o, err := originOf(s.compiled, k.Origin); err == nil && o.Discovered() {
			out[k] = target{k.Service, o, s.compiled.Fleets, asksAgain(s.compiled.Mirror, k.Origin)}
		}
	}
	return out
}

// madeEndpoints are the resources of an origin, and what they were made of.
type madeEndpoints struct {
	tracked   []discovery.Tracked
	known     bool
	again     bool // what mirrors ask is in it
	resources []translate.Resource
}

func (e *endpoints) make(t target) madeEndpoints {
	m := madeEndpoints{again: t.again}
	if m.tracked, m.known = e.tracked(t.service, t.origin.Name); m.known {
		all := forProxies(m.tracked)
		m.resources = []translate.Resource{translate.Endpoints(t.service, t.origin.Name, all)}
		if t.again {
			m.resources = append(m.resources, translate.ShadowEndpoints(t.service, t.origin.Name, all))
		}
	}
	return m
}

// still says whether a resource is what would be made now. The tracker never changes what it returned.
func (e *endpoints) still(t target, m madeEndpoints) bool {
	now, known := e.tracked(t.service, t.origin.Name)
	return known == m.known && t.again == m.again && len(now) == len(m.tracked) && (len(now) == 0 || &now[0] == &m.tracked[0])
}
