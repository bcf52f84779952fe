package probes

import (
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
)

const (
	leversDesign = "docs/design/0001-levers.md: live weights are runtime keys, the route holds the safe ones"
	wholeNumbers = "translate.Layer: weights travel as whole numbers, checked before they are sent"
)

// split has a hold everything in the route, and keys for both.
const split = `{match: {prefix: /}, route: {weighted_clusters: {runtime_key_prefix: w.s, clusters: [{name: a, weight: 100}, {name: b, weight: 0}]}}}`

// TestWeights: the levers of a split. Where a has its 100 of the route and b its 0, the answer tells which key was read.
func TestWeights(t *testing.T) {
	each(t, setup{origins: []string{"a", "b"}, routes: "[" + fence + "," + split + "]", levers: "{}"}, func(b *bench) {
		for _, c := range []struct {
			is, rests, levers string
			want              []string
		}{
			{"without keys the route's weights hold", leversDesign, `{}`, []string{"200 a"}},
			{"a key is PREFIX.CLUSTER", "policy.WeightKey", `{w.s.a: 0, w.s.b: 100}`, []string{"200 b"}},
			{"a missing key falls back to the weight in the route", leversDesign, `{w.s.b: 0}`, []string{"200 a"}},
			{"a missing key falls back for its cluster alone", leversDesign, `{w.s.b: 100}`, []string{"200 a", "200 b"}},
			{"a negative one falls back to the weight in the route", wholeNumbers, `{w.s.a: -5, w.s.b: 0}`, []string{"200 a"}},
			{"the sum need not be 100", "policy.Whole: weights are basis points", `{w.s.a: 1, w.s.b: 1}`, []string{"200 a", "200 b"}},
			{"a sum of 0 is answered 404", "pkg/xds: no mix of old and new structure sums to 0", `{w.s.a: 0, w.s.b: 0}`, []string{"404"}},
			{"a sum of 2^32-1 is right", wholeNumbers, `{w.s.a: 0, w.s.b: 4294967295}`, []string{"200 b"}},
			{"a sum of 2^32 is answered 404", wholeNumbers, `{w.s.a: 1, w.s.b: 4294967295}`, []string{"404"}},
			{"a weight of 2^32 is answered 404", wholeNumbers, `{w.s.a: 0, w.s.b: 4294967296}`, []string{"404"}},
			{"a fraction is cut to a whole number", wholeNumbers, `{w.s.a: 0.9, w.s.b: 1.9}`, []string{"200 b"}},
			{"fractions below 1 sum to 0, which is answered 404", wholeNumbers, `{w.s.a: 0.9, w.s.b: 0.9}`, []string{"404"}},
			{"a number as text is read as a number", wholeNumbers, `{w.s.a: "0", w.s.b: "100"}`, []string{"200 b"}},
			{"other text falls back to the weight in the route", wholeNumbers, `{w.s.a: all, w.s.b: 0}`, []string{"200 a"}},
			{"true falls back to the weight in the route", wholeNumbers, `{w.s.a: true, w.s.b: 0}`, []string{"200 a"}},
			{"a struct falls back to the weight in the route", wholeNumbers, `{w.s.a: {numerator: 1}, w.s.b: 0}`, []string{"200 a"}},
		} {
			b.fact(c.is, c.rests, func(b *bench) {
				b.pull(c.levers)
				b.want("/", c.want...)
			})
		}
		for name, value := range map[string]string{"null": "null", "a list": "[1, 2]"} {
			b.fact(name+" refuses the whole layer, which stays as it was", wholeNumbers, func(b *bench) {
				b.pull(`{w.s.a: 0, w.s.b: 100}`)
				b.refused(runtimes, "levers", `{name: levers, layer: {w.s.a: 100, w.s.b: `+value+`}}`, "Invalid runtime entry")
				b.want("/", "200 b")
			})
		}
		b.fact("without the layer the route's weights show through at once", "pkg/xds: layers are never removed", func(b *bench) {
			same(b, "refusal", b.verdict(b.remove(runtimes, "levers")), "")
			b.eventually("the route's weights", func() bool { return b.get("/").String() == "200 a" })
		})
	})
}

