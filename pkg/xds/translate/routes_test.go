package translate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/envoyproc"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// TestHostsAndPaths asks who answers what, with every service at 100 % primary.
func TestHostsAndPaths(t *testing.T) {
	origins := "primary: a, listener: {port: PORT}, origins: [{name: a, static: {endpoints: ['127.0.0.1:1']}}, {name: b, static: {endpoints: ['127.0.0.1:1']}}]}\n---\n"
	service := func(name, hosts, prefixes string) string {
		return fmt.Sprintf("{apiVersion: crossfade/v1, kind: Service, name: %s, hosts: [%s], pathPrefixes: [%s], ", name, hosts, prefixes) + origins
	}
	docs := service("shop", `shop.test, "*.shop.test", "[::1]"`, "/") +
		service("cart", "shop.test", "/cart, /v2/cart") +
		service("admin", "shop.test, admin.test", "/cart/admin") +
		service("deep", `"*.deep.shop.test"`, "/") +
		service("rest", `"*"`, "/")
	cases := []struct{ host, path, want string }{
		{"shop.test", "/", "shop"},
		{"shop.test", "/cart", "cart"},
		{"shop.test", "/cart?x=/admin", "cart"},
		{"shop.test", "/cart/", "cart"},
		{"shop.test", "/cart/1", "cart"},
		{"shop.test", "/carts", "shop"},
		{"shop.test", "/Cart", "shop"},
		{"shop.test", "/x//cart", "shop"},
		{"shop.test", "/%63art", "shop"},
		{"shop.test", "/v2/cart/x", "cart"},
		{"shop.test", "/v2", "shop"},
		{"shop.test", "/cart/admin", "admin"},
		{"shop.test", "/cart/admin/x?y", "admin"},
		{"shop.test", "/cart/administrator", "cart"},
		{"SHOP.test.:8080", "/cart", "cart"},
		{"shop.test:1", "/", "shop"},
		{"Shop.Test.", "/", "shop"},
		{"[::1]", "/", "shop"},
		{"[::1]:8080", "/", "shop"},
		{"a.shop.test", "/cart", "shop"},
		{"a.b.shop.test:9", "/", "shop"},
		{"x.deep.shop.test.", "/", "deep"},
		{"deep.shop.test", "/", "shop"},
		{"admin.test", "/cart/admin", "admin"},
		{"admin.test", "/", ""},
		{"admin.test", "/cart", ""}, // no way back to "*"
		{"other.test", "/", "rest"},
		{"xshop.test", "/", "rest"},
		{"shop.test..", "/", "rest"},
		{"127.0.0.1", "/", "rest"},
	}
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newLab(t, version, docs)
		for _, c := range cases {
			want := ""
			if c.want != "" {
				want = c.want + "/a"
			}
			if r := l.get(c.host, c.path); r.origin() != want {
				t.Errorf("%s%s: %q answered %d, want %q", c.host, c.path, r.origin(), r.StatusCode, want)
			}
		}
	})
}

const pinned = twoOrigins + `pins:
- {name: h-exact, origin: eks, header: {name: X-Exact, exact: "1"}}
- {name: h-prefix, origin: eks, header: {name: x-prefix, prefix: ab}}
- {name: h-regex, origin: eks, header: {name: x-regex, regex: "a|bc"}}
- {name: h-present, origin: eks, header: {name: x-present, present: true}}
- {name: c-exact, origin: eks, cookie: {name: exact, exact: "1"}}
- {name: c-prefix, origin: eks, cookie: {name: prefix, prefix: ab}}
- {name: c-regex, origin: eks, cookie: {name: regex, regex: "a|bc"}}
- {name: c-present, origin: eks, cookie: {name: present, present: true}}
- {name: q-exact, origin: eks, query: {name: exact, exact: "1"}}
- {name: q-prefix, origin: eks, query: {name: prefix, prefix: ab}}
- {name: q-regex, origin: eks, query: {name: regex, regex: "a|bc"}}
- {name: q-present, origin: eks, query: {name: present, present: true}}
- {name: h-absent, origin: eks, header: {name: x-always, present: false}}
- {name: c-absent, origin: eks, cookie: {name: always, present: false}}
- {name: q-absent, origin: eks, query: {name: always, present: false}}
`

