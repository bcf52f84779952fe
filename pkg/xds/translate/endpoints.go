package translate

import (
	"net/netip"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Endpoints makes the ClusterLoadAssignment of an origin. Addresses may come in any order and more than once. Without any, requests to
// the origin are answered 503.
func Endpoints(service, origin string, addrs []netip.AddrPort) Resource {
	sorted := make([]netip.AddrPort, len(addrs))
	for i, a := range addrs {
		sorted[i] = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	}
	slices.SortFunc(sorted, netip.AddrPort.Compare)
	sorted = slices.Compact(sorted)

	name := policy.ClusterName(service, origin)
	load := &endpointv3.ClusterLoadAssignment{ClusterName: name}
	if len(sorted) > 0 {
		load.Endpoints = []*endpointv3.LocalityLbEndpoints{{LbEndpoints: lbEndpoints(sorted)}}
	}
	return resource(name, load)
}

func lbEndpoints(addrs []netip.AddrPort) []*endpointv3.LbEndpoint {
	out := make([]*endpointv3.LbEndpoint, len(addrs))
	for i, a := range addrs {
		out[i] = &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
			Endpoint: &endpointv3.Endpoint{Address: socketAddress(a.Addr().String(), int(a.Port()))},
		}}
	}
	return out
}

func socketAddress(host string, port int) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       host,
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)},
	}}}
}