// TestOneKeyForAClusterListedTwice: the sum shows that both entries read it.
func TestOneKeyForAClusterListedTwice(t *testing.T) {
	twice := `{match: {prefix: /}, route: {weighted_clusters: {runtime_key_prefix: w.s, clusters: [{name: a, weight: 1}, {name: b, weight: 1}, {name: a, weight: 1}]}}}`
	each(t, setup{origins: []string{"a", "b"}, routes: "[" + fence + "," + twice + "]", levers: "{}"}, func(b *bench) {
		b.fact("a cluster listed twice has one key", "docs/design/sticky.md: a row, not ranges, so that sticky splits stay on levers", func(b *bench) {
			b.pull(`{w.s.a: 2147483647, w.s.b: 1}`)
			b.want("/", "200 a") // b has 1 of 2^32-1
			b.pull(`{w.s.a: 2147483648, w.s.b: 0}`)
			b.want("/", "404") // twice that is 2^32
		})
	})
}

// TestASumOf0RefusesStructure: not the levers are refused, but the routes that come later.
func TestASumOf0RefusesStructure(t *testing.T) {
	const rests = "pkg/xds: levers are rendered so that no mix of old and new structure sums to 0"
	config := func(extra string) string {
		return `{name: main, virtual_hosts: [{name: v, domains: ["*"], routes: [` + fence + "," + extra + split + `]}]}`
	}
	const added = `{match: {path: /added}, direct_response: {status: 204}},`
	each(t, setup{origins: []string{"a", "b"}, rds: map[string]string{"main": config("")}, levers: "{}"}, func(b *bench) {
		b.fact("with levers of sum 0 every route configuration is refused", rests, func(b *bench) {
			b.pull(`{w.s.a: 0, w.s.b: 0}`)
			b.refused(routes, "main", config(added), "Sum of weights")
		})
		b.fact("what was refused is not used, and comes in once the sum is right", rests, func(b *bench) {
			b.pull(`{w.s.a: 0, w.s.b: 1}`)
			same(b, "a refused route", b.get("/added").String(), "200 b")
			b.acked(routes, "main", config(added))
			b.eventually("the added route", func() bool { return b.get("/added").status == 204 })
		})
	})
}

// TestAdminBeatsLevers: break-glass.
func TestAdminBeatsLevers(t *testing.T) {
	const rests = "docs/runbooks/rollback.md: break-glass at a proxy without a control plane; such a proxy is `unknown` in a proof"
	s := setup{origins: []string{"a", "b"}, routes: "[" + fence + "," + split + "]", levers: "{}"}
	each(t, s, func(b *bench) {
		b.fact("POST /runtime_modify beats levers, whichever come later", rests, func(b *bench) {
			same(b, "overrides", b.stat("runtime.admin_overrides_active"), 0)
			b.pull(`{w.s.b: 0}`)
			b.modify("w.s.b", "100", "/b-is-there", "200 b")
			b.modify("w.s.a", "0", "/", "200 b")
			b.pull(`{w.s.a: 100, w.s.b: 0}`)
			b.want("/", "200 b")
		})
		b.fact("runtime.admin_overrides_active says so", rests, func(b *bench) {
			same(b, "overrides", b.stat("runtime.admin_overrides_active"), 1)
		})
		b.fact("it is lost with the process", rests, func(b *bench) {
			b.envoy.Kill()
			b.ads.forget()
			b.envoy = envoytest.Start(b.t, envoytest.Config{Version: b.envoy.Binary.Version, Bootstrap: b.config, NodeID: "probe", Cluster: "probes"})
			b.lead(s)
			b.envoy.AwaitReady()
			same(b, "overrides", b.stat("runtime.admin_overrides_active"), 0)
			b.want("/", "200 a")
		})
	})
	each(t, s, func(b *bench) {
		b.fact("an empty value gives the key back to the levers", rests, func(b *bench) {
			b.modify("w.s.a", "0", "/", "404")
			b.modify("w.s.a", "", "/", "200 a")
			same(b, "overrides", b.stat("runtime.admin_overrides_active"), 0)
		})
	})
}
