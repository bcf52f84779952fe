package translate

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previoushostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// routeConfiguration is the frame that virtual hosts arrive in.
func routeConfiguration(name string) *routev3.RouteConfiguration {
	return &routev3.RouteConfiguration{
		Name:                     name,
		Vhds:                     &routev3.Vhds{ConfigSource: overADS()},
		IgnorePortInHostMatching: true,
		// Envoy adds the first two after the edge has stripped what the client sent; the third has done its work once a route is chosen.
		RequestHeadersToRemove: []string{"x-envoy-external-address", "x-envoy-internal", keyHeader},
	}
}

// virtualHosts makes the virtual hosts of a listener; see the package comment for the rules.
func virtualHosts(listener string, services []*policy.Service, opts Options) []madeVirtualHost {
	byHost := map[string][]*policy.Service{anyHost: nil}
	for _, s := range services {
		for _, h := range s.Hosts {
			byHost[h] = append(byHost[h], s)
		}
	}
	groups := map[string][]string{} // hosts by what serves them
	for h, ss := range byHost {
		groups[groupKey(h, ss)] = append(groups[groupKey(h, ss)], h)
	}
	var out []madeVirtualHost
	for _, hosts := range groups {
		slices.Sort(hosts)
		v := madeVirtualHost{hosts: hosts, services: byHost[hosts[0]]}
		name := listener + "/" + hosts[0]
		old, ok := opts.reusable().virtualHosts[name]
		if ok && slices.Equal(old.hosts, v.hosts) && slices.Equal(old.services, v.services) {
			v.Resource = old.Resource
		} else {
			v.Resource = resource(name, &routev3.VirtualHost{
				Name: name, Domains: domains(hosts), Routes: routes(v.services, opts), RetryPolicy: retryPolicy(sharedRetries(v.services)),
			})
			v.Services = serviceNames(v.services)
		}
		out = append(out, v)
	}
	return out // Build sorts it
}

// groupKey is equal for hosts that can share a virtual host. Names of services have no space.
func groupKey(host string, services []*policy.Service) string {
	if host == anyHost {
		return anyHost
	}
	return strings.Join(serviceNames(services), " ")
}

// serviceNames returns the names of services, sorted, each once.
func serviceNames(services []*policy.Service) []string {
	names := make([]string, len(services))
	for i, s := range services {
		names[i] = s.Name
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// domains adds the form with a trailing dot, which Envoy takes for another name. Ports and case it ignores.
func domains(hosts []string) []string {
	var out []string
	for _, h := range hosts {
		out = append(out, h)
		if h != anyHost {
			out = append(out, h+".")
		}
	}
	return out
}

// routes are those of all services of a virtual host: by the longest prefix, and under each its pins in the order written, then the split.
// Directly before each stand its variants that copy requests: a request finds the same route with and without a mirror.
func routes(services []*policy.Service, opts Options) []*routev3.Route {
	type claim struct {
		prefix  string
		service *policy.Service
	}
	var claims []claim
	for _, s := range services {
		for _, p := range s.PathPrefixes {
			claims = append(claims, claim{p, s})
		}
	}
	slices.SortFunc(claims, func(a, b claim) int {
		return cmp.Or(cmp.Compare(len(b.prefix), len(a.prefix)), cmp.Compare(a.prefix, b.prefix), cmp.Compare(a.service.Name, b.service.Name))
	})
	shared := sharedRetries(services) != nil
	var out []*routev3.Route
	for _, c := range claims {
		for _, r := range liveRoutes(c.service, c.prefix, opts) {
			if !shared && r.GetRoute().RetryPolicy == nil {
				r.GetRoute().RetryPolicy = retryPolicy(c.service.Retries)
			}
			if !opts.InlineWeights {
				out = append(out, copying(c.service, c.prefix, r)...)
			}
			out = append(out, r)
		}
	}
	return out
}

// liveRoutes are the routes of a service under one prefix.
func liveRoutes(s *policy.Service, prefix string, opts Options) []*routev3.Route {
	var out []*routev3.Route
	for i := range s.Pins {
		if p := &s.Pins[i]; p.Enabled || !opts.InlineWeights {
			out = append(out, pinRoute(s, p, prefix, opts))
		}
	}
	for _, r := range splitRoutes(s, prefix, opts) {
		out = append(out, eitherRoutes(s, r, opts)...)
		out = append(out, r)
	}
	return out
}

// sharedRetries is what all services of a virtual host have, so that it is said once and not with each route; nil if they differ, or
// have none.
func sharedRetries(services []*policy.Service) *policy.Retries {
	if len(services) == 0 {
		return nil
	}
	first := services[0].Retries
	for _, s := range services[1:] {
		if !reflect.DeepEqual(s.Retries, first) {
			return nil
		}
	}
	return first
}

// pinRoute sends what a pin matches to its origin, while the pin's key says so.
func pinRoute(s *policy.Service, p *policy.Pin, prefix string, opts Options) *routev3.Route {
	match := prefixMatch(prefix)
	addCondition(match, p.Match)
	if !opts.InlineWeights {
		match.RuntimeFraction = &corev3.RuntimeFractionalPercent{
			DefaultValue: &typev3.FractionalPercent{Denominator: typev3.FractionalPercent_MILLION},
			RuntimeKey:   policy.PinKey(s.Name, p.Name),
		}
	}
	action := &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: policy.ClusterName(s.Name, p.Origin)}}
	limited(action, s)
	return &routev3.Route{
		Name:                 s.Name + ":" + p.Name,
		Match:                match,
		Action:               &routev3.Route_Route{Route: action},
		Metadata:             routeMetadata(s, p.Name),
		TypedPerFilterConfig: timers(s),
	}
}

// retryPolicy tries another endpoint where there is one.
func retryPolicy(r *policy.Retries) *routev3.RetryPolicy {
	if r == nil || len(r.On) == 0 {
		return nil
	}
	p := &routev3.RetryPolicy{
		RetryOn:    strings.Join(r.On, ","),
		NumRetries: u32(r.Attempts),
		RetryHostPredicate: []*routev3.RetryPolicy_RetryHostPredicate{{
			Name:       "envoy.retry_host_predicates.previous_hosts",
			ConfigType: &routev3.RetryPolicy_RetryHostPredicate_TypedConfig{TypedConfig: packed(&previoushostsv3.PreviousHostsPredicate{})},
		}},
		HostSelectionRetryMaxAttempts: 3,
	}
	if !slices.ContainsFunc(r.On, func(on string) bool { return on != "connect-failure" && on != "refused-stream" }) {
		// Nothing has reached an application, so there is none to spare. Envoy's own is 25 ms, 75, 175 at most; a try takes less.
		p.RetryBackOff = &routev3.RetryPolicy_RetryBackOff{BaseInterval: dur(5 * time.Millisecond), MaxInterval: dur(50 * time.Millisecond)}
	}
	if r.PerTryTimeout > 0 {
		p.PerTryTimeout = dur(r.PerTryTimeout)
	}
	for _, code := range r.StatusCodes {
		p.RetriableStatusCodes = append(p.RetriableStatusCodes, uint32(code))
	}
	return p
}

func routeMetadata(s *policy.Service, pin string) *corev3.Metadata {
	fields := map[string]string{"service": s.Name}
	if pin != "" {
		fields["pin"] = pin
	}
	return metadata(fields)
}
