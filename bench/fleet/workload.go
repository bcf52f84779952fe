package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

const (
	fleetName     = policy.DefaultFleet
	listenAddress = "127.0.0.1"
	port          = 10000
)

// workload is what is served and what changes. Every process computes it from the same few values.
type workload struct {
	Services int    // in all
	Flipping int    // of those whose weights change, in turn
	Host     string // where proxies listen; empty: 127.0.0.1. Simulated ones do not.
	Routed   int    // how often a pin of the last service changed
}

// host is where proxies listen.
func (w workload) host() string { return cmp.Or(w.Host, listenAddress) }

// flip is the number of a change: 1 is the first. Flip 0 is the state at the start.
type flip int

// service whose weights a flip changes.
func (w workload) service(n flip) int { return int(n-1) % w.Flipping }

// share of the second origin, in basis points, that service i has after a flip.
func (w workload) share(i int, n flip) int32 {
	if i >= w.Flipping {
		return 1000
	}
	turns := (int(n) + w.Flipping - 1 - i) / w.Flipping // how often it was its turn
	return int32(1000 * (1 + turns%9))
}

// compiled is service i after a flip: two origins, five pins of which one is a regular expression, and so six routes.
func (w workload) compiled(i int, n flip) *policy.Service {
	name := fmt.Sprintf("service-%04d", i)
	origin := func(name string, net int) *crossfadev1.Origin {
		var endpoints []string
		for host := range 2 {
			endpoints = append(endpoints, fmt.Sprintf("10.%d.%d.%d:8080", net+host, i/250, i%250+1))
		}
		return &crossfadev1.Origin{Name: name, Discovery: &crossfadev1.Origin_Static{Static: &crossfadev1.StaticEndpoints{Endpoints: endpoints}}}
	}
	pin := func(name string, m *crossfadev1.ValueMatch) *crossfadev1.Pin {
		return &crossfadev1.Pin{Name: name, Origin: "eks", Match: &crossfadev1.Pin_Header{Header: m}}
	}
	eks, canary := w.share(i, n), "always"
	if i == w.Services-1 && w.Routed > 0 {
		canary = fmt.Sprint("always-", w.Routed)
	}
	s, errs := policy.CompileService(&crossfadev1.Service{
		ApiVersion: "crossfade/v1", Kind: "Service", Name: name, Hosts: []string{name + ".test"}, Primary: "ecs",
		Listener: &crossfadev1.Listener{Port: port},
		Origins:  []*crossfadev1.Origin{origin("ecs", 10), origin("eks", 20)},
		Split:    &crossfadev1.Split{Weights: map[string]int32{"ecs": int32(policy.Whole) - eks, "eks": eks}},
		Pins: []*crossfadev1.Pin{
			pin("beta", &crossfadev1.ValueMatch{Name: "x-beta", Condition: &crossfadev1.ValueMatch_Exact{Exact: "1"}}),
			pin("smoke", &crossfadev1.ValueMatch{Name: "x-smoke", Condition: &crossfadev1.ValueMatch_Present{Present: true}}),
			pin("tenants", &crossfadev1.ValueMatch{Name: "x-tenant", Condition: &crossfadev1.ValueMatch_Regex{Regex: "t-[0-9]{1,4}"}}),
			pin("staff", &crossfadev1.ValueMatch{Name: "x-role", Condition: &crossfadev1.ValueMatch_Prefix{Prefix: "staff-"}}),
			pin("canary", &crossfadev1.ValueMatch{Name: "x-canary", Condition: &crossfadev1.ValueMatch_Exact{Exact: canary}}),
		},
	})
	if len(errs) > 0 {
		panic(errs) // the workload is ours
	}
	return s
}

func (w workload) all(n flip) []*policy.Service {
	out := make([]*policy.Service, w.Services)
	for i := range out {
		out[i] = w.compiled(i, n)
	}
	return out
}

func endpointsOf(services []*policy.Service) (out []translate.Resource) {
	for _, s := range services {
		for _, o := range s.Origins {
			out = append(out, translate.Endpoints(s.Name, o.Name, translate.Static(o.Static)))
		}
	}
	return out
}

