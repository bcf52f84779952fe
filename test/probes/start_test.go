package probes

import (
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
)

// waiting says whether Envoy is alive, but not yet serving.
func (b *bench) waiting() bool {
	b.t.Helper()
	err := b.envoy.Ready(b.t.Context())
	return err != nil && strings.Contains(err.Error(), "INITIALIZING")
}

// TestStartWaitsForLayers: nothing is served before each layer is answered.
func TestStartWaitsForLayers(t *testing.T) {
	const (
		rests = "pkg/xds answers every layer, unknown ones by removal; the bootstrap has initial_fetch_timeout 0, so that no proxy serves without levers"
		all   = "pkg/xds: who asks for clusters and lacks a layer is `incompatible`"
	)
	s := setup{
		dynamic: `{cds_config: ` + overADS + `}`,
		layers: `[{name: one, rtds_layer: {name: one, rtds_config: ` + overADS + `}},
			{name: two, rtds_layer: {name: two, rtds_config: ` + overADS + `}}]`,
	}
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		b := begin(t, version, s)
		b.fact("Envoy asks for each layer by a request of its own, and waits", rests, func(b *bench) {
			b.asked(runtimes, "one")
			b.asked(runtimes, "two")
			b.acked(runtimes, "one", `{name: one, layer: {k: 1}}`)
			same(b, "it waits for the other", b.waiting(), true)
		})
		b.fact("it asks for clusters only when all layers are answered, one by its removal", all, func(b *bench) {
			same(b, "it has asked for clusters", b.hasAsked(clusters), false)
			if r := b.verdict(b.remove(runtimes, "two")); r != "" {
				b.t.Errorf("the removal is refused: %s", r)
			}
			b.asked(clusters, "*")
			same(b, "it waits for clusters", b.waiting(), true)
		})
		b.fact("it serves once all is answered", rests, func(b *bench) {
			if r := b.verdict(b.post(clusters, nil)); r != "" {
				b.t.Errorf("no clusters are refused: %s", r)
			}
			b.envoy.AwaitReady()
			same(b, "layers given up", b.stat("runtime.init_fetch_timeout"), 0)
		})
	})
}

// TestStartGivesLayersUp: after the timeout of the layer, not before; by default that is 15 s.
func TestStartGivesLayersUp(t *testing.T) {
	s := setup{layers: `[{name: one, rtds_layer: {name: one, rtds_config: {ads: {}, resource_api_version: V3, initial_fetch_timeout: 1s}}}]`}
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		b := begin(t, version, s)
		b.fact("a layer that nobody answers holds the start until its timeout", "deploy/envoy: initial_fetch_timeout is 0, so that a proxy without levers serves nothing", func(b *bench) {
			b.asked(runtimes, "one")
			b.envoy.AwaitReady()
			same(b, "layers given up", b.stat("runtime.init_fetch_timeout"), 1)
		})
	})
}

// TestWarming: a changed cluster and its endpoints. Levers, sent after it on the same stream, are acknowledged: Envoy has had the time.
func TestWarming(t *testing.T) {
	const rests = "pkg/xds rewarm: endpoints of changed clusters are sent again, unasked"
	cluster := func(timeout string) string {
		return `{name: c, type: EDS, connect_timeout: ` + timeout + `, eds_cluster_config: {eds_config: {ads: {}, resource_api_version: V3, initial_fetch_timeout: 0s}}}`
	}
	s := setup{
		origins: []string{"a"}, levers: "{}", dynamic: `{cds_config: ` + overADS + `}`,
		routes: "[" + fence + `, {match: {prefix: /}, route: {cluster: c}}]`,
	}
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		b := begin(t, version, s)
		b.lead(s)
		load := string(asJSON(b.t, assignment(b.t, "c", b.origins["a"].Addr())))
		b.asked(clusters, "*")
		b.post(clusters, map[string]string{"c": cluster("1s")})
		b.asked(endpoints, "c")
		b.acked(endpoints, "c", load)
		b.envoy.AwaitReady()
		b.want("/", "200 a")
		var changed string
		b.fact("a changed cluster is acknowledged only when endpoints have arrived after it", rests, func(b *bench) {
			changed = b.post(clusters, map[string]string{"c": cluster("2s")})
			b.pull("{}")
			same(b, "acknowledged before its endpoints", b.answered(changed), false)
			same(b, "warming clusters", b.stat("cluster_manager.warming_clusters"), 1)
		})
		b.fact("the old cluster serves meanwhile", "pkg/xds: routes wait for clusters, requests do not", func(b *bench) { b.want("/", "200 a") })
		b.fact("Envoy does not ask for the endpoints again", rests, func(b *bench) {
			b.await("", func(p *puppet) bool {
				same(b, "times asked", p.count(endpoints, "c"), 1)
				return true
			})
		})
		b.fact("the same endpoints, sent again, put it to use", rests, func(b *bench) {
			b.acked(endpoints, "c", load)
			same(b, "refusal", b.verdict(changed), "")
			b.want("/", "200 a")
		})
	})
}
