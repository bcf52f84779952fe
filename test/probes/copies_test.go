package probes

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/origin"
)

// TestMarkedCopies: what a policy can write into a copy.
func TestMarkedCopies(t *testing.T) {
	const mutations = `{cluster: m, disable_shadow_host_suffix_append: true, request_headers_mutations: [
		{append: {header: {key: x-node, value: "%CEL(xds.node.id)%"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}},
		{append: {header: {key: x-sent, value: "%START_TIME(%s.%3f)%"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}}]}`
	each(t, setup{origins: []string{"a", "b", "m"}, manager: "{use_remote_address: true}", routes: "[" + mirrored("path: /", mutations, "") + "]"}, func(b *bench) {
		b.fact("a policy can say in a copy which proxy made it, and when its request came", "comparators ask through that proxy, and pass over what is old", func(b *bench) {
			before := time.Now()
			a := b.get("/", "x-node: forged", "x-sent: forged")
			same(b, "x-node of the request itself", strings.Join(a.saw.Get("x-node"), ","), "forged")
			c := b.arrived("m", 1)[0]
			same(b, "x-node", strings.Join(c.Get("x-node"), ","), "probe")
			var seconds, millis int64
			if n, err := fmt.Sscanf(strings.Join(c.Get("x-sent"), ","), "%d.%03d", &seconds, &millis); n != 2 {
				b.t.Fatalf("x-sent %q: %v", c.Get("x-sent"), err)
			}
			if sent := time.UnixMilli(seconds*1000 + millis); sent.Before(before.Add(-time.Millisecond)) || sent.After(time.Now()) {
				b.t.Errorf("sent at %v, asked at %v", sent, before)
			}
		})
		b.fact("a copy has one address more in x-forwarded-for: Envoy's own", "comparators take it off again", func(b *bench) {
			a := b.get("/", "x-forwarded-for: 203.0.113.9")
			c := b.arrived("m", 2)[1]
			whole, live := strings.Join(c.Get("x-forwarded-for"), ","), strings.Join(a.saw.Get("x-forwarded-for"), ",")
			if rest, ok := strings.CutPrefix(whole, live+","); !ok || strings.Contains(rest, ",") || rest == "" {
				b.t.Errorf("the copy has %q, the request %q", whole, live)
			}
		})
	})
}

// TestMatchingForCopies: what of a request can be seen when its route is chosen.
func TestMatchingForCopies(t *testing.T) {
	route := func(path, matcher string) string {
		return `{match: {path: ` + path + `, headers: [` + matcher + `]}, route: {cluster: b}}`
	}
	const events = `{name: accept, string_match: {contains: event-stream, ignore_case: true}, invert_match: true`
	each(t, setup{origins: []string{"a", "b"}, routes: "[" + strings.Join([]string{
		route("/encoding", "{name: transfer-encoding, present_match: true}"), route("/invert", events+"}"), route("/missing", events+", treat_missing_header_as_empty: true}"),
		route("/length", "{name: content-length, range_match: {start: 0, end: 11}}"), `{match: {prefix: /}, route: {cluster: a}}`,
	}, ",") + "]"}, func(b *bench) {
		b.fact("transfer-encoding is not there when a route is chosen", "a body of unknown length is told by what else there is: a length, a type, the method", func(b *bench) {
			same(b, "chunked", b.ask("main", http.MethodPost, "/encoding", struct{ *strings.Reader }{strings.NewReader("x")}).String(), "200 a")
		})
		b.fact("an inverted matcher does not match where the header is missing, unless missing is empty", "translate.other", func(b *bench) {
			same(b, "missing", b.get("/invert").String(), "200 a")
			same(b, "missing is empty", b.get("/missing").String(), "200 b")
			same(b, "another value", b.get("/missing", "accept: text/html").String(), "200 b")
			same(b, "the value", b.get("/missing", "accept: Text/Event-Stream").String(), "200 a")
			same(b, "the value on a second line", b.get("/missing", "accept: text/html", "accept: text/event-stream").String(), "200 a")
		})
		b.fact("a declared length is matched as a number, the end of the range not included", "translate.declaredLength", func(b *bench) {
			for n, want := range map[int]string{0: "200 b", 10: "200 b", 11: "200 a"} {
				same(b, fmt.Sprint(n), b.ask("main", http.MethodPost, "/length", strings.NewReader(strings.Repeat("x", n))).String(), want)
			}
			same(b, "none", b.get("/length").String(), "200 a")
		})
	})
}

