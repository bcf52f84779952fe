package probes

import (
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/origin"
)

// TestCountersOfAnOriginThatIsNotThere: what says that requests were sent its way.
func TestCountersOfAnOriginThatIsNotThere(t *testing.T) {
	const rests = "pkg/telemetry: rates and proofs count answers, connect failures and refused picks too, not upstream_rq_total alone"
	dead := envoytest.Port(t)
	each(t, setup{
		origins: []string{"a"},
		more: string(asJSON(t, []any{
			object{"name": "dead", "connect_timeout": "1s", "load_assignment": assignment(t, "dead", dead.Addr())},
			object{"name": "empty", "connect_timeout": "1s", "load_assignment": object{"cluster_name": "empty"}},
		})),
		routes: `[{match: {path: /dead}, route: {cluster: dead}}, {match: {path: /empty}, route: {cluster: empty}}, {match: {path: /a}, route: {cluster: a}}]`,
	}, func(b *bench) {
		b.fact("a request to an origin that refuses connections is 503, and no upstream request", rests, func(b *bench) {
			same(b, "answer", b.get("/dead").String(), "503")
			same(b, "upstream_rq_total", b.stat("cluster.dead.upstream_rq_total"), 0)
			same(b, "upstream_rq_5xx", b.stat("cluster.dead.upstream_rq_5xx"), 1)
			same(b, "upstream_cx_connect_fail", b.stat("cluster.dead.upstream_cx_connect_fail"), 1)
		})
		b.fact("a request to an origin without endpoints is 503, and no upstream request", rests, func(b *bench) {
			same(b, "answer", b.get("/empty").String(), "503")
			same(b, "upstream_rq_total", b.stat("cluster.empty.upstream_rq_total"), 0)
			same(b, "upstream_rq_5xx", b.stat("cluster.empty.upstream_rq_5xx"), 1)
			same(b, "upstream_cx_none_healthy", b.stat("cluster.empty.upstream_cx_none_healthy"), 1)
		})
		b.fact("a request whose connection breaks is an upstream request without an answer of its own", rests, func(b *bench) {
			if err := b.origins["a"].SetFaults(origin.Faults{ResetShare: 1}); err != nil {
				b.t.Fatal(err)
			}
			same(b, "answer", b.get("/a").String(), "503")
			same(b, "upstream_rq_total", b.stat("cluster.a.upstream_rq_total"), 1)
			same(b, "upstream_rq_5xx", b.stat("cluster.a.upstream_rq_5xx"), 1)
		})
	})
}
