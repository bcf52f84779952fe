package probes

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/origin"
)

const otherOriginDesign = "docs/design/other-origin.md"

// chain is a composite cluster: the first try goes to the first of these, the second to the second.
func chain(t *testing.T, name, more string, list ...string) object {
	var entries []any
	for _, c := range list {
		entries = append(entries, object{"name": c})
	}
	o := object{
		"name": name, "connect_timeout": "1s", "lb_policy": "CLUSTER_PROVIDED",
		"cluster_type": object{"name": "envoy.clusters.composite", "typed_config": object{
			"@type": "type.googleapis.com/envoy.extensions.clusters.composite.v3.ClusterConfig", "clusters": entries,
		}},
	}
	maps.Copy(o, parse(t, more).(object))
	return o
}

// retried is a route to a cluster, or by some other action, that tries again.
func retried(path, action string, tries int) string {
	return fmt.Sprintf(`{match: {prefix: %s}, route: {timeout: 0s, %s, retry_policy: {retry_on: "5xx,reset,connect-failure", num_retries: %d, retry_back_off: {base_interval: 0.001s, max_interval: 0.001s}}}}`, path, action, tries)
}

// TestCompositeClusters: a second try at another cluster.
func TestCompositeClusters(t *testing.T) {
	setting := setup{
		origins: []string{"a", "b"}, levers: "{}",
		more: string(asJSON(t, []any{
			object{"name": "empty", "connect_timeout": "1s", "load_assignment": object{"cluster_name": "empty"}},
			chain(t, "ab", "{}", "a", "b"), chain(t, "none-b", "{}", "empty", "b"),
			chain(t, "s.s/a", "{alt_stat_name: s/a@x}", "a", "b"),
			chain(t, "budget", "{circuit_breakers: {thresholds: [{max_retries: 100, retry_budget: {budget_percent: {value: 100}, min_retry_concurrency: 1}}]}}", "a", "b"),
			chain(t, "two", "{circuit_breakers: {thresholds: [{max_retries: 2}]}}", "a", "b"),
			parse(t, `{name: aggregate, connect_timeout: 1s, lb_policy: CLUSTER_PROVIDED, cluster_type: {name: envoy.clusters.aggregate, typed_config: {"@type": type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig, clusters: [a, b]}}}`),
		})),
		routes: "[" + strings.Join([]string{
			fence, retried("/once", "cluster: ab", 1), retried("/often", "cluster: ab", 4), retried("/none-b", "cluster: none-b", 1), retried("/budget", "cluster: budget", 1),
			retried("/two", "cluster: two", 1), retried("/aggregate", "cluster: aggregate", 1),
			retried("/split", "weighted_clusters: {runtime_key_prefix: w, clusters: [{name: s.s/a, weight: 1}, {name: b, weight: 0}]}", 1),
			"{match: {prefix: /}, direct_response: {status: 204}}",
		}, ",") + "]",
	}
	each(t, setting, func(b *bench) {
		b.fact("the first try goes to the first cluster, the second to the second, a third nowhere", otherOriginDesign, func(b *bench) {
			same(b, "with a well", b.get("/once").String(), "200 a")
			b.faulty("a", origin.Faults{ErrorShare: 1})
			same(b, "with a ill", b.get("/once").String(), "200 b")
			b.faulty("b", origin.Faults{ErrorShare: 1})
			same(b, "with both ill", b.get("/once").String(), "503 b")
			same(b, "with both ill and more tries", b.get("/often").String(), "503")
		})
		b.fact("a try counts at the cluster it went to; the answer, and that it was a second try's, at the composite one", "telemetry.Counts.Hidden", func(b *bench) {
			b.faulty("a", origin.Faults{ResetShare: 1})
			b.faulty("b", origin.Faults{})
			b.get("/split") // statistics are there once they are used
			before := b.stats("cluster.a.upstream_rq_total", "cluster.b.upstream_rq_total", "cluster.s/a@x.upstream_rq_2xx", "cluster.s/a@x.upstream_rq_retry", "cluster.s/a@x.upstream_rq_retry_success")
			same(b, "answer", b.get("/split").String(), "200 b")
			for name, was := range before {
				same(b, name, b.stat(name)-was, 1)
			}
			answers, err := b.envoy.Stats(b.t.Context(), `^cluster\.[ab]\.upstream_rq_[25]xx$`)
			if err != nil || len(answers) > 0 {
				b.t.Errorf("answers count at a and b: %v %v", answers, err)
			}
		})
		b.fact("a key of a weight is PREFIX.CLUSTER, wherever the dots are", "policy.EitherClusterName: one lever for both kinds of routes", func(b *bench) {
			b.faulty("a", origin.Faults{})
			same(b, "before", b.get("/split").String(), "200 a")
			b.pull(`{w.s.s/a: 0, w.b: 1}`)
			same(b, "after", b.get("/split").String(), "200 b")
			b.pull(`{}`)
		})
		b.fact("tries are bounded in number; a percentage is one of nothing, for no request counts as active at a composite cluster", otherOriginDesign, func(b *bench) {
			b.faulty("a", origin.Faults{ErrorShare: 1})
			b.faulty("b", origin.Faults{Latency: 300 * time.Millisecond})
			same(b, "with room for two", b.atOnce("/two", 12)["200 b"], 2)
			same(b, "with room for all of them, in per cent", b.atOnce("/budget", 12)["200 b"], 1)
			b.faulty("b", origin.Faults{})
		})
		b.fact("how many there may be is a runtime key, also for requests that are under way", "translate.otherOriginLevers", func(b *bench) {
			b.faulty("a", origin.Faults{ErrorShare: 1, Latency: 500 * time.Millisecond})
			at := len(b.origins["a"].Requests())
			answer := make(chan string, 1)
			go func() { answer <- b.get("/two").String() }()
			b.arrived("a", at+1)
			b.pull(`{circuit_breakers.two.default.max_retries: 0}`)
			same(b, "sent off before", <-answer, "503 a")
			b.faulty("a", origin.Faults{ErrorShare: 1})
			same(b, "later", b.get("/two").String(), "503 a")
			b.pull(`{circuit_breakers.two.default.max_retries: 7}`)
			same(b, "with tries again", b.get("/two").String(), "200 b")
		})
		b.fact("a body is sent again as a whole, up to the limit of buffers", otherOriginDesign, func(b *bench) {
			small := b.ask("main", "PUT", "/once", strings.NewReader(strings.Repeat("x", 50_000)))
			same(b, "small", fmt.Sprint(small.String(), " ", small.saw.BodyBytes), "200 b 50000")
			same(b, "large", b.ask("main", "PUT", "/once", strings.NewReader(strings.Repeat("x", 5<<20))).String(), "503 a")
		})
		b.fact("with no endpoint at all in the first cluster, 1.40 goes on to the second in the first try, and 1.37 does not", "docs/design/other-origin.md: such requests are not bounded", func(b *bench) {
			want := "503"
			if b.since(1, 40) {
				want = "200 b"
			}
			same(b, "answer", b.get("/none-b").String(), want)
			same(b, "second tries", b.stat("cluster.none-b.upstream_rq_retry"), 0)
		})
		b.fact("an aggregate cluster does not do: a second try stays where the first was, unless health checks say otherwise", otherOriginDesign, func(b *bench) {
			same(b, "answer", b.get("/aggregate").String(), "503 a")
		})
	})
}