// TestShareOfMirrors: the fraction of a mirror is a lever like the others.
func TestShareOfMirrors(t *testing.T) {
	each(t, setup{
		origins: []string{"a", "b", "m"}, levers: "{}", routes: "[" + fence + "," +
			mirrored("path: /", "{cluster: m, runtime_fraction: {default_value: {numerator: 0, denominator: MILLION}, runtime_key: share}}", "") + `, {match: {prefix: /}, route: {cluster: a}}]`,
	}, func(b *bench) {
		b.fact("a bare 100 mirrors everything, 0 nothing, and so does no lever", "translate.Levers: the share of a mirror is one, and a halt is a 0", func(b *bench) {
			total := 0
			for _, c := range []struct {
				levers string
				copies int
			}{{"{}", 0}, {"{share: 100}", tries}, {"{share: 0}", 0}, {"{share: {numerator: 1000000, denominator: MILLION}}", tries}} {
				b.pull(c.levers)
				for range tries {
					b.get("/")
				}
				total += c.copies
				same(b, "copies with "+c.levers, len(b.arrived("m", total)), total)
			}
		})
	})
}

// heldUp says whether an upload of 20 MB is held by a mirror, as long as the target is frozen.
func (b *bench) heldUp(path string) (done chan answer) {
	done = make(chan answer, 1)
	go func() {
		defer close(done)
		done <- b.ask("main", http.MethodPost, path, strings.NewReader(strings.Repeat("x", 20<<20)))
	}()
	return done
}

// TestFrozenMirrorTargets: what ends a copy that nobody takes, so that the upload it is made of goes on.
func TestFrozenMirrorTargets(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		checked, bounded := freeze(t), freeze(t)
		health, err := origin.Start(origin.Config{Name: "health"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(health.Close)
		at := func(name, address, check string) object {
			load := assignment(t, name, address)
			if check != "" {
				endpoint := load["endpoints"].([]any)[0].(object)["lb_endpoints"].([]any)[0].(object)["endpoint"].(object)
				endpoint["health_check_config"] = object{"address": socketAddress(t, check)}
			}
			return object{"name": name, "connect_timeout": "5s", "load_assignment": load}
		}
		watched := at("checked", checked.address, health.Addr())
		b := &bench{t: t}
		b.add(watched, `{close_connections_on_host_health_failure: true, common_lb_config: {healthy_panic_threshold: {value: 0}},
			health_checks: [{timeout: 0.2s, interval: 0.05s, no_traffic_interval: 0.05s, unhealthy_threshold: 1, healthy_threshold: 1, http_health_check: {path: /}}]}`)
		limited := at("bounded", bounded.address, "")
		b.add(limited, `{typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {
			"@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions,
			common_http_protocol_options: {max_stream_duration: 1s}, explicit_http_config: {http_protocol_options: {}}}}}`)
		b = begin(t, version, setup{
			origins: []string{"a", "b"}, more: string(asJSON(t, []any{watched, limited})),
			routes: "[" + mirrored("path: /checked", "{cluster: checked}", ", timeout: 0s") + "," + mirrored("path: /bounded", "{cluster: bounded}", ", timeout: 0s") + "]",
		})
		b.envoy.AwaitReady()
		b.fact("max_stream_duration of its cluster ends it", "translate.copyDuration", func(b *bench) {
			start := time.Now()
			same(b, "status", (<-b.heldUp("/bounded")).status, 200)
			if took := time.Since(start); took < time.Second || took > 5*time.Second {
				b.t.Errorf("it took %v", took)
			}
			same(b, "ended", b.stat("cluster.bounded.upstream_rq_max_duration_reached"), 1)
		})
		b.fact("a failed health check does not, whatever close_connections_on_host_health_failure says", "translate.copyDuration", func(b *bench) {
			b.awaitStat("cluster.checked.membership_healthy", 1)
			done := b.heldUp("/checked")
			b.awaitStat("cluster.checked.upstream_flow_control_backed_up_total", 1)
			if err := health.SetState(origin.Refusing); err != nil {
				b.t.Fatal(err)
			}
			b.eventually("the target to be unwell", func() bool { return b.stat("cluster.checked.membership_healthy") == 0 })
			checks := b.stat("cluster.checked.health_check.attempt")
			b.awaitStat("cluster.checked.health_check.attempt", checks+20)
			same(b, "connections to it", b.stat("cluster.checked.upstream_cx_active"), 1)
			select {
			case a := <-done:
				b.t.Errorf("answered %s", a)
			default:
			}
			checked.thaw()
			same(b, "status after the thaw", (<-done).status, 200)
		})
	})
}
