package probes

import (
	"encoding/json"
	"net"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
)

// setup says what an Envoy is started with. Everything is static but what `rds` and `levers` name.
type setup struct {
	origins []string          // each a toy origin, and a cluster of the same name
	routes  string            // YAML list: routes of the one virtual host of listener "main"
	manager string            // YAML: more fields of the HTTP connection manager
	rds     map[string]string // instead of routes: YAML of route configurations of the control plane, each on a listener of its name; empty: not answered at the start
	levers  string            // YAML: the first content of the runtime layer "levers" of the control plane; empty: there is no such layer
	layers  string            // YAML list: runtime layers instead
	more    string            // YAML list: more clusters
	cluster string            // YAML: more fields of the clusters of origins
	dynamic string            // YAML: more fields of dynamic_resources
}

// parse reads YAML.
func parse(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return v
}

// asJSON writes what parse has read, or anything else.
func asJSON(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

type object = map[string]any

const (
	overADS = `{ads: {}, resource_api_version: V3}`
	atOnce  = `{ads: {}, resource_api_version: V3, initial_fetch_timeout: 0.2s}` // does not hold the start for long
)

// bootstrap writes the whole configuration.
func (b *bench) bootstrap(s setup) []byte {
	b.t.Helper()
	list := func(text string) []any {
		v, _ := parse(b.t, text).([]any)
		return v
	}
	var listeners []any
	if s.routes != "" {
		listeners = append(listeners, b.listener("main", s.manager, "route_config", object{
			"name": "main", "validate_clusters": false, "virtual_hosts": []any{object{"name": "v", "domains": []any{host}, "routes": list(s.routes)}},
		}))
	}
	for name, text := range s.rds {
		source := overADS
		if text == "" {
			source = atOnce
		}
		listeners = append(listeners, b.listener(name, s.manager, "rds", object{"route_config_name": name, "config_source": parse(b.t, source)}))
	}
	clusters := append(list(s.more), b.cluster("ads", b.ads.addr, `{typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {
		"@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http2_protocol_options: {}}}}}`))
	for _, name := range s.origins {
		clusters = append(clusters, b.cluster(name, b.origins[name].Addr(), s.cluster))
	}
	layers := list(s.layers)
	if s.levers != "" {
		layers = list(`[{name: levers, rtds_layer: {name: levers, rtds_config: ` + overADS + `}}]`)
	}
	dynamic := object{"ads_config": parse(b.t, `{api_type: DELTA_GRPC, transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: ads}}]}`)}
	b.add(dynamic, s.dynamic)
	boot := object{
		"admin":             parse(b.t, `{address: {socket_address: {address: 127.0.0.1, port_value: 0}}}`),
		"dynamic_resources": dynamic,
		"layered_runtime":   object{"layers": append(layers, parse(b.t, `{name: admin, admin_layer: {}}`))},
		"static_resources":  object{"listeners": listeners, "clusters": clusters},
	}
	return asJSON(b.t, boot)
}

// add adds fields in YAML to an object.
func (b *bench) add(to object, text string) {
	b.t.Helper()
	more, _ := parse(b.t, text).(object)
	for name, value := range more {
		to[name] = value
	}
}

// listener makes one at an address of its own.
func (b *bench) listener(name, manager, source string, routes object) object {
	b.t.Helper()
	port := envoytest.Port(b.t)
	b.at[name] = port.Addr()
	hcm := parse(b.t, `{"@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
		http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]}`).(object)
	hcm["stat_prefix"], hcm[source] = name, routes
	b.add(hcm, manager)
	return object{
		"name": name, "address": socketAddress(b.t, port.Addr()),
		"filter_chains": []any{object{"filters": []any{object{"name": "http", "typed_config": hcm}}}},
	}
}

// cluster makes a static one with an endpoint.
func (b *bench) cluster(name, address, more string) object {
	b.t.Helper()
	c := object{"name": name, "connect_timeout": "5s", "load_assignment": assignment(b.t, name, address)}
	b.add(c, more)
	return c
}

// assignment lists the one endpoint of a cluster.
func assignment(t *testing.T, name, address string) object {
	t.Helper()
	endpoint := object{"endpoint": object{"address": socketAddress(t, address)}}
	return object{"cluster_name": name, "endpoints": []any{object{"lb_endpoints": []any{endpoint}}}}
}

func socketAddress(t *testing.T, address string) object {
	t.Helper()
	h, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return object{"socket_address": object{"address": h, "port_value": json.Number(port)}}
}
