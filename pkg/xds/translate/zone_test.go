package translate_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	deployenvoy "github.com/crossfade-proxy/crossfade/deploy/envoy"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// zoned is a service whose origins prefer the proxy's zone while two endpoints are well there; eks also checks their health and starts slowly.
const zoned = `{apiVersion: crossfade/v1, kind: Service, name: orders, hosts: [orders.test], primary: ecs, listener: {port: PORT}, origins: [
{name: ecs, ecs: {region: r, cluster: c, service: s, port: 80}, zone: {minEndpoints: 2}},
{name: eks, ecs: {region: r, cluster: c, service: s, port: 80}, zone: {minEndpoints: 2}, slowStart: 1s, healthCheck: {path: /healthz, interval: 100ms, unhealthyThreshold: 1, healthyThreshold: 1}}],
pins: [{name: eks, origin: eks, header: {name: x-eks, present: true}}]}
`

func inZone(zone string) func(*deployenvoy.Bootstrap) {
	return func(b *deployenvoy.Bootstrap) { b.Zone = zone }
}

// task is an endpoint of a zone with a server of its own.
type task struct {
	*origin
	name     string
	endpoint translate.Endpoint
}

// startTasks starts servers named by their zone and number: "a1", "a2", "b1", …
func startTasks(t *testing.T, names ...string) []task {
	t.Helper()
	var out []task
	for _, name := range names {
		o := startOrigin(t, name)
		out = append(out, task{o, name, translate.Endpoint{Address: o.address, Zone: name[:1]}})
	}
	return out
}

func endpointsOf(tasks []task) []translate.Endpoint {
	var out []translate.Endpoint
	for _, t := range tasks {
		out = append(out, t.endpoint)
	}
	return out
}

// spread counts who answers n requests.
func (l *lab) spread(n int, headers ...string) map[string]int {
	l.t.Helper()
	got := map[string]int{}
	for range n {
		got[l.get("orders.test", "/", headers...).origin()]++
	}
	return got
}

// awaitAnswerers waits until requests are answered by all of these tasks, and by no others.
func (l *lab) awaitAnswerers(what string, names ...string) {
	l.t.Helper()
	var got map[string]int
	l.eventually(fmt.Sprintf("%s: only %v to answer", what, names), func() bool {
		got = l.spread(6 * len(names))
		return slices.Equal(slices.Sorted(maps.Keys(got)), names)
	})
	got = l.spread(200)
	for _, name := range names {
		if share := got[name] * len(names); share < 100 || share > 300 {
			l.t.Errorf("%s: %v, want about as many each", what, got)
		}
	}
	if len(got) != len(names) {
		l.t.Errorf("%s: %v, want only %v", what, got, names)
	}
}

// TestZone follows the endpoints of the proxy's zone as they become too few, and enough again.
func TestZone(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newLab(t, version, zoned, inZone("a"))
		all := startTasks(t, "a1", "a2", "a3", "b1", "b2", "c1")
		set := func(endpoints ...translate.Endpoint) {
			l.ads.Set(translate.Endpoints("orders", "ecs", endpoints))
			l.ads.AwaitAcked(t)
		}
		set(endpointsOf(all)...)
		l.awaitAnswerers("enough in the zone", "a1", "a2", "a3")
		set(endpointsOf(all[1:])...)
		l.awaitAnswerers("just enough", "a2", "a3")
		set(endpointsOf(all[2:])...)
		l.awaitAnswerers("one, and two are needed", "a3", "b1", "b2", "c1")
		set(endpointsOf(all[3:])...)
		l.awaitAnswerers("none in the zone", "b1", "b2", "c1")
		draining := endpointsOf(all)
		draining[0].Draining = true
		set(draining...)
		l.awaitAnswerers("one of three drains", "a2", "a3")
		draining[1].Draining = true
		set(draining...)
		l.awaitAnswerers("two of three drain", "a3", "b1", "b2", "c1")
		set(endpointsOf(all[:3])...)
		l.awaitAnswerers("no other zone", "a1", "a2", "a3")
		unknown := endpointsOf(all)
		unknown[3].Zone = ""
		set(unknown...)
		l.awaitAnswerers("one whose zone is not known", "a1", "a2", "a3")
		for i := range draining {
			draining[i].Draining = true
		}
		set(draining...)
		l.eventually("the draining to be used, for there is nothing else", func() bool {
			return len(l.spread(60)) == len(all)
		})
	})
}

// TestZoneAndHealth: endpoints that fail their check do not count, and with none left, all are tried: the panic threshold holds here too.
func TestZoneAndHealth(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newLab(t, version, zoned, inZone("a"))
		all := startTasks(t, "a1", "a2", "b1", "b2")
		l.ads.Set(translate.Endpoints("orders", "eks", endpointsOf(all)))
		answerers := func(names ...string) func() bool {
			return func() bool { return slices.Equal(slices.Sorted(maps.Keys(l.spread(40, "x-eks: 1"))), names) }
		}
		l.eventually("the zone alone", answerers("a1", "a2"))
		sick := func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/healthz" {
				w.WriteHeader(500)
			}
		}
		all[0].answer(sick)
		l.eventually("one sick: those that are well", answerers("a2", "b1", "b2"))
		for _, task := range all[1:] {
			task.answer(sick)
		}
		l.eventually("all sick: all are tried", answerers("a1", "a2", "b1", "b2"))
		all[0].answer(nil)
		all[1].answer(nil)
		l.eventually("the zone alone again", answerers("a1", "a2"))
	})
}

// TestZoneNotKnown: a proxy without a zone takes the cluster and spreads.
func TestZoneNotKnown(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		for _, zone := range []string{"", "z"} {
			l := newLab(t, version, zoned, inZone(zone))
			l.ads.Set(translate.Endpoints("orders", "ecs", endpointsOf(startTasks(t, "a1", "a2", "b1"))))
			l.awaitAnswerers(fmt.Sprintf("zone %q", zone), "a1", "a2", "b1")
			if w := strings.Join(warnings(l.envoy.Logs()), "\n"); w != "" {
				t.Errorf("Envoy warns:\n%s", w)
			}
		}
	})
}
