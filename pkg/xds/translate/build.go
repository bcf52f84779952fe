package translate

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// anyHost is the host of requests that no other host matches.
const anyHost = "*"

// Build makes the structure of one fleet, of services as they are there. Those of other fleets are ignored; a nil fleet has the defaults and the name
// policy.DefaultFleet. The services must have passed policy.CheckServices: no two share listener, host and path prefix.
func Build(fleet *policy.Fleet, services []*policy.Service, opts Options) *Structure {
	if fleet == nil {
		fleet = &policy.Fleet{Name: policy.DefaultFleet}
	}
	ours := ofFleet(fleet.Name, services)
	mirrored := slices.ContainsFunc(ours, func(s *policy.Service) bool { return s.Mirror != nil })
	reusable := opts.reusable()
	st := &Structure{made: made{opts.InlineWeights, make(map[*policy.Service][]Resource, len(ours)), map[string]madeVirtualHost{}}}
	for _, s := range ours {
		cs, ok := reusable.clusters[s]
		if !ok {
			cs = clusterResources(s)
		}
		st.made.clusters[s] = cs
		st.Clusters = append(st.Clusters, cs...)
	}
	st.Clusters = append(st.Clusters, authorities(ours)...)
	if mirrored {
		st.Clusters = append(st.Clusters, comparatorCluster(opts.Comparators))
		st.comparators = opts.Comparators
		st.experiments = !opts.InlineWeights
	}
	for _, port := range ports(ours) {
		name := listenerName(port)
		st.Routes = append(st.Routes, resource(name, routeConfiguration(name)))
		for _, v := range virtualHosts(name, onPort(port, ours), opts) {
			st.made.virtualHosts[v.Name] = v
			st.VirtualHosts = append(st.VirtualHosts, v.Resource)
		}
		st.listeners = append(st.listeners, listenerOf(fleet, port))
	}
	byName(st.Clusters)
	byName(st.Routes)
	byName(st.VirtualHosts)
	slices.SortFunc(st.listeners, func(a, b listenerTemplate) int { return cmp.Compare(a.name, b.name) })
	return st
}

// listenerOf is how a fleet listens on a port.
func listenerOf(fleet *policy.Fleet, port int) listenerTemplate {
	name, secure := listenerName(port), fleet.TLS[port]
	m := connectionManager(fleet, name)
	if secure != nil && secure.ClientCAFile != "" {
		sayWhose(m)
	}
	return listenerTemplate{name: name, port: port, manager: packed(m), proxyProtocol: fleet.ProxyProtocol, tls: secure}
}

// listenerName names both the listener and its RouteConfiguration.
func listenerName(port int) string { return fmt.Sprintf("listener/%d", port) }

func byName(rs []Resource) {
	slices.SortFunc(rs, func(a, b Resource) int { return cmp.Compare(a.Name, b.Name) })
}

// ofFleet returns the services of a fleet, sorted by name.
func ofFleet(fleet string, services []*policy.Service) []*policy.Service {
	var out []*policy.Service
	for _, s := range services {
		if s := s.In(fleet); s != nil {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *policy.Service) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func ports(services []*policy.Service) []int {
	var out []int
	for _, s := range services {
		out = append(out, s.Port)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func onPort(port int, services []*policy.Service) []*policy.Service {
	var out []*policy.Service
	for _, s := range services {
		if s.Port == port {
			out = append(out, s)
		}
	}
	return out
}
