package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
)

// glassBootstrap is an Envoy as a proxy has it before glass is broken: live weights send everything to eks, and a pin is on. The live values
// stand in a static layer in the place of that of the control plane; above it is the layer that the admin interface writes.
const glassBootstrap = `
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
layered_runtime:
  layers:
  - name: live
    static_layer:
      "w.orders.orders/ecs": 0
      "w.orders.orders/eks": 10000
      "p.orders.beta": {numerator: 1000000, denominator: MILLION}
  - {name: admin, admin_layer: {}}
static_resources:
  listeners:
  - name: http
    address: {socket_address: {address: HOST, port_value: PORT}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
          route_config:
            virtual_hosts:
            - name: orders
              domains: ["*"]
              routes:
              - match: {prefix: /, headers: [{name: x-beta, string_match: {exact: "1"}}], runtime_fraction: {default_value: {numerator: 0}, runtime_key: p.orders.beta}}
                route: {cluster: orders/eks}
              - match: {prefix: /}
                route:
                  weighted_clusters:
                    runtime_key_prefix: w.orders
                    clusters: [{name: orders/ecs, weight: 10000}, {name: orders/eks, weight: 0}]
  clusters:
  - {name: orders/ecs, load_assignment: {cluster_name: orders/ecs, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: ECS}}}]}]}}
  - {name: orders/eks, load_assignment: {cluster_name: orders/eks, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: EKS}}}]}]}}
`

// TestBreakGlassOnEnvoy runs the printed commands against a real Envoy: everything goes to the primary, pinned requests too, and
// undoing gives both back to the control plane.
func TestBreakGlassOnEnvoy(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		port := envoytest.Port(t)
		host, number, _ := strings.Cut(port.Addr(), ":")
		e := envoytest.Start(t, envoytest.Config{Version: version, Bootstrap: []byte(strings.NewReplacer(
			"HOST", host, "PORT", number, "ECS", origin(t, "ecs"), "EKS", origin(t, "eks")).Replace(glassBootstrap))})
		e.AwaitReady()
		url := "http://" + e.ListenerAddress("http")

		r := offline(t, full, "break-glass", "orders", "-f", "-", "--admin", e.Address)
		commands := regexp.MustCompile(`curl -fsS -X POST '(http://[^']+)'`).FindAllStringSubmatch(r.out, -1)
		if r.exit != 0 || len(commands) != 2 {
			t.Fatalf("exit %d, %d commands: %s%s", r.exit, len(commands), r.out, r.err)
		}
		expect := func(when, plain, pinned string) {
			t.Helper()
			for range 20 {
				if p, b := ask(t, url, ""), ask(t, url, "1"); p != plain || b != pinned {
					t.Fatalf("%s: a request went to %s and a pinned one to %s; want %s and %s", when, p, b, plain, pinned)
				}
			}
		}
		expect("before", "eks", "eks")
		post(t, commands[0][1])
		expect("after", "ecs", "ecs")
		post(t, commands[1][1])
		expect("after undoing", "eks", "eks")
	})
}

// origin starts an origin that answers with its name, and returns its address as Envoy writes it.
func origin(t *testing.T, name string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }))
	t.Cleanup(s.Close)
	host, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return "{address: " + host + ", port_value: " + port + "}"
}

func ask(t *testing.T, url, beta string) string {
	t.Helper()
	return do(t, http.MethodGet, url, beta)
}

func post(t *testing.T, url string) {
	t.Helper()
	if got := do(t, http.MethodPost, url, ""); got != "OK\n" {
		t.Fatalf("%s answered %q", url, got)
	}
}

func do(t *testing.T, method, url, beta string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), envoytest.Deadline)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if beta != "" {
		req.Header.Set("X-Beta", beta)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %d %v %s", method, url, resp.StatusCode, err, body)
	}
	return string(body)
}
