package xds_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	runtimev3 "github.com/envoyproxy/go-control-plane/envoy/service/runtime/v3"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// What one proxy refuses of one service used to keep every later change of structure from it, and all changes waited for it.
func TestAServiceThatAProxyRefusesKeepsNoneOfTheOthersFromIt(t *testing.T) {
	for name, c := range map[string]struct {
		typeURL string
		refuses func(f *fixture) string
		after   func(f *fixture) *crossfadev1.Service // of the service that is refused
		keeps   map[string]bool                       // whether it keeps what it had of these
	}{
		"a changed cluster": {typeURL: deltaclient.Cluster, refuses: func(*fixture) string { return "bad/eks" }, after: func(f *fixture) *crossfadev1.Service {
			s := f.service("bad", map[string]int32{"eks": 10000}, "ecs", "eks")
			s.Origins[1].Protocol = "http2"
			return s
		}, keeps: map[string]bool{"bad": true}},
		"a new origin and another host": {typeURL: deltaclient.Cluster, refuses: func(*fixture) string { return "bad/new" }, after: func(f *fixture) *crossfadev1.Service {
			s := f.service("bad", map[string]int32{"new": 10000}, "ecs", "new")
			s.Hosts = []string{"moved.test"}
			return s
		}, keeps: map[string]bool{"bad": true, "moved": false}},
		"a virtual host": {typeURL: deltaclient.VirtualHost, refuses: func(f *fixture) string { return f.virtualHost("bad") }, after: func(f *fixture) *crossfadev1.Service {
			s := f.service("bad", map[string]int32{"new": 10000}, "ecs", "new")
			s.PathPrefixes = []string{"/", "/more"}
			return s
		}, keeps: map[string]bool{"bad": true}},
		"a cluster that leads to both origins": {typeURL: deltaclient.Cluster, refuses: func(*fixture) string { return policy.EitherClusterName("bad", "ecs") }, after: func(f *fixture) *crossfadev1.Service {
			s := f.service("bad", map[string]int32{"ecs": 5000, "eks": 5000}, "ecs", "eks")
			s.Retries = &crossfadev1.Retries{OtherOrigin: &crossfadev1.OtherOrigin{}}
			return s
		}, keeps: map[string]bool{"bad": true}},
	} {
		t.Run(name, func(t *testing.T) {
			f, sent := deltaFixture(t), &sentLayers{}
			f.serverOptions = []grpc.ServerOption{grpc.StreamInterceptor(sent.intercept)}
			f.restart()
			f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"), f.service("bad", map[string]int32{"ecs": 10000}, "ecs", "eks"))
			var refusing atomic.Bool
			bad := c.refuses(f)
			p := f.simulate("p", func(r deltaclient.Response) deltaclient.Verdict {
				if refusing.Load() && r.Type == c.typeURL && slices.Contains(r.Upserts, bad) {
					return deltaclient.Verdict{Refuse: "cannot have " + bad}
				}
				return deltaclient.Verdict{}
			})
			p.holds(nil, "orders", "bad")
			before := p.Held(deltaclient.VirtualHost)
			refusing.Store(true)
			f.event("refused", f.apply(c.after(f)).Refused())

			w := f.apply(f.service("later", map[string]int32{"new": 10000}, "ecs", "new"))
			f.acked(w)
			if partial := w.Partial(); len(w.Acks()) > 0 || !slices.Equal(partial, []string{"p"}) {
				t.Errorf("acknowledged by %v, in part by %v", w.Acks(), partial)
			}
			f.acked(f.flip(f.service("orders", map[string]int32{"eks": 10000}, "ecs", "eks")))
			check := func() {
				t.Helper()
				p.until("has the other services", func() bool {
					has := p.Held(deltaclient.VirtualHost)
					return has[f.virtualHost("later")] != "" && sent.lever(p, "w.later.later/new") == 10000 && sent.lever(p, "w.orders.orders/eks") == 10000
				})
				for host, keeps := range c.keeps {
					if v := p.Held(deltaclient.VirtualHost)[f.virtualHost(host)]; keeps != (v != "") || v != before[f.virtualHost(host)] {
						t.Errorf("of host %s it has %q, and had %q", host, v, before[f.virtualHost(host)])
					}
				}
				if p.Held(deltaclient.Cluster)["bad/eks"] == "" {
					t.Error("a cluster that its routes need is gone")
				}
			}
			check()
			if sum := max(0, sent.lever(p, "w.bad.bad/ecs")) + max(0, sent.lever(p, "w.bad.bad/eks")); sum == 0 {
				t.Error("the service that it refused has no weight in what it kept")
			}
			// So it is after its stream was lost.
			p.end()
			f.await("the proxy is gone", func() bool { return f.fleet.Proxies()[0].State == xds.StateLost })
			p.connect()
			f.acked(f.flip(f.service("orders", map[string]int32{"ecs": 4000, "eks": 6000}, "ecs", "eks")))
			f.acked(f.flip(f.service("orders", map[string]int32{"eks": 10000}, "ecs", "eks")))
			check()
			// A new process that refuses it too serves the others.
			p.end()
			p.Client = deltaclient.New(deltaclient.Config{
				ID: "p", Fleet: "default", ListenAddress: "127.0.0.1", Layers: translate.LayerNames(),
				Answer: func(r deltaclient.Response) deltaclient.Verdict {
					if refusing.Load() && r.Type == c.typeURL && slices.Contains(r.Upserts, bad) {
						return deltaclient.Verdict{Refuse: "cannot have " + bad}
					}
					return deltaclient.Verdict{}
				},
			})
			p.connect()
			p.until("is ready", func() bool { return p.Held(deltaclient.Runtime)[translate.ReadyLayer] == translate.Ready(true).Version })
			// What is not refused any more arrives, once it changes.
			refusing.Store(false)
			f.acked(f.remove("bad"))
			f.acked(f.apply(c.after(f)))
			f.fold()
			p.holds(f.fold())
		})
	}
}

