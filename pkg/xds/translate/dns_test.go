package translate_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/crossfade-proxy/crossfade/internal/dnstest"
	"github.com/crossfade-proxy/crossfade/internal/envoybin"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// lookedUp is a service with a name looked up in both ways, and an origin beside them; PORT, TARGET and RESOLVER are filled in.
const lookedUp = `{apiVersion: crossfade/v1, kind: Service, name: orders, hosts: [orders.test], primary: strict, listener: {port: PORT}, origins: [
{name: strict, dns: {host: lb.test, port: %[1]d, resolvers: ["%[2]s"], lookup: strict}},
{name: logical, dns: {host: lb.test, port: %[1]d, resolvers: ["%[2]s"], lookup: logical}},
{name: static, static: {endpoints: ["127.0.0.1:1"]}}],
pins: [{name: logical, origin: logical, header: {name: x-logical, present: true}}, {name: static, origin: static, header: {name: x-static, present: true}}]}
`

// Headers of requests that go to one of its origins.
const (
	strict  = "x-none: 1"
	logical = "x-logical: 1"
)

// dnsLab is an Envoy, the DNS server that it asks, and two servers with the same port.
type dnsLab struct {
	*lab
	dns  *dnstest.Server
	a, b *origin
}

func newDNSLab(t *testing.T, version string, first func(a, b *origin) dnstest.Answer) *dnsLab {
	t.Helper()
	d := &dnsLab{dns: dnstest.Start(t), a: startOrigin(t, "a")}
	d.b = startOriginAt(t, "b", int(d.a.address.Port()))
	d.dns.Set("lb.test", first(d.a, d.b))
	d.lab = newLab(t, version, fmt.Sprintf(lookedUp, d.a.address.Port(), d.dns.Addr))
	return d
}

func at(origins ...*origin) dnstest.Answer {
	var addrs []netip.Addr
	for _, o := range origins {
		addrs = append(addrs, o.address.Addr())
	}
	return dnstest.Addresses(time.Second, addrs...)
}

func onlyA(a, _ *origin) dnstest.Answer { return at(a) }

// TestDNSFollows: strict endpoints are those of the last answer; a logical name is its first address.
func TestDNSFollows(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		t.Parallel() // it is mostly waiting
		d := newDNSLab(t, version, onlyA)
		d.awaitAnswerers("one address", "a")
		d.dns.Set("lb.test", at(d.a, d.b))
		d.awaitAnswerers("two addresses", "a", "b")
		if got := d.spread(40, logical); got["a"] != 40 {
			t.Errorf("the logical name is not its first address: %v", got)
		}
		d.dns.Set("lb.test", at(d.b))
		d.awaitAnswerers("the other address", "b")
		asked := d.dns.Asked("lb.test")
		if took := asked[len(asked)-1].At.Sub(asked[0].At); took > time.Duration(len(asked))*time.Second {
			t.Errorf("with a TTL of a second it asked %d times in %v", len(asked), took)
		}
		d.dns.Set("lb.test", dnstest.Addresses(0, d.b.address.Addr()))
		n := len(d.dns.Asked("lb.test"))
		asked = d.dns.AwaitAsked("lb.test", n+6)[n:] // three rounds of two clusters
		if took := asked[5].At.Sub(asked[0].At); took < 1900*time.Millisecond {
			t.Errorf("with a TTL of 0 it asked three times in %v", took)
		}
	})
}

// TestDNSWithoutAddresses: servers that fail or say nothing leave the addresses that were known. An answer that there are none is believed of
// strict endpoints, as there it may be true, and not of a logical name. Whatever it was, the next good answer ends it.
func TestDNSWithoutAddresses(t *testing.T) {
	brokenIPv4 := map[string]int{envoybin.Newest: 200, envoybin.Oldest: 503} // 1.37 takes the other half's answer for the whole
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		for _, c := range []struct {
			what   string
			answer dnstest.Answer
			strict int
		}{
			{"failure", dnstest.Failure, 200},
			{"silence", dnstest.Silence, 200},
			{"no such name", dnstest.NotFound, 503},
			{"a name without addresses", dnstest.Empty, 503},
			{"failure for IPv4 and no IPv6 address", dnstest.Answer{Broken: dnsmessage.TypeA}, brokenIPv4[version]},
		} {
			t.Run(c.what, func(t *testing.T) {
				t.Parallel() // each is mostly waiting
				d := newDNSLab(t, version, onlyA)
				d.dns.Set("lb.test", c.answer)
				d.dns.AwaitAsked("lb.test", len(d.dns.Asked("lb.test"))+8) // two rounds of both clusters
				d.eventually(fmt.Sprint("strict endpoints to answer ", c.strict), func() bool { return d.get("orders.test", "/").StatusCode == c.strict })
				if r := d.get("orders.test", "/", logical); r.StatusCode != 200 {
					t.Errorf("the logical name answers %d %s", r.StatusCode, r.body)
				}
				d.dns.Set("lb.test", at(d.b))
				d.awaitAnswerers("a good answer", "b")
			})
		}
	})
}

