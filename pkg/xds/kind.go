package xds

import (
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// kind is one type of resource that we serve.
type kind int

// The kinds, in the order in which an Envoy asks for them.
const (
	levers kind = iota
	clusters
	endpoints
	listeners
	routes
	virtualHosts
	numKinds
)

var kindURLs = [numKinds]string{
	levers:       resource.RuntimeType,
	clusters:     resource.ClusterType,
	endpoints:    resource.EndpointType,
	listeners:    resource.ListenerType,
	routes:       resource.RouteType,
	virtualHosts: resource.VirtualHostType,
}

var kindNames = [numKinds]string{
	levers:       "Runtime",
	clusters:     "Cluster",
	endpoints:    "ClusterLoadAssignment",
	listeners:    "Listener",
	routes:       "RouteConfiguration",
	virtualHosts: "VirtualHost",
}

var kindByURL = func() map[string]kind {
	out := make(map[string]kind, numKinds)
	for k, url := range kindURLs {
		out[url] = kind(k)
	}
	return out
}()

// String is the short name that Envoy's users know.
func (k kind) String() string { return kindNames[k] }

// named kinds are subscribed to by name; the others by wildcard.
func (k kind) named() bool { return k == levers || k == endpoints || k == routes }
