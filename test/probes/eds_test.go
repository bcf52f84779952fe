package probes

import (
	"fmt"
	"strings"
	"testing"
	"time"

	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3" // which clusters of probes have in them

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/origin"
)

// ours are the settings of clusters that the probes of endpoints share with translate.clusterResource.
const ours = `ignore_health_on_host_removal: true, common_lb_config: {healthy_panic_threshold: {value: 1}, update_merge_window: 0.05s}`

// discovering runs probes of a cluster "c" whose endpoints come by EDS: at first those of the line, see [bench.place]. Requests go to it.
func discovering(t *testing.T, origins []string, settings, line string, probes func(b *bench)) {
	s := setup{
		origins: origins, levers: "{}", dynamic: `{cds_config: ` + overADS + `}`,
		routes: "[" + fence + `, {match: {prefix: /}, route: {cluster: c, timeout: 0s}}]`,
	}
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		b := begin(t, version, s)
		b.lead(s)
		b.asked(clusters, "*")
		b.post(clusters, map[string]string{"c": eds("c", settings)})
		b.asked(endpoints, "c")
		b.place("c", line)
		b.envoy.AwaitReady()
		probes(b)
	})
}

// eds is a cluster whose endpoints come by EDS.
func eds(name, settings string) string {
	return `{name: ` + name + `, type: EDS, connect_timeout: 5s, eds_cluster_config: {eds_config: {ads: {}, resource_api_version: V3, initial_fetch_timeout: 0s}}, ` + settings + `}`
}

// place sends the endpoints of a cluster, names of origins with spaces between; "-a" drains. It returns when they are acknowledged.
func (b *bench) place(cluster, line string) {
	b.t.Helper()
	var hosts []any
	for name := range strings.FieldsSeq(line) {
		host := object{}
		if rest, draining := strings.CutPrefix(name, "-"); draining {
			name, host["health_status"] = rest, "DRAINING"
		}
		host["endpoint"] = object{"address": socketAddress(b.t, b.origins[name].Addr())}
		hosts = append(hosts, host)
	}
	b.acked(endpoints, cluster, string(asJSON(b.t, object{"cluster_name": cluster, "endpoints": []any{object{"lb_endpoints": hosts}}})))
}

// settle waits until the answers to requests are these and no others, and returns how long that took.
func (b *bench) settle(want ...string) time.Duration {
	b.t.Helper()
	begin := time.Now()
	b.eventually(fmt.Sprintf("%q and nothing else", want), func() bool {
		got := map[string]bool{}
		for range 4 * len(want) {
			got[b.get("/").String()] = true
		}
		for _, w := range want {
			if !got[w] {
				return false
			}
		}
		return len(got) == len(want)
	})
	return time.Since(begin)
}

// slowly sends a request that its origin answers after a while, waits until it has arrived there, and returns where its answer will come.
func (b *bench) slowly(at string) <-chan answer {
	b.t.Helper()
	out := make(chan answer, 1)
	go func() { out <- b.get("/slow", "x-answer: delay=700ms") }()
	b.eventually("the slow request at "+at, func() bool { // what is in flight there alone may be a health check
		return b.stat("cluster.c.upstream_rq_active") == 1 && b.origins[at].InFlight() > 0
	})
	return out
}

// held is how many connections Envoy has opened to a cluster, and closed.
func (b *bench) held(cluster string) (opened, closed uint64) {
	b.t.Helper()
	return b.stat("cluster." + cluster + ".upstream_cx_total"), b.stat("cluster." + cluster + ".upstream_cx_destroy")
}

// TestDrainingEndpoints: what EDS says is DRAINING.
func TestDrainingEndpoints(t *testing.T) {
	const rests = "pkg/discovery: endpoints that stop are DRAINING first, and removed later"
	discovering(t, []string{"a", "b"}, ours, "a", func(b *bench) {
		var slow <-chan answer
		b.fact("it gets no new requests; those in flight finish, and its connections stay open", rests, func(b *bench) {
			b.want("/", "200 a")
			slow = b.slowly("a")
			_, closed := b.held("c")
			b.place("c", "-a b")
			b.settle("200 b")
			b.want("/", "200 b")
			same(b, "the request in flight", (<-slow).String(), "200 a")
			_, after := b.held("c")
			same(b, "connections closed", after, closed)
			same(b, "connections to it", b.origins["a"].Connections() > 0, true)
		})
		b.fact("ready again, it is used by the connections that it had", rests, func(b *bench) {
			opened, closed := b.held("c")
			b.place("c", "a b")
			b.settle("200 a", "200 b")
			o, c := b.held("c")
			same(b, "connections opened", o, opened)
			same(b, "connections closed", c, closed)
		})
		b.fact("if all endpoints drain, all are used: the panic threshold is above 0", "translate.panicThreshold", func(b *bench) {
			b.place("c", "-a -b")
			b.settle("200 a", "200 b")
			b.want("/", "200 a", "200 b")
		})
	})
	discovering(t, []string{"a"}, "common_lb_config: {healthy_panic_threshold: {value: 0}}", "-a", func(b *bench) {
		b.fact("with a panic threshold of 0, nothing is: 503", "translate.panicThreshold", func(b *bench) { b.want("/", "503") })
	})
}

