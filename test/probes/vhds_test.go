package probes

import (
	"fmt"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
)

// frame is a route configuration whose virtual hosts come by themselves.
func frame(name string) string {
	return fmt.Sprintf(`{name: %s, vhds: {config_source: %s}}`, name, overADS)
}

// catchAll is a virtual host for all that no other one takes.
func catchAll(frame string) string {
	return fmt.Sprintf(`{name: %s/*, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: 404}}]}`, frame)
}

// virtualHost sends what comes under domains to a cluster.
func virtualHost(name, domains, cluster string) string {
	return fmt.Sprintf(`{name: %s, domains: %s, routes: [{match: {prefix: /}, route: {cluster: %s}}]}`, name, domains, cluster)
}

// answers waits until a host on a listener is answered so.
func (b *bench) answers(listener, host, want string) {
	b.t.Helper()
	last := ""
	defer func() {
		if b.t.Failed() {
			b.t.Logf("%s on %s is answered %q, want %q", host, listener, last, want)
		}
	}()
	b.eventually(host, func() bool {
		last = b.ask(listener, "GET", "/", nil, "host: "+host).String()
		return last == want
	})
}

// TestVirtualHosts: how they travel on their own.
func TestVirtualHosts(t *testing.T) {
	const (
		domains = "translate.domains: hosts of a service become domains as they are; SRDS has no wildcards and compares by case"
		pushed  = "pkg/xds: virtual hosts of a new route configuration are pushed unasked, after RDS is acknowledged"
		parked  = "pkg/xds: resources of a refused response are tried one at a time; the culprit is parked"
		order   = "pkg/xds: clusters first, wait for the acknowledgement, then routes; removals last"
	)
	each(t, setup{origins: []string{"a", "b"}, rds: map[string]string{"main": frame("main")}}, func(b *bench) {
		b.fact("wildcards, exact names and any case match", domains, func(b *bench) {
			b.acked(virtualHosts, "main/a", virtualHost("main/a", `["*.wild.test", Exact.Test, "front.*"]`, "a"))
			b.answers("main", "exact.test", "200 a")
			for host, want := range map[string]string{
				"EXACT.test": "200 a", "x.wild.test": "200 a", "X.Y.WILD.TEST": "200 a", "wild.test": "404", "front.any": "200 a", "other.test": "404",
			} {
				same(b, host, b.ask("main", "GET", "/", nil, "host: "+host).String(), want)
			}
		})
		b.fact("one bad virtual host refuses the whole response, and the old ones stay", parked, func(b *bench) {
			r := b.verdict(b.post(virtualHosts, map[string]string{
				"main/b":   virtualHost("main/b", "[b.test]", "b"),
				"main/a":   virtualHost("main/a", "[exact.test]", "b"),
				"main/bad": virtualHost("main/bad", "[bad.test, bad.test]", "b"),
			}))
			if r == "" {
				b.t.Error("a domain listed twice is acknowledged")
			}
			b.acked(virtualHosts, "main/c", virtualHost("main/c", "[c.test]", "b"))
			b.answers("main", "c.test", "200 b")
			same(b, "the good one beside it", b.ask("main", "GET", "/", nil, "host: b.test").String(), "404")
			same(b, "the old one", b.ask("main", "GET", "/", nil, "host: exact.test").String(), "200 a")
		})
		b.fact("a route to an unknown cluster is acknowledged and answered 503", order, func(b *bench) {
			b.acked(virtualHosts, "main/n", virtualHost("main/n", "[nowhere.test]", "nowhere"))
			b.answers("main", "nowhere.test", "503")
		})
		b.fact("a domain moves between virtual hosts in one response, but not taken before it is given up", "pkg/xds: a live change of virtual hosts is never cut", func(b *bench) {
			takes, gives := virtualHost("main/d", "[exact.test]", "b"), virtualHost("main/a", "[nobody.test]", "a")
			b.refused(virtualHosts, "main/d", takes, "exact.test")
			same(b, "refusal", b.verdict(b.post(virtualHosts, map[string]string{"main/d": takes, "main/a": gives})), "")
			b.answers("main", "exact.test", "200 b")
		})
		b.fact("a virtual host under another name than its own is acknowledged and never removed", "translate: Resource.name and VirtualHost.name are the same string", func(b *bench) {
			b.acked(virtualHosts, "main/x", virtualHost("main/y", "[y.test]", "a"))
			b.answers("main", "y.test", "200 a")
			same(b, "refusal", b.verdict(b.remove(virtualHosts, "main/x")), "")
			b.acked(virtualHosts, "main/z", virtualHost("main/z", "[z.test]", "a"))
			b.answers("main", "z.test", "200 a")
			same(b, "after its removal", b.ask("main", "GET", "/", nil, "host: y.test").String(), "200 a")
		})
		b.fact("one outside its route configuration's name is acknowledged and dropped", "translate: names of virtual hosts are ROUTECONFIG/HOST", func(b *bench) {
			b.acked(virtualHosts, "stray", virtualHost("stray", "[stray.test]", "a"))
			b.acked(virtualHosts, "main/w", virtualHost("main/w", "[w.test]", "a"))
			b.answers("main", "w.test", "200 a")
			same(b, "the stray one", b.ask("main", "GET", "/", nil, "host: stray.test").String(), "404")
		})
		b.fact("a removal takes it away", pushed, func(b *bench) {
			same(b, "refusal", b.verdict(b.remove(virtualHosts, "main/c")), "")
			b.answers("main", "c.test", "404")
		})
	})
}

