package deltaclient

import (
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// The types of resources, in the order in which an Envoy asks for them when it comes back.
const (
	Runtime     = resource.RuntimeType
	Cluster     = resource.ClusterType
	Endpoints   = resource.EndpointType
	Listener    = resource.ListenerType
	Route       = resource.RouteType
	VirtualHost = resource.VirtualHostType
)

// kind is the place of a type in that order.
type kind int

const (
	runtimes kind = iota
	clusters
	endpoints
	listeners
	routes
	virtualHosts
	numKinds
)

var typeOf = [numKinds]string{
	runtimes: Runtime, clusters: Cluster, endpoints: Endpoints, listeners: Listener, routes: Route, virtualHosts: VirtualHost,
}

func kindOf(url []byte) (kind, bool) {
	for k, u := range typeOf {
		if string(url) == u {
			return kind(k), true
		}
	}
	return 0, false
}

// named kinds are asked for by name, the others all at once.
func (k kind) named() bool { return k == runtimes || k == endpoints || k == routes }
