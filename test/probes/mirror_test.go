package probes

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/origin"
)

// mirrored is a route with half for each origin and a mirror; fields are more of the route's action.
func mirrored(match, mirror, fields string) string {
	return fmt.Sprintf(`{match: {%s}, route: {weighted_clusters: {clusters: [{name: a, weight: 50}, {name: b, weight: 50}]}, request_mirror_policies: [%s]%s}}`, match, mirror, fields)
}

// ids are the values of x-id, sorted.
func ids(requests []origin.Request) []string {
	var out []string
	for _, r := range requests {
		out = append(out, r.Get("x-id")...)
	}
	slices.Sort(out)
	return out
}

// numbered sends requests with ids and says which origin answered each.
func (b *bench) numbered(path string) (by map[string][]string, all []string) {
	b.t.Helper()
	by = map[string][]string{}
	for i := range tries {
		id := fmt.Sprintf("%s-%03d", path, i)
		a := b.get(path, "x-id: "+id)
		same(b, id, a.status, 200)
		by[a.origin] = append(by[a.origin], id)
		all = append(all, id)
	}
	return by, all
}

// TestMirror: which requests are copied.
func TestMirror(t *testing.T) {
	const websocket = "Host: probe.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	const sample = "{cluster: half, runtime_fraction: {default_value: {numerator: 50}}}"
	noUpgrade := `, headers: [{name: upgrade, present_match: true, invert_match: true}]`
	each(t, setup{
		origins: []string{"a", "b", "all", "up", "half", "retry"},
		manager: `{upgrade_configs: [{upgrade_type: websocket}]}`,
		routes: "[" + strings.Join([]string{
			mirrored("path: /all", "{cluster: all}", ""),
			mirrored("path: /up", "{cluster: up}", ""),
			mirrored("path: /spared"+noUpgrade, "{cluster: up}", ""), `{match: {path: /spared}, route: {cluster: a}}`,
			mirrored("path: /half", sample, ""),
			strings.NewReplacer("weight: 50}, {", "weight: 2147483645}, {", "weight: 50}]", "weight: 2147483646}]").Replace(mirrored("path: /prime", sample, "")),
			mirrored("path: /retry", "{cluster: retry}", ", retry_policy: {retry_on: 5xx, num_retries: 3, retry_back_off: {base_interval: 0.001s}}"),
		}, ",") + "]",
	}, func(b *bench) {
		b.fact("a mirror fires whatever origin was picked", "the comparator behind a mirror asks both sides itself, whatever the split picked", func(b *bench) {
			by, all := b.numbered("/all")
			same(b, "origins that answered", len(by), 2)
			if got := ids(b.arrived("all", tries)); !slices.Equal(got, all) {
				b.t.Errorf("copies of %v, want of all %d", got, len(all))
			}
		})
		b.fact("a sample is drawn with the number that picks the origin", "the comparator asks both sides itself: a sample is no fair picture of the split", func(b *bench) {
			by, _ := b.numbered("/half")
			if got := ids(b.arrived("half", len(by["a"]))); !slices.Equal(got, by["a"]) {
				b.t.Errorf("half of the requests was mirrored: %v, want those that a answered: %v", got, by["a"])
			}
		})
		b.fact("with a prime sum of weights it is another draw", "nothing; it is the way out, should samples have to be fair", func(b *bench) {
			by, _ := b.numbered("/prime")
			b.eventually("a copy of a request that b answered", func() bool {
				return slices.ContainsFunc(ids(b.origins["half"].Requests()), func(id string) bool { return slices.Contains(by["b"], id) })
			})
		})
		b.fact("an upgrade is mirrored, and the copy is answered 101", "mirrored routes require the absence of `upgrade`", func(b *bench) {
			a := b.raw("GET /up HTTP/1.1\r\n"+websocket+"\r\n", func() {
				same(b, "the copy's upgrade", strings.Join(b.arrived("up", 1)[0].Get("upgrade"), ","), "websocket")
				b.awaitStat("cluster.up.upstream_rq_1xx", 1)
			})
			same(b, "status", a.status, 101)
		})
		b.fact("a route that requires the absence of upgrade spares it", "mirrored routes require the absence of `upgrade`", func(b *bench) {
			same(b, "status", b.raw("GET /spared HTTP/1.1\r\n"+websocket+"\r\n").status, 101)
			same(b, "status", b.get("/spared", "x-id: plain").status, 200)
			copies := b.arrived("up", 2)
			same(b, "copies", len(copies), 2)
			same(b, "the second copy is that of the plain request", strings.Join(copies[1].Get("x-id"), ","), "plain")
		})
		b.fact("retries do not multiply mirrors", "a service may have retries and a mirror", func(b *bench) {
			same(b, "status", b.get("/retry", "x-id: failing", "x-answer: status=503").status, 503)
			same(b, "retries", b.stat("cluster.a.upstream_rq_retry")+b.stat("cluster.b.upstream_rq_retry"), 3)
			b.get("/retry", "x-id: fine")
			if got := ids(b.arrived("retry", 2)); !slices.Equal(got, []string{"failing", "fine"}) {
				b.t.Errorf("copies: %v", got)
			}
		})
	})
}

