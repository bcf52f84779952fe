package deltaclient

import (
	"sync"

	"google.golang.org/protobuf/proto"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
)

// discovered remembers by checksum what resources refer to: all clients of a process get the same few listeners.
type discovered struct {
	mu     sync.Mutex
	routes map[uint64][]string
	vhds   map[uint64]bool
}

var shared = discovered{routes: map[uint64][]string{}, vhds: map[uint64]bool{}}

// routesOf returns the names of the route configurations that a listener wants.
func (d *discovered) routesOf(sum uint64, body []byte) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	names, ok := d.routes[sum]
	if !ok {
		names = routesOf(body)
		d.routes[sum] = names
	}
	return names
}

func routesOf(body []byte) (names []string) {
	var l listenerv3.Listener
	if proto.Unmarshal(body, &l) != nil {
		return nil
	}
	for _, chain := range l.GetFilterChains() {
		for _, f := range chain.GetFilters() {
			var m hcmv3.HttpConnectionManager
			if f.GetTypedConfig().UnmarshalTo(&m) == nil && m.GetRds() != nil {
				names = append(names, m.GetRds().GetRouteConfigName())
			}
		}
	}
	return names
}

// wantsVirtualHosts says whether a route configuration gets its virtual hosts one by one.
func (d *discovered) wantsVirtualHosts(sum uint64, body []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	wants, ok := d.vhds[sum]
	if !ok {
		var c routev3.RouteConfiguration
		wants = proto.Unmarshal(body, &c) == nil && c.GetVhds() != nil
		d.vhds[sum] = wants
	}
	return wants
}