// TestMergedUpdates: two changes of health within a second.
func TestMergedUpdates(t *testing.T) {
	const rests = "translate.mergeWindow is 50 ms: with Envoy's own, an endpoint that drains gets requests for up to a second more"
	twice := func(b *bench) time.Duration {
		b.place("c", "-a b d")
		b.settle("200 b", "200 d")
		b.place("c", "-a -b d")
		return b.settle("200 d")
	}
	discovering(t, []string{"a", "b", "d"}, "common_lb_config: {healthy_panic_threshold: {value: 1}}", "a b d", func(b *bench) {
		b.fact("on 1.37 the second reaches the workers only after another second, by default; on 1.40 at once", rests, func(b *bench) {
			took := twice(b)
			b.t.Log(took)
			same(b, "late", took > 500*time.Millisecond, !b.since(1, 40))
		})
	})
	discovering(t, []string{"a", "b", "d"}, ours, "a b d", func(b *bench) {
		b.fact("with a window of 50 ms it is not late", rests, func(b *bench) {
			took := twice(b)
			b.t.Log(took)
			same(b, "late", took > 500*time.Millisecond, false)
		})
	})
}

// TestEndpointsWithoutResource: a control plane that knows nothing of an origin's endpoints answers by a removal.
func TestEndpointsWithoutResource(t *testing.T) {
	const rests = "pkg/xds: an origin whose source has not answered yet has no endpoints resource, and who asks is told of its removal"
	discovering(t, []string{"a"}, ours, "a", func(b *bench) {
		b.fact("the removal leaves the endpoints that were known", rests, func(b *bench) {
			b.want("/", "200 a")
			same(b, "refusal", b.verdict(b.remove(endpoints, "c")), "")
			b.pull("{}")
			b.want("/", "200 a")
			_, closed := b.held("c")
			same(b, "connections closed", closed, 0)
		})
		b.fact("a new cluster waits for endpoints, keeping nobody else waiting, until they are removed; then it is there, and answers 503", rests, func(b *bench) {
			added := b.post(clusters, map[string]string{"c": eds("c", ours), "d": eds("d", ours)})
			b.asked(endpoints, "d")
			b.pull("{}")
			same(b, "warming", b.stat("cluster_manager.warming_clusters"), 1)
			b.want("/", "200 a")
			same(b, "refusal", b.verdict(b.remove(endpoints, "d")), "")
			same(b, "refusal", b.verdict(added), "")
			same(b, "warming", b.stat("cluster_manager.warming_clusters"), 0)
			b.want("/", "200 a")
		})
		b.fact("a changed cluster takes nothing over from the old one: answered so, it has no endpoint", "pkg/xds: a changed cluster must not be sent while its endpoints are not known", func(b *bench) {
			changed := b.post(clusters, map[string]string{"c": eds("c", ours+", per_connection_buffer_limit_bytes: 4096")})
			b.pull("{}")
			b.want("/", "200 a")
			same(b, "refusal", b.verdict(b.remove(endpoints, "c")), "")
			same(b, "refusal", b.verdict(changed), "")
			b.settle("503")
		})
	})
}

// TestHealthChecksHoldClusters: one endpoint of a new cluster says nothing to its check.
func TestHealthChecksHoldClusters(t *testing.T) {
	const (
		rests   = "pkg/xds: whatever waits for clusters waits for the first check of an endpoint that says nothing, at most healthCheck.timeout"
		timeout = 2 * time.Second
		check   = `, health_checks: [{timeout: 2s, interval: 5s, unhealthy_threshold: 2, healthy_threshold: 2, http_health_check: {path: /healthz}}]`
	)
	discovering(t, []string{"a", "b"}, ours, "a", func(b *bench) {
		if err := b.origins["b"].SetState(origin.BlackHole); err != nil {
			b.t.Fatal(err)
		}
		b.fact("a new cluster waits until each endpoint has been checked once, and so do acknowledgements of all other clusters", rests, func(b *bench) {
			begin := time.Now()
			added := b.post(clusters, map[string]string{"d": eds("d", ours+check)})
			b.asked(endpoints, "d")
			b.place("d", "a b")
			other := b.post(clusters, map[string]string{"e": `{name: e, type: STATIC, connect_timeout: 1s, load_assignment: {cluster_name: e}}`})
			for _, nonce := range []string{other, added} {
				same(b, "refusal", b.verdict(nonce), "")
				took := time.Since(begin)
				same(b, "held as long as a check takes to fail", took > timeout-100*time.Millisecond && took < 2*timeout, true)
			}
		})
	})
}