// TestEjectionBelowCompositeClusters: endpoints are ejected where they are.
func TestEjectionBelowCompositeClusters(t *testing.T) {
	each(t, setup{
		origins: []string{"a", "b"}, cluster: `{outlier_detection: {consecutive_5xx: 3, max_ejection_percent: 100, base_ejection_time: 60s}}`,
		more:   string(asJSON(t, []any{chain(t, "ab", "{}", "a", "b")})),
		routes: "[" + retried("/", "cluster: ab", 1) + "]",
	}, func(b *bench) {
		b.fact("tries through a composite cluster that fail eject the endpoint", otherOriginDesign, func(b *bench) {
			b.faulty("a", origin.Faults{ErrorShare: 1})
			for range 3 {
				same(b, "answer", b.get("/").String(), "200 b")
			}
			b.awaitStat("cluster.a.outlier_detection.ejections_active", 1)
			same(b, "ejected of b", b.stat("cluster.b.outlier_detection.ejections_active"), 0)
		})
	})
}

// faulty changes how an origin treats requests.
func (b *bench) faulty(name string, f origin.Faults) {
	b.t.Helper()
	if err := b.origins[name].SetFaults(f); err != nil {
		b.t.Fatal(err)
	}
}

// stats reads several counters.
func (b *bench) stats(names ...string) map[string]uint64 {
	b.t.Helper()
	out := map[string]uint64{}
	for _, name := range names {
		out[name] = b.stat(name)
	}
	return out
}

// atOnce asks several times at once and counts the answers.
func (b *bench) atOnce(path string, n int) map[string]int {
	b.t.Helper()
	answers, got := make(chan string, n), map[string]int{}
	for range n {
		go func() { answers <- b.get(path).String() }()
	}
	for range n {
		got[<-answers]++
	}
	return got
}