// TestDNSServerGone: with nobody at the server's address, what was known stays, and what is new is found soon after it is back.
func TestDNSServerGone(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		t.Parallel() // it is mostly waiting
		d := newDNSLab(t, version, onlyA)
		d.dns.Down()
		gone := time.Now()
		d.eventually("answers to run out", func() bool {
			if r := d.get("orders.test", "/"); r.StatusCode != 200 {
				t.Errorf("without DNS: %d %s", r.StatusCode, r.body)
			}
			return time.Since(gone) > 3*time.Second
		})
		d.dns.Set("lb.test", at(d.b))
		d.dns.Up()
		back := time.Now()
		d.awaitAnswerers("the server is back", "b")
		t.Logf("found %v after it was back", time.Since(back))
	})
}

// TestDNSOfAChangedCluster: a cluster that is changed while DNS fails begins anew, without the addresses that the old one knew.
func TestDNSOfAChangedCluster(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		d := newDNSLab(t, version, onlyA)
		d.awaitAnswerers("at first", "a")
		d.dns.Set("lb.test", dnstest.Failure)
		changed := *d.intent.service(t, "orders")
		changed.Origins = slices.Clone(changed.Origins)
		for i := range changed.Origins {
			changed.Origins[i].ConnectTimeout = 4 * time.Second
		}
		d.ads.SetStructure(translate.Build(nil, []*policy.Service{&changed}, translate.Options{}), strings.Split(d.address, ":")[0])
		for _, header := range []string{strict, logical} {
			d.eventually("no endpoint", func() bool { return d.get("orders.test", "/", header).StatusCode == 503 })
		}
		d.dns.Set("lb.test", at(d.a))
		d.awaitAnswerers("a good answer", "a")
	})
}

// TestDNSChangesUnderRequests: a request in flight ends at the address where it began, strict or logical, and is not cut. A logical name's
// open connections stay in use on 1.37; 1.40 leaves them once they are idle.
func TestDNSChangesUnderRequests(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		d := newDNSLab(t, version, onlyA)
		arrived, finish := make(chan struct{}), make(chan struct{})
		d.a.answer(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				arrived <- struct{}{}
				<-finish
			}
			fmt.Fprint(w, "finished")
		})
		replies := make(chan reply, 2)
		for _, header := range []string{strict, logical} {
			go func() { replies <- d.get("orders.test", "/slow", header) }()
			<-arrived
		}
		d.dns.Set("lb.test", at(d.b))
		d.awaitAnswerers("the other address", "b")
		d.eventually("a new connection of the logical name to go there", func() bool { return d.spread(1, logical)["b"] == 1 })
		close(finish)
		for range 2 {
			if r := <-replies; r.body != "finished" {
				t.Errorf("a request in flight got %d %s", r.StatusCode, r.body)
			}
		}
		// Both have idle connections to both addresses now, if they keep them.
		got := d.spread(40, logical)
		if stays := got["a"] > 0; stays != (version == envoybin.Oldest) {
			t.Errorf("after the change the logical name is served by %v", got)
		}
	})
}

// TestDNSAtTheStart: a name that nobody knows, or that the servers say nothing about, does not keep the proxy from serving the rest, and is
// served once it is known.
func TestDNSAtTheStart(t *testing.T) {
	const bound = 15 * time.Second // silence: 6 s; with the defaults of Envoy 100 s
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		for what, answer := range map[string]dnstest.Answer{"no such name": dnstest.NotFound, "silence": dnstest.Silence} {
			t.Run(what, func(t *testing.T) {
				t.Parallel() // each is mostly waiting
				begin := time.Now()
				d := newDNSLab(t, version, func(_, _ *origin) dnstest.Answer { return answer })
				took := time.Since(begin)
				t.Logf("the start took %v", took)
				if took > bound {
					t.Errorf("the start took %v", took)
				}
				if r := d.get("orders.test", "/", "x-static: 1"); r.origin() != "orders/static" {
					t.Errorf("another origin answers %d %s", r.StatusCode, r.body)
				}
				if r := d.get("orders.test", "/"); r.StatusCode != 503 {
					t.Errorf("the name answers %d %s", r.StatusCode, r.body)
				}
				d.dns.Set("lb.test", at(d.a))
				d.awaitAnswerers("a good answer", "a")
			})
		}
	})
}
