package control

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/discovery/tracker"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// The states of what is known of an origin's endpoints.
const (
	OriginOK       = "ok"
	OriginWaiting  = "waiting"  // nothing was heard of the source yet
	OriginFailing  = "failing"  // the source cannot be asked
	OriginHeld     = "held"     // a shrink is not believed yet
	OriginEmpty    = "empty"    // there are none
	OriginResolved = "resolved" // each proxy looks them up
)

// troubled says whether somebody should look at an origin.
func troubled(o *crossfadev1.OriginStatus) bool {
	return o.GetState() != OriginOK && o.GetState() != OriginResolved
}

// origin says how well the endpoints of an origin are known.
func (e *endpoints) origin(service string, o *policy.Origin, now time.Time) *crossfadev1.OriginStatus {
	out := &crossfadev1.OriginStatus{Service: service, Origin: o.Name, Source: o.Source(), State: OriginOK}
	switch {
	case o.DNS != nil:
		out.State, out.Detail = OriginResolved, "each proxy looks the name up by itself"
		return out
	case !o.Discovered():
		out.Ready = int32(len(o.Static))
		return out
	}
	s, _ := e.tracker.Status(tracker.Key{Service: service, Origin: o.Name})
	out.Ready, out.Draining, out.Held = int32(s.Ready), int32(s.Draining), int32(s.Held)
	out.HeldSince, out.FailingSince, out.Error = stamp(s.HeldSince), stamp(s.FailingSince), errorDetail(s.Err)
	if !s.Looked.IsZero() {
		out.AgeMs = milliseconds(max(0, now.Sub(s.Looked)))
	}
	out.State, out.Detail = stateOf(&s, service, o.Name, e.isResolved(s.Key))
	return out
}

// stateOf is the worst that can be said of an origin.
func stateOf(s *tracker.Status, service, origin string, resolved bool) (state, detail string) {
	used := s.Ready + s.Draining + s.Held
	switch {
	case s.Err != nil:
		detail = sentence(s.Err)
		if used > 0 {
			detail += ". What was known last is used on: " + counted(used, "endpoint")
		}
		return OriginFailing, detail
	case resolved:
		return OriginWaiting, "the source has named no endpoint yet: until then proxies look the name up that it had before"
	case s.Restored:
		return OriginWaiting, "the source has not answered since the start: " + counted(used, "endpoint") + " from before it are used on"
	case used > 0 && s.From != s.Source:
		return OriginWaiting, "the source has named no endpoint that takes requests yet: until then " + counted(used, "endpoint") + " that the origin had before are used"
	case !s.Known:
		return OriginWaiting, "the source has not answered yet"
	case s.Held > 0:
		return OriginHeld, fmt.Sprintf("its source no longer names %d of %s, unannounced and too many at once to be believed: they are used on; if they are meant to be gone: `shadowctl endpoints accept %s %s`",
			s.Held, counted(used, "endpoint"), service, origin)
	case s.Ready == 0 && s.Draining > 0:
		return OriginEmpty, "all its endpoints were told to stop; requests go to them all the same, since there are no others"
	case s.Ready == 0:
		return OriginEmpty, "there is no endpoint: requests are answered 503"
	}
	return OriginOK, ""
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// sentence is an error with what to do next.
func sentence(err error) string {
	d := errorDetail(err)
	if d.GetNext() == "" {
		return d.GetMessage()
	}
	return d.GetMessage() + "; " + d.GetNext()
}

// printable makes a text of somebody else one that an answer can hold: protobuf refuses what is not UTF-8.
func printable(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func errorDetail(err error) *crossfadev1.ErrorDetail {
	var e *policy.Error
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &e):
		return &crossfadev1.ErrorDetail{Code: "discovery_failed", Message: printable(err.Error())}
	}
	return &crossfadev1.ErrorDetail{Code: e.Code, Field: e.Field, Value: printable(e.Value), Message: printable(e.Message), Next: e.Next}
}

// origins says how well the endpoints of each origin of a service are known, in the order of the document.
func (e *endpoints) origins(s *policy.Service, now time.Time) []*crossfadev1.OriginStatus {
	out := make([]*crossfadev1.OriginStatus, len(s.Origins))
	for i := range s.Origins {
		out[i] = e.origin(s.Name, &s.Origins[i], now)
	}
	return out
}