// TestMirrorOfADeadTarget: the request does not notice.
func TestMirrorOfADeadTarget(t *testing.T) {
	dead := envoytest.Port(t)
	each(t, setup{
		origins: []string{"a", "b"}, routes: "[" + mirrored("prefix: /", "{cluster: dead}", "") + "]",
		more: string(asJSON(t, []any{object{"name": "dead", "connect_timeout": "1s", "load_assignment": assignment(t, "dead", dead.Addr())}})),
	}, func(b *bench) {
		b.fact("a dead mirror target fails nothing", "a comparator that is gone costs no request", func(b *bench) {
			b.want("/", "200 a", "200 b")
			b.awaitStat("cluster.dead.upstream_cx_connect_fail", 1)
		})
	})
}

// TestMirroredHeaders: what a copy carries.
func TestMirroredHeaders(t *testing.T) {
	const rests = "a mirror policy says for itself that credentials go and the host stays"
	each(t, setup{origins: []string{"a", "b", "m"}, routes: "[" + strings.Join([]string{
		mirrored("path: /as-it-is", "{cluster: m}", ""),
		mirrored("path: /clean", "{cluster: m, disable_shadow_host_suffix_append: true, request_headers_mutations: [{remove: authorization}, {remove: cookie}]}", ""),
		mirrored("path: /rewritten", "{cluster: m, host_rewrite_literal: other.test}", ""),
	}, ",") + "]"}, func(b *bench) {
		total := 0
		copyOf := func(b *bench, path string) origin.Request {
			b.t.Helper()
			a := b.get(path, "Authorization: Basic c2VjcmV0", "Cookie: session=1")
			same(b, "authorization of the request itself", strings.Join(a.saw.Get("authorization"), ","), "Basic c2VjcmV0")
			same(b, "host of the request itself", a.saw.Host, host)
			total++
			return b.arrived("m", total)[total-1]
		}
		b.fact("a copy carries credentials, and its host ends in -shadow", rests, func(b *bench) {
			c := copyOf(b, "/as-it-is")
			same(b, "authorization", strings.Join(c.Get("authorization"), ","), "Basic c2VjcmV0")
			same(b, "cookie", strings.Join(c.Get("cookie"), ","), "session=1")
			same(b, "host", c.Host, host+"-shadow")
		})
		b.fact("the policy can remove credentials and leave the host, from the copy alone", rests, func(b *bench) {
			c := copyOf(b, "/clean")
			same(b, "credentials", len(c.Get("authorization"))+len(c.Get("cookie")), 0)
			same(b, "host", c.Host, host)
		})
		b.fact("the policy can rewrite the host of the copy alone", rests, func(b *bench) {
			same(b, "host", copyOf(b, "/rewritten").Host, "other.test")
		})
	})
}

// TestMirrorOfUploads: the target is frozen, so connections come about and nobody reads. What thaws it ends the stall, so it is the cause.
func TestMirrorOfUploads(t *testing.T) {
	const rests = "only requests without a body, or with a declared length up to 256 kB, may be mirrored"
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		frozen := freeze(t)
		s := setup{
			origins: []string{"a", "b"}, routes: "[" + mirrored("prefix: /", "{cluster: frozen}", ", timeout: 0s") + "]",
			more: string(asJSON(t, []any{object{"name": "frozen", "connect_timeout": "5s", "load_assignment": assignment(t, "frozen", frozen.address)}})),
		}
		b := begin(t, version, s)
		b.envoy.AwaitReady()
		b.fact("an upload of 256 kB passes a frozen mirror target", rests, func(b *bench) {
			same(b, "status", b.ask("main", http.MethodPost, "/", strings.NewReader(strings.Repeat("x", 256<<10))).status, 200)
			b.awaitStat("cluster.frozen.upstream_cx_tx_bytes_total", 1)
		})
		b.fact("one of 20 MB stalls until it thaws", rests, func(b *bench) {
			done := make(chan answer, 1)
			go func() {
				defer close(done)
				done <- b.ask("main", http.MethodPost, "/", strings.NewReader(strings.Repeat("x", 20<<20)))
			}()
			defer func() {
				frozen.thaw()
				same(b, "status after the thaw", (<-done).status, 200)
			}()
			quiet, read := 0, uint64(0)
			b.eventually("an end, or that Envoy reads no more", func() bool {
				now := b.stat("http.main.downstream_cx_rx_bytes_total")
				quiet++
				if now != read {
					quiet, read = 0, now
				}
				return quiet == 25 || len(done) > 0
			})
			select {
			case a := <-done:
				b.t.Errorf("answered %s while the mirror target is frozen", a)
			default:
				same(b, "Envoy holds the request back for its mirror", b.stat("cluster.frozen.upstream_flow_control_backed_up_total")-b.stat("cluster.frozen.upstream_flow_control_drained_total"), 1)
			}
		})
	})
}