// A proxy comes back to a server that never knew the service of which it does not let go: what its routes name is not taken from it, at that
// stream and at the next.
func TestAVirtualHostThatNobodyKnowsKeepsItsClusters(t *testing.T) {
	f := deltaFixture(t)
	f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"), f.service("gone", map[string]int32{"eks": 10000}, "ecs", "eks"))
	var refusing atomic.Bool
	gone := f.virtualHost("gone")
	p := f.simulate("p", func(r deltaclient.Response) deltaclient.Verdict {
		if refusing.Load() && r.Type == deltaclient.VirtualHost && slices.Contains(r.Removals, gone) {
			return deltaclient.Verdict{Refuse: "still needed"}
		}
		return deltaclient.Verdict{}
	})
	p.holds(nil, "orders", "gone")
	p.end()
	refusing.Store(true)
	delete(f.services, "gone")
	f.replace()
	f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
	keeps := func(what string) {
		t.Helper()
		f.acked(f.apply(f.service("more", map[string]int32{"ecs": 10000}, "ecs", "eks")))
		f.acked(f.remove("more"))
		if held := p.Held(deltaclient.Cluster); p.Held(deltaclient.VirtualHost)[gone] == "" || held["gone/ecs"] == "" || held["gone/eks"] == "" {
			t.Errorf("%s: it has %v", what, held)
		}
	}
	p.connect()
	f.await("the refusal", func() bool {
		proxies := f.fleet.Proxies()
		return len(proxies) == 1 && proxies[0].State == xds.StateRefused
	})
	keeps("refused")
	p.end()
	f.await("the proxy is gone", func() bool { return f.fleet.Proxies()[0].State == xds.StateLost })
	p.connect()
	keeps("back again")
	refusing.Store(false)
	p.end()
	p.Client = deltaclient.New(deltaclient.Config{ID: "p", Fleet: "default", ListenAddress: "127.0.0.1", Layers: translate.LayerNames()})
	p.connect()
	p.until("a new process has what is wanted", func() bool {
		return p.Held(deltaclient.Runtime)[translate.ReadyLayer] == translate.Ready(true).Version && p.Held(deltaclient.VirtualHost)[gone] == "" &&
			len(p.Held(deltaclient.Cluster)) == 2
	})
}

// A port in use: nobody waits for the proxy, and it does not say that it is ready.
func TestAProxyThatRefusesItsListenersIsNotReady(t *testing.T) {
	f := deltaFixture(t)
	w := f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
	var refusing atomic.Bool
	refusing.Store(true)
	p := f.simulate("p", func(r deltaclient.Response) deltaclient.Verdict {
		if refusing.Load() && r.Type == deltaclient.Listener && len(r.Upserts) > 0 {
			return deltaclient.Verdict{Refuse: "address in use"}
		}
		return deltaclient.Verdict{}
	})
	f.event("refused", w.Refused())
	f.await("partial", func() bool { return len(w.Partial()) == 1 })
	f.acked(f.flip(f.service("orders", map[string]int32{"ecs": 5000, "eks": 5000}, "ecs", "eks")))
	f.acked(f.flip(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks")))
	if p.Held(deltaclient.Runtime)[translate.ReadyLayer] == translate.Ready(true).Version {
		t.Error("it is ready, and listens nowhere")
	}
	p.end()
	refusing.Store(false)
	p.Client = deltaclient.New(deltaclient.Config{ID: "p", Fleet: "default", ListenAddress: "127.0.0.1", Layers: translate.LayerNames()})
	p.connect()
	p.holds(nil, "orders")
}

func (f *fixture) virtualHost(service string) string {
	return fmt.Sprintf("listener/%d/%s.test", f.listen.Number(), service)
}

// sentLayers remembers every layer that was sent: clients keep versions only.
type sentLayers struct{ sync.Map }

func (l *sentLayers) intercept(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
	return h(srv, layersStream{s, l})
}

type layersStream struct {
	grpc.ServerStream
	layers *sentLayers
}

func (s layersStream) SendMsg(m any) error {
	if r, ok := m.(interface{ GetResources() []*discovery.Resource }); ok {
		for _, x := range r.GetResources() {
			s.layers.Store(x.GetName()+" "+x.GetVersion(), x.GetResource().GetValue())
		}
	}
	return s.ServerStream.SendMsg(m)
}

// lever is the value of a runtime key at a proxy, -1 if it has none.
func (l *sentLayers) lever(p *simulated, key string) float64 {
	value, held := -1.0, p.Held(deltaclient.Runtime)
	for _, name := range translate.LayerNames() {
		body, ok := l.Load(name + " " + held[name])
		if !ok {
			continue
		}
		var layer runtimev3.Runtime
		if err := proto.Unmarshal(body.([]byte), &layer); err != nil {
			p.f.t.Fatal(err)
		}
		if v, ok := layer.GetLayer().GetFields()[key]; ok {
			value = v.GetNumberValue()
		}
	}
	return value
}
