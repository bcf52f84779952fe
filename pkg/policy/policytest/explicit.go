package policytest

import (
	"fmt"
	"net/netip"
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
	doc.Retries = &crossfadev1.Retries{On: []string{policy.NoRetries}}
	if r := s.Retries; r != nil {
		doc.Retries = &crossfadev1.Retries{On: r.On, Attempts: int32(r.Attempts), PerTryTimeout: written(r.PerTryTimeout)}
		if len(r.On) == 0 {
			doc.Retries.On = []string{policy.NoRetries}
		}
		if o := r.OtherOrigin; o != nil {
			doc.Retries.OtherOrigin = &crossfadev1.OtherOrigin{On: o.On, Methods: o.Methods, MaxConcurrent: int32(o.MaxConcurrent)}
		}
		for _, c := range r.StatusCodes {
			doc.Retries.StatusCodes = append(doc.Retries.StatusCodes, int32(c))
		}
	}
	return doc
}

func written(d time.Duration) *durationpb.Duration { return durationpb.New(d) }

func explicitOrigin(o policy.Origin) *crossfadev1.Origin {
	b := o.CircuitBreakers
	doc := &crossfadev1.Origin{
		Name: o.Name, Protocol: string(o.Protocol), ConnectTimeout: written(o.ConnectTimeout), SlowStart: written(o.SlowStart),
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
	if o.Capacity > 0 {
		doc.Capacity = &crossfadev1.Capacity{RequestsPerSecond: int32(o.Capacity)}
	}
	if o.ZoneMinimum > 0 {
		doc.Zone = &crossfadev1.ZonePreference{MinEndpoints: int32(o.ZoneMinimum)}
	}
	if t := o.TLS; t != nil {
		doc.Tls = &crossfadev1.Tls{ServerName: t.ServerName, InsecureSkipVerify: t.SkipVerify}
		if !t.SkipVerify {
			doc.Tls.CaFile = t.CAFile
		}
		if t.Show != nil {
			doc.Tls.CertificateFile, doc.Tls.KeyFile = t.Show.CertificateFile, t.Show.KeyFile
		}
	}
	explicitDiscovery(o, doc)
	return doc
}

func explicitDiscovery(o policy.Origin, doc *crossfadev1.Origin) {
	switch {
	case o.ECS != nil:
		e := o.ECS
		doc.Discovery = &crossfadev1.Origin_Ecs{Ecs: &crossfadev1.EcsService{
			Region: e.Region, Cluster: e.Cluster, Service: e.Service, Group: e.Group, Container: e.Container, Port: int32(e.Port),
		}}
	case o.CloudMap != nil:
		m := o.CloudMap
		doc.Discovery = &crossfadev1.Origin_CloudMap{CloudMap: &crossfadev1.CloudMapService{Region: m.Region, Namespace: m.Namespace, Service: m.Service, Port: int32(m.Port)}}
	case o.Kubernetes != nil:
		k := o.Kubernetes
		doc.Discovery = &crossfadev1.Origin_Kubernetes{Kubernetes: &crossfadev1.KubernetesService{Cluster: k.Cluster, Namespace: k.Namespace, Service: k.Service, Port: k.Port}}
	case o.DNS != nil:
		d := &crossfadev1.DnsName{Host: o.DNS.Host, Port: int32(o.DNS.Port), Lookup: "strict", Resolvers: addresses(o.DNS.Resolvers)}
		if o.DNS.Logical {
			d.Lookup = "logical"
		}
		doc.Discovery = &crossfadev1.Origin_Dns{Dns: d}
	default:
		doc.Discovery = &crossfadev1.Origin_Static{Static: &crossfadev1.StaticEndpoints{Endpoints: addresses(o.Static)}}
	}
}

func addresses(of []netip.AddrPort) []string {
	var out []string
	for _, a := range of {
		out = append(out, a.String())
	}
	return out
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

func explicitValue(match policy.Match) *crossfadev1.ValueMatch {
	m := &crossfadev1.ValueMatch{Name: match.Name}
	switch match.Condition {
	case policy.Exact:
		m.Condition = &crossfadev1.ValueMatch_Exact{Exact: match.Value}
	case policy.Prefix:
		m.Condition = &crossfadev1.ValueMatch_Prefix{Prefix: match.Value}
	case policy.Regex:
		m.Condition = &crossfadev1.ValueMatch_Regex{Regex: match.Value}
	case policy.Present:
		m.Condition = &crossfadev1.ValueMatch_Present{Present: match.Value == "true"}
	}
	return m
}

func explicitPin(p policy.Pin) *crossfadev1.Pin {
	m := explicitValue(p.Match)
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
