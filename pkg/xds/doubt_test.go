package xds_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// TestWhatWasTakenOfARefusedResponseIsTakenBack: an Envoy takes what is good of clusters and listeners that it refuses. A change that is undone before its
// refusal comes, or while its stream is lost, leaves nothing of that.
func TestWhatWasTakenOfARefusedResponseIsTakenBack(t *testing.T) {
	for name, c := range map[string]struct {
		typeURL string
		refuses func(f *fixture) string
		change  func(f *fixture, s *crossfadev1.Service)
	}{
		"clusters": {deltaclient.Cluster, func(*fixture) string { return "orders/eks" }, func(_ *fixture, s *crossfadev1.Service) {
			s.Origins[0].Protocol, s.Origins[1].Protocol = "http2", "http2"
		}},
		"listeners": {deltaclient.Listener, func(f *fixture) string { return fmt.Sprint("listener/", f.otherPort()) }, func(f *fixture, s *crossfadev1.Service) {
			s.Listener.Port = f.otherPort()
		}},
	} {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, its stream is lost: %v", name, lost), func(t *testing.T) {
				f := deltaFixture(t)
				go f.server.Run(t.Context(), time.Hour) // who has no listener does not say in time what hosts it has
				orders := func() *crossfadev1.Service { return f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks") }
				f.apply(orders())
				var refusing atomic.Bool
				came, answer, bad := make(chan struct{}), make(chan struct{}), c.refuses(f)
				p := f.simulate("p", func(r deltaclient.Response) deltaclient.Verdict {
					if r.Type != c.typeURL || !slices.Contains(r.Upserts, bad) || !refusing.CompareAndSwap(true, false) {
						return deltaclient.Verdict{}
					}
					close(came)
					<-answer
					return deltaclient.Verdict{Refuse: "cannot have " + bad, But: func(name string) bool { return name != bad }}
				})
				p.holds(nil, "orders")
				before := p.Held(c.typeURL)
				refusing.Store(true)
				changed := orders()
				c.change(f, changed)
				f.apply(changed)
				<-came
				f.apply(orders())
				if lost {
					f.grpc.Stop()
				}
				close(answer)
				if lost {
					p.end()
					if maps.Equal(p.Held(c.typeURL), before) {
						t.Fatal("it took nothing of what it refused")
					}
					f.serve()
					p.connect()
				} else {
					p.until("it has refused", func() bool { return p.Stats().Refused > 0 })
				}
				p.holds(nil, "orders")
			})
		}
	}
}

func (f *fixture) otherPort() int32 {
	if n := int32(f.listen.Number()); n < 65535 {
		return n + 1
	}
	return 65534
}

// TestAHeldProxyKeepsItsRoutesWhateverComesFirst: also where the first document of its fleet is not a service.
func TestAHeldProxyKeepsItsRoutesWhateverComesFirst(t *testing.T) {
	f := deltaFixtureWith(t, xds.Options{KnownStamp: func(_, stamp string) bool { return stamp != "lost" }})
	f.stamp = "lost"
	f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
	p := f.simulate("p", nil)
	f.await("it has everything", func() bool { return f.state() == xds.StateOK })
	held, removals := map[string]map[string]string{}, p.Stats().Removals
	kinds := []string{deltaclient.Cluster, deltaclient.Listener, deltaclient.Route, deltaclient.VirtualHost}
	for _, typeURL := range kinds {
		held[typeURL] = p.Held(typeURL)
	}
	p.end()
	f.replace()
	f.stamp, f.services = "known", nil
	p.connect()
	f.await("it is back", func() bool { return f.connected(1) })
	f.publish(xds.Update{Named: true, Structure: f.build(translate.Options{})})
	f.await("it is held", func() bool { return f.state() == xds.StateHeld })
	after := translate.Endpoints("orders", "ecs", translate.Static([]netip.AddrPort{f.origins["new"]})) // held proxies take them: what came before is there then
	f.publish(xds.Update{Endpoints: []translate.Resource{after}})
	p.until("it has endpoints", func() bool { return p.Held(deltaclient.Endpoints)["orders/ecs"] == after.Version })
	for _, typeURL := range kinds {
		if now := p.Held(typeURL); !maps.Equal(now, held[typeURL]) {
			t.Errorf("%s: %v, and had %v", typeURL, now, held[typeURL])
		}
	}
	if n := p.Stats().Removals - removals; n > 0 {
		t.Errorf("%d were removed", n)
	}
}

// TestAProxyThatWarmsAClusterIsSentItsEndpointsAgain: an Envoy that comes back meanwhile asks for no clusters until it has them, and says of endpoints
// that it has those of before.
func TestAProxyThatWarmsAClusterIsSentItsEndpointsAgain(t *testing.T) {
	f := deltaFixture(t)
	f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
	other := f.simulate("other", nil)
	other.holds(nil, "orders")
	// A server that has begun anew, and has not heard of one of its origins yet.
	f.replace()
	of := func(origin string) []translate.Resource {
		return []translate.Resource{translate.Endpoints("orders", origin, translate.Static([]netip.AddrPort{f.origins[origin]}))}
	}
	f.publish(xds.Update{Named: true, Structure: f.build(translate.Options{}), Levers: f.levers(), Endpoints: of("ecs")})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stream := f.stream(ctx)
	for _, typeURL := range []string{deltaclient.Runtime, deltaclient.Endpoints, deltaclient.Listener, deltaclient.Route, deltaclient.VirtualHost} {
		held := other.Held(typeURL)
		r := &discovery.DeltaDiscoveryRequest{TypeUrl: typeURL, InitialResourceVersions: held, Node: &core.Node{Id: "p", Cluster: "default"}}
		switch typeURL {
		case deltaclient.Runtime, deltaclient.Endpoints, deltaclient.Route:
			r.ResourceNamesSubscribe = slices.Sorted(maps.Keys(held))
		}
		if err := stream.Send(r); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"orders/ecs", "orders/eks"} {
		r, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if r.GetTypeUrl() != deltaclient.Endpoints || len(r.GetResources()) != 1 || r.GetResources()[0].GetName() != want || len(r.GetRemovedResources()) > 0 {
			t.Errorf("want %s: %v", want, r)
		}
		if err := stream.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: deltaclient.Endpoints, ResponseNonce: r.GetNonce()}); err != nil {
			t.Fatal(err)
		}
		f.publish(xds.Update{Endpoints: of("eks")})
	}
}
