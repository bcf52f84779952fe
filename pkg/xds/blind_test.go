package xds_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// blindly publishes a change of the clusters of a service, by a server that knows endpoints of ecs, if of any.
func (f *fixture) blindly(knows bool) *xds.Waiter {
	f.t.Helper()
	doc := f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks")
	for _, o := range doc.Origins {
		o.ConnectTimeout = durationpb.New(4 * time.Second)
	}
	s, errs := policy.CompileService(doc)
	if len(errs) > 0 {
		f.t.Fatal(errs)
	}
	f.services[s.Name] = s
	u := xds.Update{Structure: f.build(translate.Options{}), Levers: map[string][]translate.Lever{s.Name: translate.Levers(s)}, Named: true}
	if knows {
		u.Endpoints = f.endpointsOf("ecs")
	}
	return f.publish(u)
}

func (f *fixture) endpointsOf(origin string) []translate.Resource {
	for _, o := range f.services["orders"].Origins {
		if o.Name == origin {
			return []translate.Resource{translate.Endpoints("orders", origin, translate.Static(o.Static))}
		}
	}
	return nil
}

// TestAChangedClusterWaitsForItsEndpoints: Envoy takes a changed cluster with the endpoints that arrive after it. A new server that does not know
// any yet, since their source does not answer, must not take away those that serve.
func TestAChangedClusterWaitsForItsEndpoints(t *testing.T) {
	f := deltaFixture(t)
	f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
	p := f.simulate("p", nil)
	p.holds(nil, "orders")
	before := p.Held(deltaclient.Cluster)
	endpoints := p.Held(deltaclient.Endpoints)
	p.end()
	f.replace()
	f.blindly(true)
	p.connect()
	p.until("the cluster whose endpoints are known is changed", func() bool { return p.Held(deltaclient.Cluster)["orders/ecs"] != before["orders/ecs"] })
	// What needs the clusters only by name is not held up.
	w := f.apply(f.service("other", map[string]int32{"ecs": 10000}, "ecs", "eks"))
	p.until("another service", func() bool { return p.Held(deltaclient.Cluster)["other/eks"] != "" })
	p.until("its routes", func() bool { return len(p.Held(deltaclient.VirtualHost)) == 3 })
	if p.Held(deltaclient.Cluster)["orders/eks"] != before["orders/eks"] || p.Held(deltaclient.Endpoints)["orders/eks"] != endpoints["orders/eks"] {
		t.Error("the cluster whose endpoints are not known was changed")
	}
	select {
	case <-w.Done():
		t.Error("the change counts as acknowledged")
	default:
	}
	f.publish(xds.Update{Endpoints: f.endpointsOf("eks")})
	f.acked(w)
	if p.Held(deltaclient.Cluster)["orders/eks"] == before["orders/eks"] {
		t.Error("the cluster is the old one, though its endpoints are known")
	}
}

// TestAServerThatKnowsNoEndpointsTakesNoneAway is the same with real Envoys and requests.
func TestAServerThatKnowsNoEndpointsTakesNoneAway(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		f := newFixture(t)
		f.origin("ecs")
		f.origin("eks")
		f.acked(f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks")))
		f.proxy(version, "p")
		f.await("answers", func() bool { return f.get("orders.test", "/") == "200 ecs" })
		f.replace()
		w := f.blindly(false)
		f.await("the proxy is back", func() bool {
			all := f.fleet.Proxies()
			return len(all) == 1 && all[0].Connected
		})
		for range 200 {
			if got := f.get("orders.test", "/"); got != "200 ecs" {
				t.Fatalf("answered %q while nothing is known", got)
			}
		}
		f.publish(xds.Update{Endpoints: append(f.endpointsOf("ecs"), f.endpointsOf("eks")...)})
		f.acked(w)
		if got := f.get("orders.test", "/"); got != "200 ecs" {
			t.Errorf("answered %q", got)
		}
	})
}
