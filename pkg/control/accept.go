package control

import (
	"context"
	"net/netip"
	"slices"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/discovery/tracker"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// AcceptEndpoints lets go of the endpoints of an origin that are held, once it is recorded who said so. It returns them. Where none are held,
// nothing is recorded.
func (c *Controller) AcceptEndpoints(ctx context.Context, service, origin string, o Options) (*crossfadev1.Change, []*crossfadev1.Endpoint, error) {
	target, err := c.discovered(service, origin)
	if err != nil {
		return nil, nil, err
	}
	accept := &acceptance{key: tracker.Key{Service: service, Origin: origin}}
	change, err := one(c.change(ctx, o, func(live *intent) ([]edit, error) {
		s := live.services.At(service)
		if s == nil {
			return nil, notFound("service", service)
		}
		e := edit{key: store.ObjectKey{Kind: kindService, Name: service}, after: serviceDocument(s.doc)}
		if accept.see(c.endpoints.tracker); len(accept.seen) > 0 { // else there is no change
			e.action, e.accept = ActionAccept, accept
		}
		return []edit{e}, nil
	}))
	if err != nil {
		return nil, nil, err
	}
	if n := len(accept.accepted); n > 0 {
		c.log.InfoContext(ctx, "endpoints that were held are gone, for somebody accepted it", "service", service, "origin", origin, "accepted", n, "who", o.Who)
	}
	out := make([]*crossfadev1.Endpoint, len(accept.accepted))
	for i := range accept.accepted {
		out[i] = endpointOf(service, target, &accept.accepted[i], c.now())
	}
	return change, out, nil
}

// acceptance lets go of the endpoints of an origin that were held when it was asked for, once its revision is written and before that is
// published: so its answer says which proxies no longer have them.
type acceptance struct {
	key      tracker.Key
	seen     []netip.AddrPort
	accepted []discovery.Tracked
}

func (a *acceptance) see(t *tracker.Tracker) {
	if a.seen != nil {
		return // the plan is made anew; what is meant stays
	}
	status, _ := t.Status(a.key)
	for i := range status.Endpoints {
		if e := &status.Endpoints[i]; e.State == discovery.StateHeld {
			a.seen = append(a.seen, e.Address)
		}
	}
}

func (a *acceptance) run(t *tracker.Tracker) {
	a.accepted, _ = t.Accept(a.key, a.seen) // an origin that is no longer followed has none
}

// discovered returns an origin whose endpoints are discovered.
func (c *Controller) discovered(service, origin string) (*policy.Origin, error) {
	s := c.snapshot().services.At(service)
	if s == nil {
		return nil, notFound("service", service)
	}
	o, err := originOf(s.compiled, origin)
	if err != nil {
		return nil, err
	}
	if !o.Discovered() {
		return nil, &policy.Error{
			Kind: policy.Invalid, Code: "not_discovered", Field: "origin", Value: origin,
			Message: "its endpoints come from " + o.Source() + ": none are ever held",
		}
	}
	return o, nil
}

// originOf returns an origin of a service; the error names those there are.
func originOf(s *policy.Service, origin string) (*policy.Origin, error) {
	if i := slices.IndexFunc(s.Origins, func(o policy.Origin) bool { return o.Name == origin }); i >= 0 {
		return &s.Origins[i], nil
	}
	var names []string
	for i := range s.Origins {
		names = append(names, s.Origins[i].Name)
	}
	return nil, &policy.Error{
		Kind: policy.NotFound, Code: "origin_unknown", Field: "origin", Value: origin,
		Message: "service " + s.Name + " has no origin of this name", Next: "its origins are " + brief(names),
	}
}
