package control

import (
	"context"
	"maps"
	"slices"
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
}

func (c *Controller) openEndpoints(d Discovery) {
	c.endpoints.watch = d.Watch
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
			k := tracker.Key{Service: now.Name, Origin: o.Name}
			was := before[o.Name]
			if !o.Discovered() {
				if was != nil {
					e.news.changed(k)
				}
				continue
			}
			delete(before, o.Name)
			if was == nil || was.Source() != o.Source() {
				e.tracker.Follow(k, o.Source(), e.watchOf(o), written(was))
				anew = append(anew, k)
			}
		}
	}
	for name, o := range before {
		if k := (tracker.Key{Service: old.Name, Origin: name}); o.Discovered() {
			e.tracker.Forget(k)
		} else {
			e.news.changed(k)
		}
	}
	return anew
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
	tracked, known := e.tracker.Endpoints(tracker.Key{Service: service, Origin: o.Name})
	out := make([]translate.Endpoint, len(tracked))
	for i := range tracked {
		t := &tracked[i]
		out[i] = translate.Endpoint{Address: t.Address, Zone: t.Zone, Draining: t.State == discovery.StateDraining}
	}
	return out, known || len(out) > 0
}

// resources returns the endpoints of all origins of a service. An origin of which nothing is known has none: proxies then keep what they
// have.
func (e *endpoints) resources(s *policy.Service) []translate.Resource {
	out := make([]translate.Resource, 0, len(s.Origins))
	for i := range s.Origins {
		if all, known := e.of(s.Name, &s.Origins[i]); known {
			out = append(out, translate.Endpoints(s.Name, s.Origins[i].Name, all))
		}
	}
	return out
}

// ofFleet returns the endpoints of all services of a fleet.
func (e *endpoints) ofFleet(in *intent, fleet string) []translate.Resource {
	var out []translate.Resource
	for _, s := range in.of(fleet) {
		out = append(out, e.resources(s.compiled)...)
	}
	return out
}

// publishEndpoints sends what has changed to the fleets. It is no revision: nobody's intent changed.
func (c *Controller) publishEndpoints(keys []tracker.Key) {
	c.order.Lock()
	defer c.order.Unlock()
	updates := map[string]*xds.Update{}
	c.mu.RLock()
	revision := c.live.revision
	for _, k := range keys {
		s := c.live.services.At(k.Service)
		if s == nil {
			continue // deleted meanwhile
		}
		i := slices.IndexFunc(s.compiled.Origins, func(o policy.Origin) bool { return o.Name == k.Origin && o.Discovered() })
		if i < 0 {
			continue
		}
		all, known := c.endpoints.of(k.Service, &s.compiled.Origins[i])
		if !known {
			continue
		}
		for _, fleet := range s.compiled.Fleets {
			u := updateFor(updates, fleet)
			u.Endpoints = append(u.Endpoints, translate.Endpoints(k.Service, k.Origin, all))
		}
	}
	c.mu.RUnlock()
	for _, fleet := range slices.Sorted(maps.Keys(updates)) {
		u := updates[fleet]
		u.Revision = revision
		c.send(fleet, *u).waiter.Close()
	}
}
