package main

import (
	"fmt"
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

// workload is what is served and what changes. Every process computes it from the same two numbers.
type workload struct {
	Services int // in all
	Flipping int // of those whose weights change, in turn
}

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
	eks := w.share(i, n)
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
			pin("canary", &crossfadev1.ValueMatch{Name: "x-canary", Condition: &crossfadev1.ValueMatch_Exact{Exact: "always"}}),
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
	for _, v := range translate.Build(nil, []*policy.Service{s}, translate.Options{InlineWeights: true}).VirtualHosts {
		if slices.Equal(v.Services, []string{s.Name}) {
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
}

// resources is everything that there is.
func (w workload) resources(at state) []translate.Resource {
	services := w.all(at.Flip)
	st := translate.Build(nil, services, translate.Options{InlineWeights: at.InRoutes})
	base, top := w.baseLayers(at.Folded), w.topLayer(at.Folded, at.Flip)
	if at.InRoutes {
		base, top = w.baseLayers(0), w.topLayer(0, 0)
	}
	return slices.Concat(base, []translate.Resource{top}, st.Clusters, endpointsOf(services), st.Listeners(listenAddress, ""), st.Routes, st.VirtualHosts)
}

// digest is what a client's checksum is when it holds just these.
func digest(resources []translate.Resource) (sum uint64) {
	for _, r := range resources {
		sum ^= deltaclient.Sum(r.Body.TypeUrl, r.Name, r.Body.Value)
	}
	return sum
}