// baseLayers holds the levers of all services after a flip.
func (w workload) baseLayers(n flip) (out []translate.Resource) {
	byLayer := map[string][]translate.Lever{}
	for _, s := range w.all(n) {
		byLayer[translate.LayerOf(s.Name)] = append(byLayer[translate.LayerOf(s.Name)], translate.Levers(s)...)
	}
	for _, name := range translate.BaseLayerNames() {
		out = append(out, translate.Layer(name, byLayer[name]))
	}
	return append(out, translate.Ready(true))
}

// topLayer holds the levers of the services that were flipped since.
func (w workload) topLayer(since, n flip) translate.Resource {
	var levers []translate.Lever
	for k := max(since, n-flip(w.Flipping)); k < n; k++ {
		levers = append(levers, translate.Levers(w.compiled(w.service(k+1), n))...)
	}
	return translate.Layer(translate.TopLayer, levers)
}

// virtualHost of the service of a flip, with its weights written out.
func (w workload) virtualHost(n flip) translate.Resource {
	s := w.compiled(w.service(n), n)
	return hostOf(translate.Build(nil, []*policy.Service{s}, translate.Options{InlineWeights: true}), s.Name)
}

// hostOf is the virtual host of a service in a structure.
func hostOf(s *translate.Structure, service string) translate.Resource {
	for _, v := range s.VirtualHosts {
		if slices.Equal(v.Services, []string{service}) {
			return v
		}
	}
	panic("service without a virtual host of its own") // the workload is ours
}

// state is which resources there are: those after a flip.
type state struct {
	Flip     flip
	InRoutes bool // the weights are in the routes, not in the layers
	Folded   flip // up to this one the levers are in the base layers
	Marked   int  // how often the marked resource changed
}

// marked are the endpoints of one origin of the last service after so many changes: what some proxies refuse.
func (w workload) marked(changes int) translate.Resource {
	s := w.compiled(w.Services-1, 0)
	endpoints := translate.Static(s.Origins[0].Static)
	for i, e := range endpoints {
		endpoints[i].Address = netip.AddrPortFrom(e.Address.Addr(), e.Address.Port()+uint16(changes%100))
	}
	return translate.Endpoints(s.Name, s.Origins[0].Name, endpoints)
}

// resources is everything that there is.
func (w workload) resources(at state) []translate.Resource {
	base, top := w.parts(at)
	return append(base, top)
}

// parts are the layer that changes with each flip, and all the rest.
func (w workload) parts(at state) (rest []translate.Resource, top translate.Resource) {
	services := w.all(at.Flip)
	st := translate.Build(nil, services, translate.Options{InlineWeights: at.InRoutes})
	base, top := w.baseLayers(at.Folded), w.topLayer(at.Folded, at.Flip)
	if at.InRoutes {
		base, top = w.baseLayers(0), w.topLayer(0, 0)
	}
	endpoints, marked := endpointsOf(services), w.marked(at.Marked)
	for i, e := range endpoints {
		if e.Name == marked.Name {
			endpoints[i] = marked
		}
	}
	return slices.Concat(base, st.Clusters, endpoints, st.Listeners(w.host(), ""), st.Routes, st.VirtualHosts), top
}

// digest is what a client's checksum is when it holds just these.
func digest(resources ...translate.Resource) (sum uint64) {
	for _, r := range resources {
		sum ^= deltaclient.Sum(r.Body.TypeUrl, r.Name, r.Body.Value)
	}
	return sum
}

// digester remembers the digest of what a flip leaves alone: to render 2,000 services for each would take longer than the flip.
type digester struct {
	workload workload
	of       state // whose rest it is, if it is known
	known    bool
	rest     uint64
}

// digest of all resources.
func (d *digester) digest(at state) uint64 {
	if at.InRoutes {
		return digest(d.workload.resources(at)...)
	}
	if of := (state{Folded: at.Folded}); !d.known || d.of != of {
		rest, _ := d.workload.parts(of)
		d.of, d.known, d.rest = of, true, digest(rest...)
	}
	return d.rest ^ digest(d.workload.marked(0)) ^ digest(d.workload.marked(at.Marked)) ^ digest(d.workload.topLayer(at.Folded, at.Flip))
}
