package probes

import (
	"strings"
	"testing"
)

// TestFirstDay: what a bare Envoy does to an application that knows none. docs/http.md and docs/design/alb.md say what ours does.
func TestFirstDay(t *testing.T) {
	const edge = "docs/design/alb.md: settings of the connection manager and the route configuration"
	each(t, setup{origins: []string{"a"}, routes: `[{match: {prefix: /}, route: {cluster: a}}]`}, func(b *bench) {
		for _, c := range []struct{ is, host, want string }{
			{"a host with a port is answered 404", host + ":8080", "404"},
			{"a host with a trailing dot is answered 404", host + ".", "404"},
			{"the host in capitals is found", strings.ToUpper(host), "200 a"},
		} {
			b.fact(c.is, edge, func(b *bench) { same(b, "answer", b.get("/", "host: "+c.host).String(), c.want) })
		}
		b.fact("HTTP/1.0 is answered 426", edge, func(b *bench) {
			same(b, "status", b.raw("GET / HTTP/1.0\r\nHost: "+host+"\r\n\r\n").status, 426)
		})
		b.fact("an upgrade is answered 403", edge, func(b *bench) {
			same(b, "status", b.raw("GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").status, 403)
		})
		b.fact("server is replaced, and the time at the origin told", edge, func(b *bench) {
			a := b.get("/")
			same(b, "server", a.header.Get("server"), "envoy")
			same(b, "x-envoy-upstream-service-time is there", a.header.Get("x-envoy-upstream-service-time") != "", true)
		})
		b.fact("a route's timeout is 15 s, and the origin is told", "policy: timeouts.request is 0, no limit, unless somebody says otherwise", func(b *bench) {
			same(b, "x-envoy-expected-rq-timeout-ms", strings.Join(b.get("/").saw.Get("x-envoy-expected-rq-timeout-ms"), ","), "15000")
		})
		b.fact("names of headers lose their case", edge, func(b *bench) {
			request := b.raw("GET / HTTP/1.1\r\nHost: " + host + "\r\nX-CamelCase: 1\r\nConnection: close\r\n\r\n")
			same(b, "status", request.status, 200)
			last, _ := b.origins["a"].LastRequest()
			same(b, "x-camelcase", strings.Contains(last.Head, "\r\nx-camelcase: 1\r\n"), true)
		})
		b.fact("a cluster takes 1,024 connections, pending requests and requests", "translate.clusterResource: breakers of 100,000, for all traffic may move at once", func(b *bench) {
			text, err := b.envoy.Get(b.t.Context(), "/clusters")
			if err != nil {
				b.t.Fatal(err)
			}
			for _, limit := range []string{"max_connections", "max_pending_requests", "max_requests"} {
				same(b, limit, strings.Contains(text, "a::default_priority::"+limit+"::1024\n"), true)
			}
		})
	})
}

// TestFirstDaySettings: what the same requests do with the settings that ours rest on.
func TestFirstDaySettings(t *testing.T) {
	const edge = "docs/design/alb.md: settings of the connection manager and the route configuration"
	config := `{name: main, ignore_port_in_host_matching: true, virtual_hosts: [{name: v, domains: ["` + host + `", "` + host + `."], routes: [{match: {prefix: /}, route: {cluster: a, timeout: 0s}}]}]}`
	each(t, setup{
		origins: []string{"a"}, rds: map[string]string{"main": config},
		manager: `{server_header_transformation: PASS_THROUGH, upgrade_configs: [{upgrade_type: websocket}], http_protocol_options: {accept_http_10: true, default_host_for_http_10: nobody.invalid}}`,
	}, func(b *bench) {
		b.fact("ports and trailing dots can be passed over, HTTP/1.0 taken, server kept and the timeout be none", edge, func(b *bench) {
			for _, h := range []string{host + ":8080", host + ".", host + ".:8080"} {
				same(b, h, b.get("/", "host: "+h).String(), "200 a")
			}
			same(b, "HTTP/1.0", b.raw("GET / HTTP/1.0\r\nHost: "+host+"\r\n\r\n").status, 200)
			a := b.get("/")
			same(b, "server", a.header.Get("server"), "toy-origin")
			same(b, "expected timeouts", len(a.saw.Get("x-envoy-expected-rq-timeout-ms")), 0)
		})
	})
}
