package comparator

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	grpcreflection "google.golang.org/grpc/reflection"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/pkg/shadow"
)

// bootstrap is a proxy with an experiment listener as the control plane makes it, and clusters that do not change.
func bootstrap(http1, http2 map[string]string) []byte {
	var clusters strings.Builder
	add := func(name, address, more string) {
		host, port, _ := net.SplitHostPort(address)
		fmt.Fprintf(&clusters, `
  - name: %q
    connect_timeout: 1s
    load_assignment: {cluster_name: x, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: %s, port_value: %s}}}}]}]}%s`, name, host, port, more)
	}
	for name, address := range http1 {
		add(name, address, "")
	}
	for name, address := range http2 {
		add(name, address, `
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}`)
	}
	return []byte(`node: {id: p1, cluster: c}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  listeners:
  - name: experiment
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: experiment
          skip_xff_append: true
          local_reply_config:
            mappers:
            - filter: {status_code_filter: {comparison: {op: GE, value: {default_value: 0, runtime_key: unused}}}}
              headers_to_add: [{header: {key: x-cf-failed, value: "%RESPONSE_FLAGS%"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}, &via {header: {key: x-cf-via, value: "%CEL(xds.node.id)%"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]
          http_filters: [{name: envoy.filters.http.router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router, suppress_envoy_headers: true}}]
          route_config:
            request_headers_to_remove: [x-cf-target]
            response_headers_to_remove: [x-cf-failed]
            response_headers_to_add: [*via]
            virtual_hosts:
            - name: experiment
              domains: ["*"]
              routes: [{match: {prefix: "/", headers: [{name: x-cf-target, string_match: {safe_regex: {regex: "[^@]+@shadow"}}}]}, route: {cluster_header: x-cf-target, timeout: 0s}}]
  clusters:` + clusters.String())
}

// TestThroughRealProxies: what Envoy makes of origins that answer, fail and are not known is taken for what it is.
func TestThroughRealProxies(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		refuses, err := loopback.Reserve(loopback.Host()) // there nobody else listens
		if err != nil {
			t.Fatal(err)
		}
		refuses.Release()
		abort := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
		garbage := listen(t, "hello world\r\n\r\n")
		breaks := start(t, http.HandlerFunc(broken))
		own503 := start(t, withHeader(answersStatus(503), "x-cf-failed", "UF"))
		control := start(t, says(`{"a":%q}`))
		http1 := map[string]string{}
		for name, u := range map[string]string{
			"ecs": control.URL, "same": start(t, says(`{"a":%q}`)).URL, "refused": "http://" + refuses.Addr(), "reset": abort.URL, "protocol": garbage, "truncated": breaks.URL, "own503": own503.URL,
		} {
			http1["shop/"+name+"@shadow"] = hostOf(t, u)
		}
		http2 := map[string]string{
			"calls/ecs@shadow": hostOf(t, start(t, grpcOrigin(healthv1.HealthCheckResponse_SERVING, func(s *grpc.Server) { grpcreflection.Register(onlyV1Alpha{s, s}) })).URL),
			"calls/eks@shadow": hostOf(t, start(t, grpcOrigin(healthv1.HealthCheckResponse_NOT_SERVING, nil)).URL),
		}
		e := envoytest.Start(t, envoytest.Config{Version: version, Bootstrap: bootstrap(http1, http2)})
		e.AwaitReady()
		w := newWorld(t, nil, nil, Limits{Spread: time.Minute})
		w.experiment = e.ListenerAddress("experiment")
		for _, candidate := range []string{"same", "refused", "reset", "protocol", "truncated", "own503", "unknown"} {
			doc := document()
			doc.Candidate, doc.Run.Id = candidate, candidate
			w.run(doc, nil)
			w.get("/a")
			r := w.awaitCounted(1)
			switch candidate {
			case "same":
				if r.Compared != 1 || len(r.Differences) != 0 {
					t.Errorf("%s: %+v", candidate, r)
				}
			case "unknown":
				if r.Dropped[dropProxy] != 1 {
					t.Errorf("%s: %+v", candidate, r)
				}
			case "own503":
				if len(r.Differences) != 1 || r.Differences[0].Kind != shadow.KindStatus {
					t.Errorf("%s: %+v", candidate, r)
				}
			default:
				if len(r.Differences) != 1 || r.Differences[0].Kind != shadow.KindFailure || r.Differences[0].Example.Candidate.Value != candidate {
					t.Errorf("%s: %+v", candidate, r)
				}
			}
		}
		doc := grpcDocument(true)
		doc.Service, doc.Run.Id = "calls", "grpc"
		w.run(doc, nil)
		w.call("orders")
		w.awaitCounted(1)
		w.call("orders")
		if r := w.awaitCounted(2); r.Compared != 1 || len(r.Differences) != 1 || r.Differences[0].Path != "$.status" {
			t.Errorf("%+v\n%s", r, w.log)
		}
	})
}

func hostOf(t *testing.T, address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Host
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		t.Fatal(err)
	}
	return address
}

// listen serves the same bytes to all that connect.
func listen(t *testing.T, says string) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 4096)
			_, _ = c.Read(b)
			_, _ = c.Write([]byte(says))
			c.Close()
		}
	}()
	return ln.Addr().String()
}
