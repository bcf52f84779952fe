package probes

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/origin"
)

// open are requests under way at origin a: a WebSocket and an answer that comes in pieces.
type open struct {
	socket *websocket.Conn
	pieces io.ReadCloser
}

// begun opens them, and waits until they are there.
func (b *bench) begun() *open {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ws, resp, err := websocket.Dial(ctx, "ws://"+b.at["main"]+"/", &websocket.DialOptions{Host: host})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = ws.CloseNow() })
	same(b, "origin of the WebSocket", resp.Header.Get("x-origin"), "a")
	req, err := http.NewRequest(http.MethodGet, "http://"+b.at["main"]+"/", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Host = host
	req.Header.Set(origin.AnswerHeader, "bytes=1&times=100000&every=20ms")
	pieces, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = pieces.Body.Close() })
	same(b, "origin of the pieces", pieces.Header.Get("x-origin"), "a")
	b.eventually("both at a", func() bool { return b.origins["a"].InFlight() == 2 })
	return &open{ws, pieces.Body}
}

// goOn fails the probe unless both still go on: for a second, in which an end would show.
func (o *open) goOn(b *bench) {
	b.t.Helper()
	for until := time.Now().Add(time.Second); time.Now().Before(until); {
		if _, err := io.ReadFull(o.pieces, make([]byte, 1)); err != nil {
			b.t.Errorf("the pieces: %v", err)
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		err := o.socket.Write(ctx, websocket.MessageText, []byte("still here"))
		if err == nil {
			_, _, err = o.socket.Read(ctx)
		}
		cancel()
		if err != nil {
			b.t.Errorf("the WebSocket: %v", err)
			return
		}
	}
}

// streaming runs probes of a cluster "c" whose one endpoint is origin a, with routes that can change.
func streaming(t *testing.T, settings string, probes func(b *bench, o *open)) {
	s := setup{
		origins: []string{"a", "b"}, levers: "{}", dynamic: `{cds_config: ` + overADS + `}`, rds: map[string]string{"main": "on demand"},
		manager: `{upgrade_configs: [{upgrade_type: websocket}]}`,
	}
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		b := begin(t, version, s)
		b.lead(setup{levers: s.levers})
		b.asked(clusters, "*")
		b.post(clusters, map[string]string{"c": eds("c", settings)})
		b.asked(endpoints, "c")
		b.place("c", "a")
		b.asked(routes, "main")
		b.acked(routes, "main", toCluster("cluster: c, timeout: 0s"))
		b.envoy.AwaitReady()
		b.want("/", "200 a")
		probes(b, b.begun())
	})
}

// toCluster is a route configuration whose one action is given.
func toCluster(action string) string {
	return `{name: main, validate_clusters: false, virtual_hosts: [{name: v, domains: ["` + host + `"], routes: [` + fence + `, {match: {prefix: /}, route: {` + action + `}}]}]}`
}

// TestNothingEndsStreams: what a control plane can do to an origin, none of which ends what is under way there.
func TestNothingEndsStreams(t *testing.T) {
	const (
		rests = "docs/design/streams.md: there is no rollback that ends streams, as nothing ends those of one origin and no others"
		check = `, health_checks: [{timeout: 1s, interval: 0.1s, no_traffic_interval: 0.1s, unhealthy_threshold: 1, healthy_threshold: 1, reuse_connection: false, http_health_check: {path: /healthz}}]`
		close = `, close_connections_on_host_health_failure: true`
		wide  = `ignore_health_on_host_removal: true, common_lb_config: {healthy_panic_threshold: {value: 1}, update_merge_window: 0.05s, close_connections_on_host_set_change: true}`
	)
	streaming(t, ours+close, func(b *bench, o *open) {
		b.fact("not a route that allows streams less time from now on, nor one that is gone", rests, func(b *bench) {
			b.acked(routes, "main", toCluster("cluster: c, timeout: 0.1s, idle_timeout: 0.1s, max_stream_duration: {max_stream_duration: 0.1s}"))
			o.goOn(b)
			b.acked(routes, "main", toCluster("cluster: nowhere"))
			b.settle("503")
			o.goOn(b)
			b.acked(routes, "main", toCluster("cluster: c, timeout: 0s"))
			b.settle("200 a")
		})
		b.fact("not that discovery says UNHEALTHY, with connections to be closed on failing health", rests, func(b *bench) {
			b.acked(endpoints, "c", string(asJSON(b.t, object{"cluster_name": "c", "endpoints": []any{object{"lb_endpoints": []any{
				object{"health_status": "UNHEALTHY", "endpoint": object{"address": socketAddress(b.t, b.origins["a"].Addr())}},
				object{"endpoint": object{"address": socketAddress(b.t, b.origins["b"].Addr())}},
			}}}})))
			b.settle("200 b")
			o.goOn(b)
		})
		b.fact("not that its endpoints are removed", rests, func(b *bench) {
			b.place("c", "b")
			b.settle("200 b")
			same(b, "health", b.health("a"), "gone")
			o.goOn(b)
		})
		b.fact("not that another cluster takes the place of its own", rests, func(b *bench) {
			changed := b.post(clusters, map[string]string{"c": eds("c", ours+close+", per_connection_buffer_limit_bytes: 4096")})
			b.place("c", "b")
			same(b, "refusal", b.verdict(changed), "")
			b.settle("200 b")
			o.goOn(b)
		})
		b.fact("not that its cluster is removed", rests, func(b *bench) {
			same(b, "refusal", b.verdict(b.remove(clusters, "c")), "")
			b.settle("503")
			o.goOn(b)
		})
	})
	streaming(t, ours+close+check, func(b *bench, o *open) {
		b.fact("not a health check that fails, with connections to be closed then", rests, func(b *bench) {
			if err := b.origins["a"].SetFaults(origin.Faults{ErrorShare: 1}); err != nil {
				b.t.Fatal(err)
			}
			b.eventually("the check to fail", func() bool { return strings.Contains(b.health("a"), "failed_active_hc") })
			o.goOn(b)
		})
	})
	streaming(t, wide, func(b *bench, o *open) {
		b.fact("not a change of endpoints, with connections to be closed then", rests, func(b *bench) {
			b.place("c", "b")
			b.settle("200 b")
			o.goOn(b)
		})
	})
}

// TestConnectionsThatLiveTooLong: what a longest duration of client connections does to what is under way on them.
func TestConnectionsThatLiveTooLong(t *testing.T) {
	const rests = "docs/design/streams.md: a limit of client connections would not end streams either; fleets have none"
	each(t, setup{
		origins: []string{"a"}, routes: `[{match: {prefix: /}, route: {cluster: a, timeout: 0s}}]`,
		manager: `{upgrade_configs: [{upgrade_type: websocket}], drain_timeout: 0.2s, common_http_protocol_options: {max_connection_duration: 0.5s}}`,
	}, func(b *bench) {
		o := b.begun()
		b.fact("it asks clients to leave, and ends no stream", rests, func(b *bench) {
			b.awaitStat("http.main.downstream_cx_max_duration_reached", 2)
			o.goOn(b)
		})
	})
}
