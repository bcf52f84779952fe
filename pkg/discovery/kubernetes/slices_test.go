package kubernetes

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// parse reads slices as JSON, which is as they come.
func parse(t testing.TB, texts ...string) []*discoveryv1.EndpointSlice {
	t.Helper()
	var out []*discoveryv1.EndpointSlice
	for i, text := range texts {
		s := &discoveryv1.EndpointSlice{}
		if err := json.Unmarshal([]byte(text), s); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if s.Name == "" {
			s.Name = fmt.Sprintf("slice-%d", i)
		}
		if s.AddressType == "" {
			s.AddressType = discoveryv1.AddressTypeIPv4
		}
		out = append(out, s)
	}
	return out
}

const http8080 = `"ports": [{"name": "http", "protocol": "TCP", "port": 8080}]`

// told is a look as text: "10.0.0.1:8080 ready a" with state, zone and, if it is not the state's name, health.
func told(l discovery.Look) string {
	if l.Err != nil {
		return "error " + codeOf(l.Err)
	}
	var out []string
	for _, e := range l.Endpoints {
		text := e.Address.String() + " " + string(e.State)
		if e.Zone != "" {
			text += " " + e.Zone
		}
		if e.Health != string(e.State) {
			text += " (" + e.Health + ")"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func codeOf(err error) string {
	if e := (*policy.Error)(nil); errors.As(err, &e) {
		return e.Code
	}
	return err.Error()
}

func TestLookAt(t *testing.T) {
	for name, c := range map[string]struct {
		port   string
		slices []string
		want   string
	}{
		"no slices":                {"http", nil, "error kubernetes_service_missing"},
		"a slice of nothing":       {"http", []string{`{}`}, ""},
		"a slice of ports alone":   {"http", []string{`{` + http8080 + `}`}, ""},
		"one endpoint":             {"http", []string{`{"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "zone": "a"}], ` + http8080 + `}`}, "10.0.0.1:8080 ready a"},
		"nothing said is ready":    {"http", []string{`{"endpoints": [{"addresses": ["10.0.0.1"]}], ` + http8080 + `}`}, "10.0.0.1:8080 ready ()"},
		"not ready is not there":   {"http", []string{`{"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": false}}], ` + http8080 + `}`}, ""},
		"nor if it does not serve": {"http", []string{`{"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": false, "serving": false}}], ` + http8080 + `}`}, ""},
		"serving is there":         {"http", []string{`{"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": false, "serving": true}}], ` + http8080 + `}`}, "10.0.0.1:8080 ready (serving)"},
		"terminating and serving drains": {
			"http",
			[]string{`{"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": false, "serving": true, "terminating": true}}], ` + http8080 + `}`},
			"10.0.0.1:8080 draining (serving, terminating)",
		},
		"terminating and not serving drains too": {
			"http",
			[]string{`{"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true, "serving": false, "terminating": true}}], ` + http8080 + `}`},
			"10.0.0.1:8080 draining (terminating)",
		},
		"terminating, nothing said of serving": {
			"http",
			[]string{`{"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": false, "terminating": true}}, {"addresses": ["10.0.0.2"], "conditions": {"terminating": true}}], ` + http8080 + `}`},
			"10.0.0.1:8080 draining (terminating), 10.0.0.2:8080 draining (serving, terminating)",
		},
		"not yet ready and not serving, with published addresses": {
			"http",
			[]string{`{"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true, "serving": false}}], ` + http8080 + `}`},
			"10.0.0.1:8080 ready",
		},
		"several slices, by address": {
			"http",
			[]string{
				`{"endpoints": [{"addresses": ["10.0.0.10"]}, {"addresses": ["10.0.0.9"], "conditions": {"ready": true}}], ` + http8080 + `}`,
				`{"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}], "ports": [{"name": "http", "port": 9090}]}`,
			},
			"10.0.0.1:9090 ready, 10.0.0.9:8080 ready, 10.0.0.10:8080 ready ()",
		},
		"dual stack": {
			"http",
			[]string{
				`{"addressType": "IPv6", "endpoints": [{"addresses": ["2001:db8::1"], "conditions": {"ready": true}}], ` + http8080 + `}`,
				`{"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}], ` + http8080 + `}`,
			},
			"10.0.0.1:8080 ready, [2001:db8::1]:8080 ready",
		},
		"twice is once: ready wins": {
			"http",
			[]string{
				`{"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": false, "serving": true, "terminating": true}, "zone": "a"}], ` + http8080 + `}`,
				`{"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "zone": "b"}], ` + http8080 + `}`,
				`{"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "zone": "c"}], ` + http8080 + `}`,
			},
			"10.0.0.1:8080 ready b",
		},
		"of one endpoint, the first address": {"http", []string{`{"endpoints": [{"addresses": ["10.0.0.1", "10.0.0.2"], "conditions": {"ready": true}}], ` + http8080 + `}`}, "10.0.0.1:8080 ready"},
		"written by others": {
			"http",
			[]string{`{"metadata": {"labels": {"endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io"}}, "endpoints": [{"addresses": ["10.0.0.1"]}], ` + http8080 + `}`},
			"10.0.0.1:8080 ready ()",
		},
		"host names":                      {"http", []string{`{"addressType": "FQDN", "endpoints": [{"addresses": ["x.test"]}], ` + http8080 + `}`}, "error kubernetes_address_type"},
		"an address type of the future":   {"http", []string{`{"addressType": "IPv7", "endpoints": [{"addresses": ["1::2"]}], ` + http8080 + `}`}, "error kubernetes_address_type"},
		"no address":                      {"http", []string{`{"endpoints": [{"addresses": []}], ` + http8080 + `}`}, "error kubernetes_address_invalid"},
		"not an address":                  {"http", []string{`{"endpoints": [{"addresses": ["10.0.0"]}], ` + http8080 + `}`}, "error kubernetes_address_invalid"},
		"an address of the other type":    {"http", []string{`{"endpoints": [{"addresses": ["2001:db8::1"]}], ` + http8080 + `}`}, "error kubernetes_address_invalid"},
		"an address with an interface":    {"http", []string{`{"addressType": "IPv6", "endpoints": [{"addresses": ["fe80::1%eth0"]}], ` + http8080 + `}`}, "error kubernetes_address_invalid"},
		"by number":                       {"8080", []string{`{"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}], ` + http8080 + `}`}, "10.0.0.1:8080 ready"},
		"the only port":                   {"", []string{`{"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}], ` + http8080 + `}`}, "10.0.0.1:8080 ready"},
		"a port without a name":           {"", []string{`{"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}], "ports": [{"port": 80}]}`}, "10.0.0.1:80 ready"},
		"its number under two names":      {"80", []string{`{"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}], "ports": [{"name": "a", "port": 80}, {"name": "b", "port": 80}]}`}, "10.0.0.1:80 ready"},
		"a number where ports are free":   {"80", []string{`{"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}]}`}, "10.0.0.1:80 ready"},
		"a number where numbers are free": {"80", []string{`{"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}], "ports": [{"name": "a"}]}`}, "10.0.0.1:80 ready"},
		"a name where numbers are free":   {"a", []string{`{"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}], "ports": [{"name": "a"}]}`}, "error kubernetes_port_missing"},
		"a port that only some slices have": {
			"new",
			[]string{
				`{"endpoints": [{"addresses": ["10.0.0.1"]}], ` + http8080 + `}`,
				`{"endpoints": [{"addresses": ["10.0.0.2"], "conditions": {"ready": true}}], "ports": [{"name": "http", "port": 8080}, {"name": "new", "port": 81}]}`,
			},
			"10.0.0.2:81 ready",
		},
		"a port of UDP":        {"dns", []string{`{"endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"name": "dns", "protocol": "UDP", "port": 53}]}`}, "error kubernetes_port_missing"},
		"no such port":         {"grpc", []string{`{"endpoints": [{"addresses": ["10.0.0.1"]}], ` + http8080 + `}`}, "error kubernetes_port_missing"},
		"no such number":       {"80", []string{`{"endpoints": [{"addresses": ["10.0.0.1"]}], ` + http8080 + `}`}, "error kubernetes_port_missing"},
		"which of the ports":   {"", []string{`{"endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2}]}`}, "error kubernetes_port_ambiguous"},
		"no ports and no name": {"", []string{`{"endpoints": [{"addresses": ["10.0.0.1"]}]}`}, "error kubernetes_port_missing"},
	} {
		t.Run(name, func(t *testing.T) {
			l := lookAt(parse(t, c.slices...), Target{Namespace: "shop", Service: "orders", Port: c.port}, at)
			if got := told(l); got != c.want || l.At != at || l.Meant {
				t.Errorf("got %q (%v), want %q", got, l.Err, c.want)
			}
		})
	}
}

// TestErrorsSayWhatThereIs holds the sentences.
func TestErrorsSayWhatThereIs(t *testing.T) {
	endpoints := `"endpoints": [{"addresses": ["x.test"]}], `
	for want, c := range map[string]struct{ port, slice string }{
		`"grpc": service "orders" in namespace "shop" has no such port; there are: admin (9000), http (8080); name one of them`: {
			"grpc", `{` + endpoints + `"ports": [{"name": "http", "port": 8080}, {"name": "admin", "port": 9000}]}`,
		},
		`"80": service "orders" in namespace "shop" has no such port: its slices have no TCP ports at all`: {
			"80", `{` + endpoints + `"ports": [{"name": "dns", "port": 53, "protocol": "UDP"}]}`,
		},
		`"x.test": slice "slice-0" of service "orders" in namespace "shop" has host names (address type FQDN); only IPv4 and IPv6 addresses can be used; use a dns origin for a service of host names`: {
			"http", `{"addressType": "FQDN", ` + endpoints + http8080 + `}`,
		},
	} {
		l := lookAt(parse(t, c.slice), Target{Namespace: "shop", Service: "orders", Port: c.port}, at)
		if l.Err == nil || l.Err.Error() != want {
			t.Errorf("got  %v\nwant %s", l.Err, want)
		}
	}
}

// TestShuffledSlices: the order in which slices come does not show.
func TestShuffledSlices(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	var texts []string
	for i := range 5 {
		var endpoints []string
		for range 20 {
			endpoints = append(endpoints, fmt.Sprintf(`{"addresses": ["10.0.0.%d"], "zone": "z%d", "conditions": {"terminating": %v}}`, r.IntN(30), i, r.IntN(2) == 0))
		}
		texts = append(texts, fmt.Sprintf(`{"metadata": {"name": "s%d"}, "endpoints": [%s], %s}`, i, strings.Join(endpoints, ","), http8080))
	}
	target := Target{Namespace: "shop", Service: "orders", Port: "http"}
	all := parse(t, texts...)
	want := told(lookAt(all, target, at))
	for range 50 {
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		if got := told(lookAt(all, target, at)); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// FuzzLookAt: whatever slices say, a look is an error or endpoints that are each there once, in order, with a port.
func FuzzLookAt(f *testing.F) {
	f.Add("http", `[{"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], `+http8080+`}]`)
	f.Add("80", `[{"addressType": "IPv6", "endpoints": [{"addresses": ["::1", "::2"], "conditions": {"serving": true, "terminating": true}}]}, {}]`)
	f.Add("", `[{"addressType": "FQDN", "endpoints": [{}]}, {"ports": [{"port": -1}, {"port": 70000, "protocol": "SCTP"}]}]`)
	f.Fuzz(func(t *testing.T, port, text string) {
		var parsed []*discoveryv1.EndpointSlice
		if json.Unmarshal([]byte(text), &parsed) != nil || slices.Contains(parsed, nil) {
			return
		}
		l := lookAt(parsed, Target{Namespace: "n", Service: "s", Port: port}, at)
		if l.Err != nil {
			if e := (*policy.Error)(nil); !errors.As(l.Err, &e) || e.Code == "" || e.Message == "" || len(l.Endpoints) > 0 {
				t.Fatalf("error %v with %v", l.Err, l.Endpoints)
			}
			return
		}
		last := netip.AddrPort{}
		for _, e := range l.Endpoints {
			if !e.Address.Addr().IsValid() || e.Address.Port() == 0 && port != "0" || e.Address.Compare(last) <= 0 {
				t.Fatalf("%v after %v", e.Address, last)
			}
			if last = e.Address; e.State != discovery.Ready && e.State != discovery.Draining {
				t.Fatalf("state %q", e.State)
			}
		}
	})
}