// TestPins sends requests that carry x-always, the cookie always and the parameter always, so that the pins on absence stay out of it but
// where they are meant.
func TestPins(t *testing.T) {
	type ask struct{ query, cookie, header, pin string }
	cases := []ask{
		{"", "", "", ""},
		{"", "", "x-exact: 1", "h-exact"},
		{"", "", "X-EXACT: 1", "h-exact"},
		{"", "", "x-exact: 11", ""},
		{"", "", "x-exact: ", ""},
		{"", "", "x-prefix: abc", "h-prefix"},
		{"", "", "x-prefix: ab", "h-prefix"},
		{"", "", "x-prefix: a", ""},
		{"", "", "x-prefix: xab", ""},
		{"", "", "x-regex: a", "h-regex"},
		{"", "", "x-regex: bc", "h-regex"},
		{"", "", "x-regex: abc", ""},
		{"", "", "x-regex: ab", ""},
		{"", "", "x-present: ", "h-present"},
		{"", "", "x-present: x", "h-present"},
		{"", "exact=1", "", "c-exact"},
		{"", "a=2; exact=1; b=3", "", "c-exact"},
		{"", "exact=11", "", ""},
		{"", "xexact=1", "", ""},
		{"", "a=exact=1", "", ""},
		{"", "prefix=abc", "", "c-prefix"},
		{"", "prefix=ba", "", ""},
		{"", "regex=bc", "", "c-regex"},
		{"", "regex=bcd", "", ""},
		{"", "present=", "", "c-present"},
		{"", "present=x", "", "c-present"},
		{"exact=1", "", "", "q-exact"},
		{"exact=1&exact=2", "", "", "q-exact"},
		{"exact=2&exact=1", "", "", ""},
		{"exact=11", "", "", ""},
		{"xexact=1", "", "", ""},
		{"prefix=abc", "", "", "q-prefix"},
		{"prefix=a", "", "", ""},
		{"regex=bc", "", "", "q-regex"},
		{"regex=abc", "", "", ""},
		{"present", "", "", "q-present"},
		{"present=", "", "", "q-present"},
		{"-", "", "", "q-absent"},
		{"", "-", "", "c-absent"},
		{"", "", "-", "h-absent"},
	}
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newLab(t, version, pinned)
		check := func(off bool) {
			for _, c := range cases {
				path, headers := "/?always=1&"+c.query, []string{"cookie: always=1; " + c.cookie, "x-always: 1", "x-other: 1"}
				if c.query == "-" {
					path = "/"
				}
				if c.cookie == "-" {
					headers[0] = "x-none: 1"
				}
				if c.header == "-" {
					headers[1] = "x-none: 1"
				} else if c.header != "" {
					headers[2] = c.header
				}
				want := "orders/ecs"
				if c.pin != "" && !off {
					want = "orders/eks"
				}
				if r := l.get("orders.test", path, headers...); r.origin() != want {
					t.Errorf("%+v, pins off: %t: %s answered, want %s", c, off, r.origin(), want)
				}
			}
		}
		check(false)
		s := *l.intent.service(t, "orders")
		s.Pins = append([]policy.Pin(nil), s.Pins...)
		for i := range s.Pins {
			s.Pins[i].Enabled = false
		}
		l.pull(&s)
		l.ads.AwaitAcked(t)
		l.eventually("the pins to be off", func() bool { return l.get("orders.test", "/?always=1", "x-exact: 1").origin() == "orders/ecs" })
		check(true)
	})
}

// TestInlineWeights is the variant without runtime keys: the levers are not there at all.
func TestInlineWeights(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newLab(t, version, twoOrigins+"split: {weights: {eks: 10000}}\npins: [{name: on, origin: ecs, header: {name: x-on, present: true}}, {name: off, origin: ecs, enabled: false, header: {name: x-off, present: true}}]\n")
		l.ads.SetStructure(translate.Build(nil, l.intent.services, translate.Options{InlineWeights: true}), strings.Split(l.address, ":")[0])
		l.ads.Set(translate.Layer(translate.LayerOf("orders"), []translate.Lever{{Key: policy.WeightKey("orders", "ecs"), Value: 10000}, {Key: policy.WeightKey("orders", "eks"), Value: 0}}))
		l.ads.AwaitAcked(t)
		l.envoy.AwaitRuntime(policy.WeightKey("orders", "eks"), "0")
		for header, want := range map[string]string{"x-none: 1": "orders/eks", "x-off: 1": "orders/eks", "x-on: 1": "orders/ecs"} {
			if r := l.get("orders.test", "/", header); r.origin() != want {
				t.Errorf("%s: %s answered, want %s", header, r.origin(), want)
			}
		}
	})
}

