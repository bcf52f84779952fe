package translate_test

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// through sends a request as a comparator does.
func (l *lab) through(target string, r request) reply {
	l.t.Helper()
	if r.header == nil {
		r.header = http.Header{}
	}
	if target != "" {
		r.header.Set("X-Cf-Target", target)
	}
	inner := *l
	inner.address = l.experiment
	if r.host == "" {
		r.host = "orders.test"
	}
	out := inner.send(r)
	if via := out.Header.Values(policy.HeaderVia); len(via) != 1 || via[0] != "p1" {
		l.t.Errorf("%q: %s says it is %q", target, out.Status, via)
	}
	return out
}

// TestExperimentListener: a comparator reaches the origins of running mirrors through it, and nothing else; requests and answers pass as they are.
func TestExperimentListener(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newLab(t, version, twoOrigins+"retries: {on: [connect-failure, retriable-status-codes, reset], statusCodes: [503], attempts: 3}\n"+mirrored)
		l.eventually("the listener", func() bool {
			listeners, err := l.envoy.Listeners(t.Context())
			return err == nil && listeners[translate.ExperimentListener] == l.experiment
		})
		t.Run("asks the origin that is named", func(t *testing.T) {
			for _, origin := range []string{"orders/ecs", "orders/eks"} {
				for _, client := range []*http.Client{nil, overHTTP2} {
					r := l.through(origin+"@shadow", request{path: "/a?b", client: client, host: "shop.orders.test", header: headers(
						"X-Shadow", "try", "X-Cf-Mirror", "forged", "X-Cf-Key", "forged", "X-Envoy-Max-Retries", "9", "X-Envoy-Retry-On", "5xx",
						"X-Forwarded-For", "203.0.113.9", "X-Forwarded-Proto", "https", "X-Request-Id", "r-1")})
					saw := l.origins[origin].last(t)
					if r.StatusCode != 200 || r.origin() != origin || r.Header.Get(translate.HeaderFailed) != "" {
						t.Errorf("%s: %s from %q, %v", origin, r.Status, r.origin(), r.Header)
					}
					if saw.Host != "shop.orders.test" || saw.RequestURI != "/a?b" {
						t.Errorf("%s saw %s %s", origin, saw.Host, saw.RequestURI)
					}
					for name, want := range map[string]string{"X-Shadow": "try", "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Request-Id": "r-1"} {
						if got := strings.Join(saw.Header.Values(name), "|"); got != want {
							t.Errorf("%s: %q, want %q", name, got, want)
						}
					}
					for name := range saw.Header {
						if strings.HasPrefix(name, "X-Cf-") || strings.HasPrefix(name, "X-Envoy-") || name == "X-Forwarded-Port" {
							t.Errorf("%s saw %s: %q", origin, name, saw.Header.Get(name))
						}
					}
				}
			}
		})
		t.Run("reaches nothing else", func(t *testing.T) {
			for target, status := range map[string]int{
				"": 404, "orders/ecs": 404, "orders/eks": 404, "@comparator": 404, "xds": 404, "@shadow": 404, "a@b@shadow": 404, "orders/eks@shadow ": 200,
				"nobody/x@shadow": 503, policy.NoShadowCluster: 503, "orders/other@shadow": 503, "ORDERS/eks@shadow": 503, "orders/eks@shadow/..": 404,
			} {
				r := l.through(target, request{})
				want := "NR"
				if status == 503 {
					want = "NC"
				}
				if r.StatusCode != status || status != 200 && (r.origin() != "" || r.Header.Get(translate.HeaderFailed) != want) {
					t.Errorf("%q: %s, failed %q", target, r.Status, r.Header.Get(translate.HeaderFailed))
				}
			}
			if r := l.through("orders/eks@shadow", request{header: headers("Connection", "Upgrade", "Upgrade", "websocket")}); r.StatusCode != 403 {
				t.Errorf("an upgrade: %s", r.Status)
			}
			if r := l.get("orders.test", "/", "x-cf-target: orders/eks@shadow"); r.origin() != "orders/ecs" {
				t.Errorf("a client chose %q", r.origin())
			}
		})
		t.Run("tries once", func(t *testing.T) {
			o := l.origins["orders/eks"]
			o.answer(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set(translate.HeaderFailed, "forged")
				w.Header().Set(policy.HeaderVia, "forged")
				w.Header().Set("Server", "mine")
				w.WriteHeader(503)
			})
			before := o.count()
			r := l.through("orders/eks@shadow", request{header: headers("X-Envoy-Retry-On", "5xx", "X-Envoy-Max-Retries", "3")})
			if r.StatusCode != 503 || r.origin() == "" || r.Header.Get(translate.HeaderFailed) != "" || r.Header.Get("Server") != "mine" || o.count() != before+1 {
				t.Errorf("an origin's 503: %s %v after %d tries", r.Status, r.Header, o.count()-before)
			}
			o.answer(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
			before = o.count()
			r = l.through("orders/eks@shadow", request{})
			if r.StatusCode != 503 || r.Header.Get(translate.HeaderFailed) != "UC" || o.count() != before+1 {
				t.Errorf("an origin that hangs up: %s, failed %q, after %d tries", r.Status, r.Header.Get(translate.HeaderFailed), o.count()-before)
			}
		})
		t.Run("says why no origin answered", func(t *testing.T) {
			dead := netip.MustParseAddrPort(envoytest.Port(t).Addr())
			l.ads.Set(translate.ShadowEndpoints("orders", "eks", translate.Static([]netip.AddrPort{dead})))
			l.awaitHost("orders/eks@shadow", dead.String())
			l.eventually("refused", func() bool {
				r := l.through("orders/eks@shadow", request{})
				return r.StatusCode == 503 && r.Header.Get(translate.HeaderFailed) == "UF"
			})
			l.ads.Set(translate.ShadowEndpoints("orders", "eks", nil))
			l.eventually("no endpoint", func() bool {
				r := l.through("orders/eks@shadow", request{})
				return r.StatusCode == 503 && r.Header.Get(translate.HeaderFailed) == "UH"
			})
			if r := l.get("orders.test", "/"); r.StatusCode != 200 {
				t.Errorf("live: %s", r.Status)
			}
		})
	})
}