// compared is the same, and says which origins have addresses in common. It goes through all of them.
func (e *endpoints) compared(s *policy.Service, now time.Time) []*crossfadev1.OriginStatus {
	out := e.origins(s, now)
	first := map[netip.AddrPort]int{}
	for i := range s.Origins {
		all, _ := e.of(s.Name, &s.Origins[i])
		shared := map[int]int{}
		for _, x := range all {
			if j, taken := first[x.Address]; taken && j != i {
				shared[j]++
			} else {
				first[x.Address] = i
			}
		}
		for j := range i {
			if n := shared[j]; n > 0 {
				sharing(out[i], out[j], n)
			}
		}
	}
	return out
}

// sharing says that an origin has addresses in common with another.
func sharing(o, other *crossfadev1.OriginStatus, n int) {
	if o.Detail != "" {
		o.Detail += ". "
	}
	addresses := "1 address"
	if n > 1 {
		addresses = fmt.Sprintf("%d addresses", n)
	}
	o.Detail += fmt.Sprintf("%s in common with %s: moving traffic between the two moves nothing there", addresses, other.GetOrigin())
}

// Origins says how well the endpoints of origins are known: of one service, or of all if none is named; of one origin of it, if named.
func (c *Controller) Origins(service, origin string) ([]*crossfadev1.OriginStatus, error) {
	services, err := c.servicesFor(service, origin)
	if err != nil {
		return nil, err
	}
	var out []*crossfadev1.OriginStatus
	for _, s := range services {
		for _, o := range c.endpoints.compared(s, c.now()) {
			if origin == "" || o.GetOrigin() == origin {
				out = append(out, o)
			}
		}
	}
	return out, nil
}

// AllOrigins says how well the endpoints of every origin are known, at little cost.
func (c *Controller) AllOrigins() []*crossfadev1.OriginStatus { return c.originsOf("") }

// Troubled returns the origins whose endpoints somebody should look at, of the services of a fleet, or of all.
func (c *Controller) Troubled(fleet string) []*crossfadev1.OriginStatus {
	return slices.DeleteFunc(c.originsOf(fleet), func(o *crossfadev1.OriginStatus) bool { return !troubled(o) })
}

// originsOf returns the origins of the services of a fleet, or of all.
func (c *Controller) originsOf(fleet string) []*crossfadev1.OriginStatus {
	var out []*crossfadev1.OriginStatus
	now := c.now()
	for _, s := range c.snapshot().of(fleet) {
		out = append(out, c.endpoints.origins(s.compiled, now)...)
	}
	return out
}

// Endpoints lists endpoints by service, origin and address, as for [Controller.Origins].
func (c *Controller) Endpoints(service, origin string) ([]*crossfadev1.Endpoint, error) {
	services, err := c.servicesFor(service, origin)
	if err != nil {
		return nil, err
	}
	var out []*crossfadev1.Endpoint
	now := c.now()
	for _, s := range services {
		for i := range s.Origins {
			if o := &s.Origins[i]; origin == "" || o.Name == origin {
				out = append(out, c.endpoints.list(s.Name, o, now)...)
			}
		}
	}
	return out, nil
}

// servicesFor returns the services that a question is about, by name.
func (c *Controller) servicesFor(service, origin string) ([]*policy.Service, error) {
	live := c.snapshot()
	if service == "" {
		var out []*policy.Service
		for _, s := range live.of("") {
			out = append(out, s.compiled)
		}
		return out, nil
	}
	s := live.services.At(service)
	if s == nil {
		return nil, notFound("service", service)
	}
	if origin != "" {
		if _, err := originOf(s.compiled, origin); err != nil {
			return nil, err
		}
	}
	return []*policy.Service{s.compiled}, nil
}

// list returns the endpoints of an origin, by address.
func (e *endpoints) list(service string, o *policy.Origin, now time.Time) []*crossfadev1.Endpoint {
	var out []*crossfadev1.Endpoint
	if !o.Discovered() {
		for _, a := range o.Static {
			out = append(out, &crossfadev1.Endpoint{Service: service, Origin: o.Name, Address: a.String(), Source: o.SourceKind(), State: string(discovery.StateReady)})
		}
		return out
	}
	tracked, _ := e.tracker.Endpoints(tracker.Key{Service: service, Origin: o.Name})
	for i := range tracked {
		out = append(out, endpointOf(service, o, &tracked[i], now))
	}
	return out
}

func endpointOf(service string, o *policy.Origin, t *discovery.Tracked, now time.Time) *crossfadev1.Endpoint {
	out := &crossfadev1.Endpoint{
		Service: service, Origin: o.Name, Address: t.Address.String(), Zone: t.Zone, Health: t.Health, Source: o.SourceKind(),
		State: string(t.State), Metadata: t.Metadata, HeldSince: stamp(t.Missing),
	}
	if !t.Seen.IsZero() {
		out.AgeMs = milliseconds(max(0, now.Sub(t.Seen)))
	}
	return out
}
