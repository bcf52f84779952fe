package cloudmap

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// with is an instance with attributes, told as "NAME=value".
func with(id, health string, attributes ...string) instance {
	i := instance{id: id, health: health, attributes: map[string]string{}}
	for _, a := range attributes {
		name, value, _ := strings.Cut(a, "=")
		i.attributes[name] = value
	}
	return i
}

func several(texts ...string) []instance {
	out := make([]instance, len(texts))
	for i, text := range texts {
		out[i] = instanceOf(text)
	}
	return out
}

func TestEndpoints(t *testing.T) {
	v4, port := "AWS_INSTANCE_IPV4=10.1.0.1", "AWS_INSTANCE_PORT=8080"
	for name, c := range map[string]struct {
		found []instance
		port  int
		want  string
	}{
		"none":                              {nil, 0, ""},
		"healthy":                           {several("10.1.0.2", "10.1.0.1"), 0, healthy("10.1.0.1", "10.1.0.2")},
		"unhealthy beside healthy":          {several("10.1.0.1 unhealthy", "10.1.0.2"), 0, "10.1.0.1:8080 unhealthy a draining, 10.1.0.2:8080 healthy a"},
		"unhealthy beside unknown":          {several("10.1.0.1 unhealthy", "10.1.0.2 unknown"), 0, "10.1.0.1:8080 unhealthy a draining, 10.1.0.2:8080 unknown a"},
		"all unhealthy":                     {several("10.1.0.1 unhealthy", "10.1.0.2 unhealthy"), 0, "10.1.0.1:8080 unhealthy a, 10.1.0.2:8080 unhealthy a"},
		"without a health check":            {[]instance{with("a", "", v4, port)}, 0, "10.1.0.1:8080"},
		"a health that AWS may invent":      {[]instance{with("a", "DEGRADED", v4, port)}, 0, "10.1.0.1:8080 degraded"},
		"IPv6":                              {[]instance{with("a", "HEALTHY", "AWS_INSTANCE_IPV6=2001:db8::1", port)}, 0, "[2001:db8::1]:8080 healthy"},
		"IPv4 before IPv6":                  {[]instance{with("a", "HEALTHY", "AWS_INSTANCE_IPV6=2001:db8::1", v4, port)}, 0, "10.1.0.1:8080 healthy"},
		"an address before a name":          {[]instance{with("a", "HEALTHY", "AWS_INSTANCE_CNAME=x.test", v4, port)}, 0, "10.1.0.1:8080 healthy"},
		"the port of the target":            {[]instance{with("a", "HEALTHY", v4, port)}, 9090, "10.1.0.1:9090 healthy"},
		"a port only of the target":         {[]instance{with("a", "HEALTHY", v4, "AWS_INSTANCE_PORT=x")}, 9090, "10.1.0.1:9090 healthy"},
		"it began unhealthy":                {[]instance{with("a", "HEALTHY", v4, port, "AWS_INIT_HEALTH_STATUS=UNHEALTHY")}, 0, "10.1.0.1:8080 healthy"},
		"twice, one well":                   {[]instance{with("a", "UNHEALTHY", v4, port), with("b", "HEALTHY", v4, port)}, 0, "10.1.0.1:8080 healthy"},
		"on two ports":                      {[]instance{with("a", "HEALTHY", v4, port), with("b", "HEALTHY", v4, "AWS_INSTANCE_PORT=81")}, 0, "10.1.0.1:81 healthy, 10.1.0.1:8080 healthy"},
		"an alias":                          {[]instance{instanceOf("10.1.0.9"), with("a", "HEALTHY", "AWS_ALIAS_DNS_NAME=lb.elb.amazonaws.com")}, 0, "error cloudmap_dns_name"},
		"a CNAME":                           {[]instance{with("a", "HEALTHY", "AWS_INSTANCE_CNAME=x.test")}, 0, "error cloudmap_dns_name"},
		"no server at all":                  {[]instance{with("a", "HEALTHY", "url=https://x.test")}, 0, "error cloudmap_address_missing"},
		"no attributes":                     {[]instance{{id: "a"}}, 0, "error cloudmap_address_missing"},
		"no port":                           {[]instance{with("a", "HEALTHY", v4)}, 0, "error cloudmap_port_missing"},
		"port zero":                         {[]instance{with("a", "HEALTHY", v4, "AWS_INSTANCE_PORT=0")}, 0, "error cloudmap_port_invalid"},
		"a port too large":                  {[]instance{with("a", "HEALTHY", v4, "AWS_INSTANCE_PORT=65536")}, 0, "error cloudmap_port_invalid"},
		"no address in the address":         {[]instance{with("a", "HEALTHY", "AWS_INSTANCE_IPV4=x.test", port)}, 0, "error cloudmap_address_invalid"},
		"IPv6 in IPv4":                      {[]instance{with("a", "HEALTHY", "AWS_INSTANCE_IPV4=2001:db8::1", port)}, 0, "error cloudmap_address_invalid"},
		"a zone in the address":             {[]instance{with("a", "HEALTHY", "AWS_INSTANCE_IPV6=fe80::1%eth0", port)}, 0, "error cloudmap_address_invalid"},
		"nobody's address":                  {[]instance{with("a", "HEALTHY", "AWS_INSTANCE_IPV4=0.0.0.0", port)}, 0, "error cloudmap_address_invalid"},
		"one malformed instance among many": {append(several("10.1.0.1", "10.1.0.2"), with("x", "UNHEALTHY")), 0, "error cloudmap_address_missing"},
	} {
		target := orders()
		target.Port = c.port
		es, err := endpointsOf(c.found, target)
		if got := told(discovery.Look{Endpoints: es, Err: err}); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestErrorsNameTheInstance: people must find it, and know what to do.
func TestErrorsNameTheInstance(t *testing.T) {
	for want, i := range map[string]instance{
		`"lb.test": instance "a" of Cloud Map service "orders" in namespace "shop" is a load balancer by name (AWS_ALIAS_DNS_NAME), which has no addresses in Cloud Map; use a dns origin with this name`: with("a", "", "AWS_ALIAS_DNS_NAME=lb.test"),
		`instance "a" of Cloud Map service "orders" in namespace "shop" does not say its port (AWS_INSTANCE_PORT); set the port in the origin`:                                                            with("a", "", "AWS_INSTANCE_IPV4=10.0.0.1"),
		`"x": instance "a" of Cloud Map service "orders" in namespace "shop" has no usable address in AWS_INSTANCE_IPV4; register the instance again`:                                                     with("a", "", "AWS_INSTANCE_IPV4=x"),
	} {
		if _, err := endpointsOf([]instance{i}, orders()); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestMetadata(t *testing.T) {
	i := instanceOf("10.1.0.1")
	for name, value := range map[string]string{
		"ECS_CLUSTER_NAME": "prod", "AWS_EC2_INSTANCE_ID": "i-1", "AWS_INIT_HEALTH_STATUS": "HEALTHY", "long": strings.Repeat("ä", 200), "bad": "a\xff",
	} {
		i.attributes[name] = value
	}
	want := map[string]string{"instance": "10.1.0.1", "ECS_CLUSTER_NAME": "prod", "AWS_EC2_INSTANCE_ID": "i-1", "long": strings.Repeat("ä", 128), "bad": "a\uFFFD"}
	if got := metadataOf(i); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	for n := range 30 {
		i.attributes[fmt.Sprintf("A%02d", n)] = "x"
	}
	if got := metadataOf(i); len(got) != maxMetadata || got["A14"] != "x" || got["A15"] != "" || got["instance"] != "10.1.0.1" {
		t.Errorf("got %v", got)
	}
	if got := metadataOf(instance{}); got != nil {
		t.Errorf("of nothing: %v", got)
	}
	if got := metadataOf(with("a", "", "instance=mine")); got["instance"] != "mine" {
		t.Errorf("an attribute of the user's own was replaced: %v", got)
	}
}

// FuzzEndpoints: whatever is registered, the order does not matter, each address is there once, something takes requests, nothing is
// left out without an error, and what is kept is bounded.
func FuzzEndpoints(f *testing.F) {
	f.Add("a HEALTHY 10.0.0.1 80\nb UNHEALTHY 10.0.0.2 80\nc UNHEALTHY 10.0.0.1 80", uint16(0), uint64(1))
	f.Add("a HEALTHY 10.0.0.1 80\na UNHEALTHY 10.0.0.1 80", uint16(0), uint64(1))
	f.Add("a X :: 80\nb Y fe80::1%x 80", uint16(90), uint64(2))
	f.Fuzz(func(t *testing.T, text string, port uint16, seed uint64) {
		var found []instance
		for line := range strings.Lines(text) {
			w := append(strings.Split(strings.TrimSuffix(line, "\n"), " "), "", "", "", "")
			found = append(found, with(w[0], w[1], attributeIPv4+"="+w[2], attributePort+"="+w[3], attributeZone+"="+w[4], w[0]+"="+line))
		}
		target := Target{Namespace: "shop", Service: "orders", Port: int(port)}
		es, err := endpointsOf(found, target)
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(found), func(a, b int) { found[a], found[b] = found[b], found[a] })
		again, errAgain := endpointsOf(found, target)
		if !reflect.DeepEqual(es, again) || (err == nil) != (errAgain == nil) {
			t.Fatalf("%v, %v\nand shuffled %v, %v", es, err, again, errAgain)
		}
		if err != nil {
			var coded *policy.Error
			if !errors.As(err, &coded) || len(es) > 0 {
				t.Fatalf("%v, %v", err, es)
			}
			return
		}
		checkEndpoints(t, found, es)
	})
}

func checkEndpoints(t *testing.T, found []instance, es []discovery.Endpoint) {
	t.Helper()
	ready := len(es) == 0
	seen := map[netip.AddrPort]bool{}
	for _, e := range es {
		ready = ready || e.State == discovery.Ready
		if !e.Address.IsValid() || e.Address.Port() == 0 || seen[e.Address] {
			t.Fatalf("address %v", e.Address)
		}
		seen[e.Address] = true
		if len(e.Metadata) > maxMetadata || len(e.Health) > maxHealthBytes {
			t.Fatalf("%v", e)
		}
		for name, value := range e.Metadata {
			if len(name) > maxMetadataBytes || len(value) > maxMetadataBytes || !utf8.ValidString(value) {
				t.Fatalf("%q: %q", name, value)
			}
		}
	}
	if !ready {
		t.Fatalf("nothing takes requests: %v", es)
	}
	for _, i := range found {
		address := netip.MustParseAddr(i.attributes[attributeIPv4])
		if !slices.ContainsFunc(es, func(e discovery.Endpoint) bool { return e.Address.Addr() == address }) {
			t.Fatalf("%v was left out", address)
		}
	}
}