// TestExperimentListenerOnlyWhileAMirrorRuns: no mirror, no listener; nor at an address that others could reach.
func TestExperimentListenerOnlyWhileAMirrorRuns(t *testing.T) {
	const at = "127.0.0.1:10090"
	with := compile(t, "with", []byte(strings.ReplaceAll(twoOrigins+mirrored, "PORT", "10000")))
	without := compile(t, "without", []byte(strings.ReplaceAll(twoOrigins, "PORT", "10000")))
	for _, c := range []struct {
		name, at string
		in       intent
		opts     translate.Options
		want     bool
	}{
		{"a mirror", at, with, translate.Options{}, true},
		{"IPv6", "[::1]:10090", with, translate.Options{}, true},
		{"no mirror", at, without, translate.Options{}, false},
		{"no address", "", with, translate.Options{}, false},
		{"no loopback", "10.0.0.1:10090", with, translate.Options{}, false},
		{"no loopback, by TLS", "10.0.0.1:10090", with, translate.Options{Comparators: "control.example.test"}, true},
		{"every address, by TLS", "0.0.0.0:10090", with, translate.Options{Comparators: "control.example.test"}, false},
		{"every address", "0.0.0.0:10090", with, translate.Options{}, false},
		{"no port", "127.0.0.1", with, translate.Options{}, false},
		{"port 0", "127.0.0.1:0", with, translate.Options{}, false},
		{"a name", "localhost:10090", with, translate.Options{}, false},
		{"weights in the routes", at, with, translate.Options{InlineWeights: true}, false},
	} {
		got := false
		for _, r := range translate.Build(nil, c.in.services, c.opts).Listeners("127.0.0.1", c.at) {
			got = got || r.Name == translate.ExperimentListener
		}
		if got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
		if _, err := translate.ExperimentAddress(c.at, c.opts.Comparators != ""); (err != nil) != (!c.want && c.at != at && c.at != "") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestHaltedMirrorChangesNoStructure: the share is a lever alone.
func TestHaltedMirrorChangesNoStructure(t *testing.T) {
	in := compile(t, "with", []byte(strings.ReplaceAll(twoOrigins+mirrored, "PORT", "10000")))
	want := text(t, everything(in, translate.Options{}))
	s := in.service(t, "orders")
	halted := intent{in.fleets, []*policy.Service{s.WithMirror(s.Mirror.Halted())}}
	got := text(t, everything(halted, translate.Options{}))
	if w, g := strings.Split(string(want), "\n6 layers")[0], strings.Split(string(got), "\n6 layers")[0]; w != g {
		t.Errorf("differs at line %s", firstDifference([]byte(g), []byte(w)))
	}
	levers, off := translate.Levers(halted.services[0]), translate.Lever{Key: "m.orders.try", Fraction: true}
	if !slices.Contains(levers, off) {
		t.Errorf("levers: %+v", levers)
	}
	inline := everything(in, translate.Options{InlineWeights: true})
	for _, r := range inline["5 virtual hosts"] {
		if strings.Contains(string(r.Body.Value), "@comparator") {
			t.Errorf("%s copies with weights in the routes", r.Name)
		}
	}
}