// TestAnswersOfOurOwn makes each cause happen and reads the body.
func TestAnswersOfOurOwn(t *testing.T) {
	refusing := func(t *testing.T) netip.AddrPort { return netip.MustParseAddrPort(envoytest.Port(t).Addr()) }
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newLab(t, version, twoOrigins+"timeouts: {request: 300ms}\n")
		steps := []struct {
			name, host, service, origin, code string
			status                            int
			before                            func()
		}{
			{"no such host", "nobody.test", "", "", "no_service", 404, func() {}},
			{"slow origin", "orders.test", "orders", "ecs", "timeout", 504, func() {
				l.origins["orders/ecs"].answer(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
			}},
			{"broken connection", "orders.test", "orders", "ecs", "connection_lost", 503, func() {
				l.origins["orders/ecs"].answer(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
			}},
			{"nobody listens", "orders.test", "orders", "ecs", "connect_failed", 503, func() {
				at := refusing(t)
				l.setEndpoints("orders", "ecs", at)
				l.awaitHost("orders/ecs", at.String())
			}},
			{"no endpoint", "orders.test", "orders", "ecs", "no_endpoint", 503, func() {
				l.ads.Set(translate.Endpoints("orders", "ecs", nil))
				l.eventually("no endpoint", func() bool {
					hosts, err := l.envoy.Hosts(t.Context())
					return err == nil && !slices.ContainsFunc(hosts, func(h envoyproc.Host) bool { return h.Cluster == "orders/ecs" })
				})
			}},
		}
		for _, s := range steps {
			s.before()
			r := l.get(s.host, "/a?patient=7")
			var body struct {
				Error struct{ Code, Message, Host, Path, Service, Origin, Cause string }
			}
			if err := json.Unmarshal([]byte(r.body), &body); err != nil {
				t.Fatalf("%s: %v in %q", s.name, err, r.body)
			}
			e := body.Error
			if r.StatusCode != s.status || e.Code != s.code || e.Host != s.host || e.Path != "/a" || e.Service != s.service || e.Origin != s.origin || e.Cause == "" || e.Message == "" {
				t.Errorf("%s: %s %s", s.name, r.Status, r.body)
			}
		}
		if log := l.envoy.Logs(); strings.Contains(log, "patient") {
			t.Errorf("a query string is in the log:\n%s", log)
		}
	})
}

// TestRetries asks an origin of one good and one refusing endpoint: with retries, which a service has unless it wants none, nobody notices.
func TestRetries(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		for _, c := range []struct {
			retries string
			failed  bool
		}{{"retries: {on: [none]}\n", true}, {"", false}, {"retries: {on: [connect-failure], attempts: 2}\n", false}} {
			l := newLab(t, version, twoOrigins+c.retries)
			bad := netip.MustParseAddrPort(envoytest.Port(t).Addr())
			l.setEndpoints("orders", "ecs", l.origins["orders/ecs"].address, bad)
			l.awaitHost("orders/ecs", bad.String())
			failed := 0
			for range 20 {
				// A client cannot ask for retries itself.
				if r := l.get("orders.test", "/", "x-envoy-retry-on: connect-failure,5xx", "x-envoy-max-retries: 5"); r.StatusCode != 200 {
					failed++
				}
			}
			if (failed > 0) != c.failed {
				t.Errorf("%q: %d of 20 failed", c.retries, failed)
			}
		}
	})
}

// TestNoTimeoutUnlessSet: an answer that takes longer than a forged limit arrives.
func TestNoTimeoutUnlessSet(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newLab(t, version, twoOrigins)
		l.origins["orders/ecs"].answer(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), 300*time.Millisecond)
			defer cancel()
			<-ctx.Done()
			fmt.Fprint(w, "late")
		})
		if r := l.get("orders.test", "/", "x-envoy-upstream-rq-timeout-ms: 50", "x-envoy-upstream-rq-per-try-timeout-ms: 50"); r.StatusCode != 200 || r.body != "late" {
			t.Errorf("%s %s", r.Status, r.body)
		}
	})
}

// TestHTTP2 speaks cleartext HTTP/2 to Envoy and lets Envoy speak it to the origin; trailers arrive, as gRPC needs.
func TestHTTP2(t *testing.T) {
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}, Timeout: 10 * time.Second}
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newLab(t, version, strings.ReplaceAll(twoOrigins, "{name: ecs,", "{name: ecs, protocol: http2,"))
		l.origins["orders/ecs"].answer(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Trailer", "grpc-status")
			fmt.Fprint(w, r.Proto)
			w.(http.Flusher).Flush()
			w.Header().Set("grpc-status", "0")
		})
		r := l.send(request{method: "POST", host: "orders.test", path: "/pkg.Service/Method", client: client, header: http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}}})
		if r.ProtoMajor != 2 || r.body != "HTTP/2.0" || r.Trailer.Get("grpc-status") != "0" {
			t.Errorf("%s %q, trailers %v", r.Proto, r.body, r.Trailer)
		}
		r = l.send(request{method: "POST", host: "nobody.test", path: "/pkg.Service/Method", client: client, header: http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}}})
		if r.StatusCode != 200 || r.Header.Get("grpc-status") != "12" || !strings.Contains(r.Header.Get("grpc-message"), "nobody.test") {
			t.Errorf("no service, over gRPC: %s %v", r.Status, r.Header)
		}
	})
}
