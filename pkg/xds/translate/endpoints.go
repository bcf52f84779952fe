package translate

import (
	"cmp"
	"net/netip"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Endpoint is one address of an origin.
type Endpoint struct {
	Address netip.AddrPort
	// Zone is the availability zone; empty if it is not known.
	Zone string
	// Draining says that it gets no new requests and finishes those that it has.
	Draining bool
}

// Static makes endpoints of addresses of which nothing more is known.
func Static(addrs []netip.AddrPort) []Endpoint {
	out := make([]Endpoint, len(addrs))
	for i, a := range addrs {
		out[i].Address = a
	}
	return out
}

// Endpoints makes the ClusterLoadAssignment of an origin. Endpoints may come in any order, and more than once: of two with one address
// the one that does not drain is meant. Without any, requests to the origin are answered 503.
//
// The resource belongs to one cluster and is named like it. A cluster of the same origin for another purpose has endpoints of its own, see
// [ShadowEndpoints].
func Endpoints(service, origin string, endpoints []Endpoint) Resource {
	return assignment(policy.ClusterName(service, origin), endpoints)
}

// ShadowEndpoints is the same for the cluster through which an origin of a running mirror is asked again.
func ShadowEndpoints(service, origin string, endpoints []Endpoint) Resource {
	return assignment(policy.ShadowClusterName(service, origin), endpoints)
}

// Comparators makes the ClusterLoadAssignment of the comparators, in any order. Without any, copies go nowhere, and nothing waits for them.
func Comparators(addresses []netip.AddrPort) Resource {
	return assignment(policy.ComparatorCluster, Static(addresses))
}

func assignment(cluster string, endpoints []Endpoint) Resource {
	sorted := slices.Clone(endpoints)
	for i, e := range sorted {
		sorted[i].Address = netip.AddrPortFrom(e.Address.Addr().Unmap(), e.Address.Port())
	}
	slices.SortFunc(sorted, func(a, b Endpoint) int {
		return cmp.Or(a.Address.Compare(b.Address), compareBool(a.Draining, b.Draining), cmp.Compare(a.Zone, b.Zone))
	})
	sorted = slices.CompactFunc(sorted, func(a, b Endpoint) bool { return a.Address == b.Address })
	slices.SortStableFunc(sorted, func(a, b Endpoint) int { return cmp.Compare(a.Zone, b.Zone) })

	load := &endpointv3.ClusterLoadAssignment{ClusterName: cluster}
	for len(sorted) > 0 {
		n := slices.IndexFunc(sorted, func(e Endpoint) bool { return e.Zone != sorted[0].Zone })
		if n < 0 {
			n = len(sorted)
		}
		load.Endpoints = append(load.Endpoints, locality(sorted[:n]))
		sorted = sorted[n:]
	}
	return resource(cluster, load)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// locality holds the endpoints of one zone.
func locality(endpoints []Endpoint) *endpointv3.LocalityLbEndpoints {
	out := &endpointv3.LocalityLbEndpoints{LbEndpoints: make([]*endpointv3.LbEndpoint, len(endpoints))}
	if zone := endpoints[0].Zone; zone != "" {
		out.Locality = &corev3.Locality{Zone: zone}
	}
	for i, e := range endpoints {
		out.LbEndpoints[i] = &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
			Endpoint: &endpointv3.Endpoint{Address: socketAddress(e.Address.Addr().String(), int(e.Address.Port()))},
		}}
		if e.Draining {
			out.LbEndpoints[i].HealthStatus = corev3.HealthStatus_DRAINING
		}
	}
	return out
}

func socketAddress(host string, port int) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       host,
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)},
	}}}
}