// TestChangedEndpoints: what a change of endpoints leaves alone.
func TestChangedEndpoints(t *testing.T) {
	const rests = "endpoints change by EDS only, never by CDS: docs/design/endpoints.md"
	check := `, health_checks: [{timeout: 1s, interval: 0.1s, no_traffic_interval: 0.1s, unhealthy_threshold: 1, healthy_threshold: 1, http_health_check: {path: /healthz}}]`
	discovering(t, []string{"a", "b", "d"}, ours+check, "a b", func(b *bench) {
		b.settle("200 a", "200 b")
		b.fact("one added and one removed: no cluster is replaced, no connection of the others closed", rests, func(b *bench) {
			updates, closed := b.stat("cluster_manager.cluster_modified"), b.origins["a"].Connections()
			b.place("c", "a d")
			b.settle("200 a", "200 d")
			same(b, "clusters modified", b.stat("cluster_manager.cluster_modified"), updates)
			same(b, "clusters warming", b.stat("cluster_manager.warming_clusters"), 0)
			same(b, "connections to the one that stays", b.origins["a"].Connections(), closed)
		})
		b.fact("the health of one that stays is kept, also over draining", rests, func(b *bench) {
			failures := b.stat("cluster.c.health_check.failure")
			for _, line := range []string{"a b d", "-a b d", "a b"} {
				b.place("c", line)
				health := b.health("a")
				same(b, "failing "+line, strings.Contains(health, "failed_active_hc"), false)
			}
			same(b, "checks failed", b.stat("cluster.c.health_check.failure"), failures)
		})
	})
}

// TestRemovedEndpoints: what a removal ends, and what not.
func TestRemovedEndpoints(t *testing.T) {
	const (
		rests = "translate.clusterResource: ignore_health_on_host_removal; pkg/discovery: what is removed has drained before"
		check = `, health_checks: [{timeout: 1s, interval: 0.1s, no_traffic_interval: 0.1s, unhealthy_threshold: 1, healthy_threshold: 1, http_health_check: {path: /healthz}}]`
		http2 = `, typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {
			"@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http2_protocol_options: {}}}}`
	)
	for _, way := range []struct{ name, settings string }{{"HTTP/1.1", ours + check}, {"HTTP/2", ours + http2}} {
		discovering(t, []string{"a", "b"}, way.settings, "a b", func(b *bench) {
			b.settle("200 a", "200 b")
			b.fact("over "+way.name+" it is gone at once, though its check passes, and requests in flight finish", rests, func(b *bench) {
				b.place("c", "a")
				b.settle("200 a")
				slow := b.slowly("a")
				b.place("c", "b")
				same(b, "health", b.health("a"), "gone")
				b.settle("200 b")
				same(b, "the request in flight", (<-slow).String(), "200 a")
				b.eventually("its connections to be closed", func() bool { return b.origins["a"].Connections() == 0 })
			})
		})
	}
	discovering(t, []string{"a", "b"}, "common_lb_config: {healthy_panic_threshold: {value: 1}}"+check, "a b", func(b *bench) {
		b.settle("200 a", "200 b")
		b.fact("by default it stays while its check passes", rests, func(b *bench) {
			b.place("c", "b")
			same(b, "health", b.health("a"), "/pending_dynamic_removal")
			b.want("/", "200 a", "200 b")
		})
		b.fact("until the check fails", rests, func(b *bench) {
			if err := b.origins["a"].SetState(origin.Refusing); err != nil {
				b.t.Fatal(err)
			}
			b.eventually("it to be gone", func() bool { return b.health("a") == "gone" })
		})
	})
}

// health is what Envoy says of an endpoint of cluster "c": "healthy", or what is wrong with it.
func (b *bench) health(name string) string {
	b.t.Helper()
	text, err := b.envoy.Get(b.t.Context(), "/clusters")
	if err != nil {
		b.t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "c::"+b.origins[name].Addr()+"::health_flags::"); ok {
			return strings.TrimSpace(rest)
		}
	}
	return "gone"
}
