package probes

import (
	"maps"
	"net"
	"testing"

	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"                     // which listeners of the probe have in them
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3" // likewise

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
)

// TestRefusedInParts: what becomes of the good part of a response that is refused.
func TestRefusedInParts(t *testing.T) {
	const rests = "pkg/xds/doubt.go: of what was in a refused response nobody knows what the proxy has, and it is sent what it should have"
	s := setup{
		origins: []string{"a", "b"}, levers: "{}", dynamic: `{cds_config: ` + overADS + `, lds_config: ` + overADS + `}`,
		routes: "[" + fence + `, {match: {prefix: /}, route: {cluster: c}}]`,
	}
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		b := begin(t, version, s)
		b.lead(s)
		at := func(origin string) string { return string(asJSON(b.t, b.cluster("c", b.origins[origin].Addr(), ""))) }
		b.asked(clusters, "*")
		first := map[kind]map[string]string{clusters: {"c": b.post(clusters, map[string]string{"c": at("a")})}}
		b.asked(listeners, "*")
		l := string(asJSON(b.t, b.listener("l", "", "route_config", object{"name": "l"})))
		first[listeners] = map[string]string{"l": b.post(listeners, map[string]string{"l": l})}
		same(b, "refusal of the listener", b.verdict(first[listeners]["l"]), "")
		b.envoy.AwaitReady()
		b.want("/", "200 a")
		b.fact("what is good of clusters is taken", rests, func(b *bench) {
			if b.verdict(b.post(clusters, map[string]string{"c": at("b"), "bad": `{name: bad, type: EDS}`})) == "" {
				b.t.Error("acknowledged")
			}
			b.settle("200 b")
		})
		b.fact("removals of listeners are done", rests, func(b *bench) {
			bad := string(asJSON(b.t, object{"name": "bad", "address": socketAddress(b.t, "127.0.0.1:0")}))
			if b.verdict(b.post(listeners, map[string]string{"bad": bad}, "l")) == "" {
				b.t.Error("acknowledged")
			}
			b.eventually("the listener is gone", func() bool {
				c, err := net.Dial("tcp", b.at["l"])
				if err == nil {
					c.Close()
				}
				return err != nil
			})
		})
		b.fact("and its next stream says that it has what it had", rests, func(b *bench) {
			b.ads.cut <- struct{}{}
			b.await("another stream", func(p *puppet) bool { return p.said[clusters] != nil && p.said[listeners] != nil })
			b.await("", func(p *puppet) bool {
				for k, want := range first {
					if !maps.Equal(p.said[k], want) {
						b.t.Errorf("%s: it says %v, want %v", k, p.said[k], want)
					}
				}
				return true
			})
		})
	})
}