// TestStartWaitsForVirtualHosts: one at least.
func TestStartWaitsForVirtualHosts(t *testing.T) {
	const rests = "translate.virtualHosts: every route configuration has a catch-all virtual host"
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		b := begin(t, version, setup{rds: map[string]string{"main": "later"}})
		b.asked(routes, "main")
		b.acked(routes, "main", frame("main"))
		b.asked(virtualHosts, "*")
		b.fact("an empty first answer of VHDS does not end the waiting", rests, func(b *bench) {
			same(b, "refusal", b.verdict(b.post(virtualHosts, nil)), "")
			same(b, "it waits", b.waiting(), true)
		})
		b.fact("a first virtual host does", rests, func(b *bench) {
			b.acked(virtualHosts, "main/*", catchAll("main"))
			b.envoy.AwaitReady()
		})
	})
}

// TestVirtualHostsBeforeTheirFrame: listener "late" has no route configuration when its virtual host comes.
func TestVirtualHostsBeforeTheirFrame(t *testing.T) {
	const rests = "pkg/xds onlyServed: virtual hosts wait until their route configuration is acknowledged"
	s := setup{origins: []string{"a"}, rds: map[string]string{"main": frame("main"), "late": ""}}
	each(t, s, func(b *bench) {
		b.fact("a virtual host of a route configuration that is not there is acknowledged and dropped", rests, func(b *bench) {
			b.acked(virtualHosts, "late/early", virtualHost("late/early", "[early.test]", "a"))
			b.acked(routes, "late", frame("late"))
			b.acked(virtualHosts, "late/later", virtualHost("late/later", "[later.test]", "a"))
			b.answers("late", "later.test", "200 a")
			same(b, "the early one", b.ask("late", "GET", "/", nil, "host: early.test").String(), "404")
		})
		b.fact("one subscription serves all route configurations, and a later one asks nothing", rests, func(b *bench) {
			b.await("", func(p *puppet) bool {
				same(b, "times asked for all virtual hosts", p.count(virtualHosts, "*"), 1)
				return true
			})
		})
	})
}

// TestRefusedRoutes: RDS as a whole.
func TestRefusedRoutes(t *testing.T) {
	const rests = "pkg/xds parks what is refused: the old configuration goes on"
	config := func(routes string) string {
		return `{name: main, virtual_hosts: [{name: v, domains: ["*"], routes: [` + routes + `]}]}`
	}
	each(t, setup{origins: []string{"a"}, rds: map[string]string{"main": config(`{match: {prefix: /}, route: {cluster: a}}`)}}, func(b *bench) {
		b.fact("a refused route configuration leaves the old one", rests, func(b *bench) {
			b.refused(routes, "main", config(`{match: {prefix: /}, direct_response: {status: 204}}, {match: {safe_regex: {regex: "("}}, direct_response: {status: 204}}`), "missing )")
			b.want("/", "200 a")
		})
	})
}
