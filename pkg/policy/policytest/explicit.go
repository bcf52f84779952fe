package policytest

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Explicit writes a compiled service as a document in which every default is written out. It compiles to the same service.
func Explicit(s *policy.Service) *crossfadev1.Service {
	doc := &crossfadev1.Service{
		ApiVersion: policy.APIVersion, Kind: policy.KindService, Name: s.Name, Hosts: s.Hosts, PathPrefixes: s.PathPrefixes,
		Listener: &crossfadev1.Listener{Port: int32(s.Port)}, Primary: s.Primary, Split: explicitSplit(s.Split),
		Timeouts: &crossfadev1.Timeouts{Request: written(s.Timeouts.Request), Idle: written(s.Timeouts.Idle), MaxStreamDuration: written(s.Timeouts.MaxStreamDuration)},
	}
	if doc.Fleets = s.Fleets; len(s.Fleets) == 1 {
		doc.Fleet, doc.Fleets = s.Fleets[0], nil
	}
	for _, r := range s.RolledBackIn {
		doc.RolledBackIn = append(doc.RolledBackIn, &crossfadev1.FleetRollback{Fleet: r.Fleet, KeepPins: r.KeepPins})
	}
	for _, o := range s.Origins {
		doc.Origins = append(doc.Origins, explicitOrigin(o))
	}
	for _, p := range s.Pins {
		doc.Pins = append(doc.Pins, explicitPin(p))
	}
	if r := s.Retries; r != nil {
		doc.Retries = &crossfadev1.Retries{On: r.On, Attempts: int32(r.Attempts), PerTryTimeout: written(r.PerTryTimeout)}
		for _, c := range r.StatusCodes {
			doc.Retries.StatusCodes = append(doc.Retries.StatusCodes, int32(c))
		}
	}
	return doc
}

func written(d time.Duration) *durationpb.Duration { return durationpb.New(d) }

func explicitOrigin(o policy.Origin) *crossfadev1.Origin {
	static := &crossfadev1.StaticEndpoints{}
	for _, e := range o.Static {
		static.Endpoints = append(static.Endpoints, e.String())
	}
	b := o.CircuitBreakers
	doc := &crossfadev1.Origin{
		Name: o.Name, Protocol: string(o.Protocol), Discovery: &crossfadev1.Origin_Static{Static: static}, ConnectTimeout: written(o.ConnectTimeout),
		CircuitBreakers: &crossfadev1.CircuitBreakers{
			MaxConnections: int32(b.MaxConnections), MaxPendingRequests: int32(b.MaxPendingRequests),
			MaxRequests: int32(b.MaxRequests), MaxRetries: int32(b.MaxRetries),
		},
	}
	if h := o.HealthCheck; h != nil {
		doc.HealthCheck = &crossfadev1.HealthCheck{
			Path: h.Path, Host: h.Host, Interval: written(h.Interval), Timeout: written(h.Timeout),
			UnhealthyThreshold: int32(h.UnhealthyThreshold), HealthyThreshold: int32(h.HealthyThreshold),
		}
		for _, r := range h.ExpectedStatuses {
			doc.HealthCheck.ExpectedStatuses = append(doc.HealthCheck.ExpectedStatuses, fmt.Sprintf("%d-%d", r.From, r.To))
		}
	}
	if d := o.OutlierDetection; d != nil {
		doc.OutlierDetection = &crossfadev1.OutlierDetection{
			ConsecutiveFailures: int32(d.ConsecutiveFailures), Interval: written(d.Interval),
			BaseEjectionTime: written(d.BaseEjectionTime), MaxEjectionPercent: int32(d.MaxEjectionPercent),
		}
	}
	return doc
}

func explicitSplit(s policy.Split) *crossfadev1.Split {
	doc := &crossfadev1.Split{Weights: map[string]int32{}}
	for origin, w := range s.Weights {
		doc.Weights[origin] = int32(w)
	}
	switch k := s.Sticky; {
	case k == nil:
	case k.Cookie != nil:
		doc.Sticky = &crossfadev1.Sticky{Key: &crossfadev1.Sticky_Cookie{Cookie: &crossfadev1.StickyCookie{Name: k.Cookie.Name, Ttl: written(k.Cookie.TTL), Path: k.Cookie.Path}}}
	case k.Header != "":
		doc.Sticky = &crossfadev1.Sticky{Key: &crossfadev1.Sticky_Header{Header: &crossfadev1.StickyHeader{Name: k.Header}}}
	default:
		doc.Sticky = &crossfadev1.Sticky{Key: &crossfadev1.Sticky_ClientAddress{ClientAddress: &crossfadev1.StickyClientAddress{}}}
	}
	return doc
}

func explicitPin(p policy.Pin) *crossfadev1.Pin {
	m := &crossfadev1.ValueMatch{Name: p.Match.Name}
	switch p.Match.Condition {
	case policy.Exact:
		m.Condition = &crossfadev1.ValueMatch_Exact{Exact: p.Match.Value}
	case policy.Prefix:
		m.Condition = &crossfadev1.ValueMatch_Prefix{Prefix: p.Match.Value}
	case policy.Regex:
		m.Condition = &crossfadev1.ValueMatch_Regex{Regex: p.Match.Value}
	case policy.Present:
		m.Condition = &crossfadev1.ValueMatch_Present{Present: p.Match.Value == "true"}
	}
	doc := &crossfadev1.Pin{Name: p.Name, Origin: p.Origin, Enabled: &p.Enabled}
	switch p.Match.On {
	case policy.OnHeader:
		doc.Match = &crossfadev1.Pin_Header{Header: m}
	case policy.OnCookie:
		doc.Match = &crossfadev1.Pin_Cookie{Cookie: m}
	case policy.OnQuery:
		doc.Match = &crossfadev1.Pin_Query{Query: m}
	}
	return doc
}
