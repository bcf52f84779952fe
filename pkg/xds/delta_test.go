package xds_test

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// deltaFixture is a fixture whose origins nobody asks.
func deltaFixture(t *testing.T) *fixture { return deltaFixtureWith(t, xds.Options{}) }

func deltaFixtureWith(t *testing.T, o xds.Options) *fixture {
	f := newFixtureWith(t, o)
	for i, name := range []string{"ecs", "eks", "new"} {
		f.origins[name] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 8080)
	}
	return f
}

// simulated is a client with a stream.
type simulated struct {
	*deltaclient.Client
	f   *fixture
	end func()
}

// simulate connects a client that decides by answer, nil for one that accepts all.
func (f *fixture) simulate(id string, answer func(deltaclient.Response) deltaclient.Verdict) *simulated {
	f.t.Helper()
	s := &simulated{f: f, Client: deltaclient.New(deltaclient.Config{
		ID: id, Fleet: "default", ListenAddress: "127.0.0.1", Layers: translate.LayerNames(), Answer: answer,
	})}
	s.connect()
	return s
}

// connect opens a stream, which ends with the test or by end.
func (s *simulated) connect() {
	s.f.t.Helper()
	conn, err := grpc.NewClient(s.f.address, append(deltaclient.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		s.f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Run(ctx, conn)
	}()
	s.end = sync.OnceFunc(func() { cancel(); <-done; conn.Close() })
	s.f.t.Cleanup(s.end)
}

// until waits for what a client must come to.
func (s *simulated) until(what string, ok func() bool) {
	s.f.t.Helper()
	ctx, cancel := context.WithTimeout(s.f.t.Context(), time.Minute)
	defer cancel()
	if err := s.Await(ctx, ok); err != nil {
		s.f.t.Fatalf("%s: %v; %+v", what, err, s.Stats())
	}
}

// levers of all services, as they go into the base layers at a fold.
func (f *fixture) levers() map[string][]translate.Lever {
	out := map[string][]translate.Lever{}
	for name, s := range f.services {
		out[name] = translate.Levers(s)
	}
	return out
}

// holds waits until a client has just what is published: every resource, byte for byte, and nothing else. The base layers have what was
// folded last, the top layer the recent services.
func (s *simulated) holds(folded map[string][]translate.Lever, recent ...string) {
	s.f.t.Helper()
	want := map[string]map[string]string{deltaclient.Runtime: {}}
	add := func(resources []translate.Resource) {
		for _, r := range resources {
			if want[r.Body.TypeUrl] == nil {
				want[r.Body.TypeUrl] = map[string]string{}
			}
			want[r.Body.TypeUrl][r.Name] = r.Version
		}
	}
	st := s.f.build(translate.Options{})
	for _, resources := range [][]translate.Resource{st.Clusters, st.Listeners("127.0.0.1", ""), st.Routes, st.VirtualHosts, {translate.Ready(true)}} {
		add(resources)
	}
	for _, layer := range translate.BaseLayerNames() {
		var all []translate.Lever
		for service, levers := range folded {
			if translate.LayerOf(service) == layer {
				all = append(all, levers...)
			}
		}
		add([]translate.Resource{translate.Layer(layer, all)})
	}
	var top []translate.Lever
	for _, service := range s.f.services {
		if slices.Contains(recent, service.Name) {
			top = append(top, translate.Levers(service)...)
		}
		for _, o := range service.Origins {
			add([]translate.Resource{translate.Endpoints(service.Name, o.Name, translate.Static(o.Static))})
		}
	}
	add([]translate.Resource{translate.Layer(translate.TopLayer, top)})
	s.until("holds what is published", func() bool {
		for typeURL, resources := range want {
			if !reflect.DeepEqual(s.Held(typeURL), resources) {
				return false
			}
		}
		return true
	})
}

func TestEveryProxyHoldsWhatIsPublished(t *testing.T) {
	f := deltaFixture(t)
	f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"), f.service("pay", map[string]int32{"ecs": 10000}, "ecs", "eks"))
	var fleet []*simulated
	for i := range 5 {
		fleet = append(fleet, f.simulate(fmt.Sprint("p", i), nil))
	}
	all := func(what string, folded map[string][]translate.Lever, recent ...string) {
		t.Helper()
		t.Log(what)
		for _, s := range fleet {
			s.holds(folded, recent...)
		}
	}
	all("first load", nil, "orders", "pay")
	folded := f.fold()
	all("folded", folded)
	f.acked(f.flip(f.service("orders", map[string]int32{"eks": 10000}, "ecs", "eks")))
	all("a flip", folded, "orders")
	f.acked(f.apply(f.service("new", map[string]int32{"ecs": 10000}, "ecs", "new")))
	all("a new service", folded, "orders", "new")
	delete(f.services, "pay")
	f.acked(f.publish(xds.Update{Structure: f.build(translate.Options{}), Levers: map[string][]translate.Lever{"pay": nil}}))
	all("a service is gone, folded", f.fold())
}

func TestAProxyThatComesBackIsSentWhatItLacks(t *testing.T) {
	for name, c := range map[string]struct {
		away    func(f *fixture)
		upserts int
	}{
		"nothing happened": {away: func(*fixture) {}},
		"a flip": {away: func(f *fixture) {
			f.flip(f.service("orders", map[string]int32{"eks": 10000}, "ecs", "eks"))
		}, upserts: 1},
		"two flips of one service": {away: func(f *fixture) {
			f.flip(f.service("orders", map[string]int32{"eks": 5000, "ecs": 5000}, "ecs", "eks"))
			f.flip(f.service("orders", map[string]int32{"eks": 10000}, "ecs", "eks"))
		}, upserts: 1},
		"an endpoint": {away: func(f *fixture) {
			f.publish(xds.Update{Endpoints: []translate.Resource{translate.Endpoints("orders", "ecs", translate.Static([]netip.AddrPort{netip.MustParseAddrPort("10.9.9.9:80")}))}})
		}, upserts: 1},
		"another server with the same": {away: func(f *fixture) {
			f.replace()
			f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"), f.service("pay", map[string]int32{"ecs": 10000}, "ecs", "eks"))
			f.fold()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := deltaFixture(t)
			f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"), f.service("pay", map[string]int32{"ecs": 10000}, "ecs", "eks"))
			p := f.simulate("p", nil)
			p.holds(nil, "orders", "pay")
			p.holds(f.fold())
			p.end()
			f.await("the proxy is gone", func() bool { return f.fleet.Proxies()[0].State == xds.StateLost })
			before := p.Stats()
			c.away(f)
			p.connect()
			f.await("the proxy is current", func() bool {
				all := f.fleet.Proxies()
				return len(all) == 1 && all[0].State == xds.StateOK && all[0].AckedRevision == f.revision
			})
			// What comes next comes after everything that was due.
			f.acked(f.flip(f.service("pay", map[string]int32{"eks": 10000}, "ecs", "eks")))
			after := p.Stats()
			if got := after.Upserts - before.Upserts - 1; got != c.upserts {
				t.Errorf("%d resources were sent again, want %d", got, c.upserts)
			}
			if got := after.Removals - before.Removals; got != 0 {
				t.Errorf("%d removals, want none", got)
			}
		})
	}
}

func TestARefusedResourceIsParkedAndTheOthersApplied(t *testing.T) {
	virtualHost := func(f *fixture, service string) string {
		return fmt.Sprintf("listener/%d/%s.test", f.listen.Number(), service)
	}
	cluster := func(_ *fixture, service string) string { return service + "/eks" }
	for name, c := range map[string]struct {
		typeURL string
		name    func(f *fixture, service string) string
	}{
		"a virtual host": {deltaclient.VirtualHost, virtualHost},
		"a cluster":      {deltaclient.Cluster, cluster},
	} {
		t.Run(name, func(t *testing.T) {
			f := deltaFixture(t)
			f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
			var mu sync.Mutex
			bad, tried := c.name(f, "bad"), 0
			p := f.simulate("p", func(r deltaclient.Response) deltaclient.Verdict {
				mu.Lock()
				defer mu.Unlock()
				if r.Type != c.typeURL || !slices.Contains(r.Upserts, bad) {
					return deltaclient.Verdict{}
				}
				tried++
				return deltaclient.Verdict{Refuse: "cannot have " + bad}
			})
			other := f.simulate("other", nil)
			p.holds(nil, "orders")
			w := f.apply(f.service("bad", map[string]int32{"ecs": 10000}, "ecs", "eks"), f.service("good", map[string]int32{"ecs": 10000}, "ecs", "eks"))
			f.event("refused", w.Refused())
			r := w.Refusals()
			if len(r) != 1 || r[0].Proxy != "p" || !slices.Equal(r[0].Resources, []string{bad}) || r[0].Message != "cannot have "+bad {
				t.Errorf("refusals: %+v", r)
			}
			p.until("has the good one", func() bool { return p.Held(c.typeURL)[c.name(f, "good")] != "" })
			if v := p.Held(c.typeURL)[bad]; v != "" {
				t.Errorf("has the bad one: %s", v)
			}
			other.holds(nil, "orders", "bad", "good")
			// Levers go on, and what is parked is not sent again.
			mu.Lock()
			before := tried
			mu.Unlock()
			top := p.Held(deltaclient.Runtime)[translate.TopLayer]
			f.flip(f.service("orders", map[string]int32{"eks": 10000}, "ecs", "eks"))
			p.until("the flip", func() bool { return p.Held(deltaclient.Runtime)[translate.TopLayer] != top })
			mu.Lock()
			if tried != before {
				t.Errorf("the bad one was sent %d times after it was parked", tried-before)
			}
			bad = "nothing is bad any more"
			mu.Unlock()
			// When its content changes, it is tried again.
			f.origins["eks"] = netip.MustParseAddrPort("10.0.0.99:8080")
			doc := f.service("bad", map[string]int32{"ecs": 10000}, "ecs", "eks")
			doc.PathPrefixes = []string{"/", "/more"}
			doc.Origins[1].Protocol = "http2"
			f.acked(f.apply(doc))
			p.until("has what was bad", func() bool { return p.Held(c.typeURL)[c.name(f, "bad")] != "" })
		})
	}
}

func TestAStuckProxyHoldsNobodyUp(t *testing.T) {
	for name, stuck := range map[string]func(t *testing.T, release chan struct{}) func(deltaclient.Response) deltaclient.Verdict{
		"reads and never answers": func(*testing.T, chan struct{}) func(deltaclient.Response) deltaclient.Verdict {
			return func(deltaclient.Response) deltaclient.Verdict { return deltaclient.Verdict{Silent: true} }
		},
		"does not read": func(_ *testing.T, release chan struct{}) func(deltaclient.Response) deltaclient.Verdict {
			return func(deltaclient.Response) deltaclient.Verdict {
				<-release
				return deltaclient.Verdict{}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := deltaFixture(t)
			f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
			release := make(chan struct{})
			freed := sync.OnceFunc(func() { close(release) })
			var on sync.Map // "stuck" once the client is to be
			answer := stuck(t, release)
			p := f.simulate("stuck", func(r deltaclient.Response) deltaclient.Verdict {
				if _, stuck := on.Load("stuck"); stuck {
					return answer(r)
				}
				return deltaclient.Verdict{}
			})
			t.Cleanup(freed) // before its stream is waited for
			good := f.simulate("good", nil)
			p.holds(nil, "orders")
			good.holds(nil, "orders")
			on.Store("stuck", true)
			before := p.Stats().Responses
			var last *xds.Waiter
			const flips = 200
			for i := range flips {
				eks := int32(i%9+1) * 1000
				last = f.flip(f.service("orders", map[string]int32{"ecs": 10000 - eks, "eks": eks}, "ecs", "eks"))
				f.await("the other proxy", func() bool { _, has := last.Acks()["good"]; return has })
			}
			good.holds(nil, "orders")
			if pending := last.Pending(); !slices.Equal(pending, []string{"stuck"}) {
				t.Errorf("pending: %v", pending)
			}
			if strings.HasPrefix(name, "reads") {
				if got := p.Stats().Responses - before; got != 1 {
					t.Errorf("it was sent %d responses while it owed an answer, want 1", got)
				}
				return
			}
			// Released, it gets the latest; of all that was superseded it sees only what was on its way.
			on.Delete("stuck")
			freed()
			p.holds(nil, "orders")
			if got := p.Stats().Responses - before; got > 2 {
				t.Errorf("it was sent %d responses for %d flips, want 2 at most", got, flips)
			}
		})
	}
}

// fold folds all there is and returns what the base layers then have.
func (f *fixture) fold() map[string][]translate.Lever {
	f.fleet.Fold(0)
	f.fleet.Fold(0)
	return f.levers()
}

// event waits for a channel.
func (f *fixture) event(what string, c <-chan struct{}) {
	f.t.Helper()
	select {
	case <-c:
	case <-time.After(time.Minute):
		f.t.Fatalf("%s: not yet; %+v", what, f.fleet.Proxies())
	}
}

// asked is a subscription as it reached the server.
type asked struct {
	mu   sync.Mutex
	list []string
}

func (a *asked) intercept(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
	return h(srv, askedStream{s, a})
}

type askedStream struct {
	grpc.ServerStream
	asked *asked
}

func (s askedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	if r, ok := m.(*discovery.DeltaDiscoveryRequest); ok && r.GetResponseNonce() == "" {
		names := slices.Sorted(slices.Values(r.GetResourceNamesSubscribe()))
		s.asked.mu.Lock()
		defer s.asked.mu.Unlock()
		s.asked.list = append(s.asked.list, fmt.Sprint(r.GetTypeUrl(), " ", names, " has ", len(r.GetInitialResourceVersions())))
	}
	return nil
}

func (a *asked) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.list)
}

func (a *asked) take() (out []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	out, a.list = a.list, nil
	return out
}

// TestTheSimulatedProxyAsksAsEnvoyDoes holds what tests and benchmarks stand on against real Envoys.
func TestTheSimulatedProxyAsksAsEnvoyDoes(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		record := &asked{}
		f := newFixtureWith(t, xds.Options{})
		f.serverOptions = []grpc.ServerOption{grpc.StreamInterceptor(record.intercept)}
		f.restart()
		f.origin("ecs")
		f.origin("eks")
		f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
		current := func() {
			f.await("the proxy is current", func() bool {
				for _, p := range f.fleet.Proxies() {
					if p.Connected && p.State == xds.StateOK && p.AckedRevision == f.revision {
						return true
					}
				}
				return false
			})
		}
		e := f.proxy(version, "p")
		current()
		first := record.take()
		f.restart()
		current()
		again := record.take()
		e.Stop(10 * time.Second)
		f.await("the proxy is gone", func() bool { return f.fleet.Proxies()[0].State == xds.StateLost })

		s := f.simulate("p", nil)
		s.holds(nil, "orders")
		compareAsked(t, "first", first, record.take())
		s.end()
		s.connect()
		f.await("the simulated proxy is back", func() bool { return record.count() >= len(again) })
		compareAsked(t, "again", again, record.take())
	})
}

func compareAsked(t *testing.T, when string, envoy, simulated []string) {
	t.Helper()
	if !slices.Equal(envoy, simulated) {
		t.Errorf("%s: Envoy asks\n  %s\nthe simulated proxy\n  %s", when, strings.Join(envoy, "\n  "), strings.Join(simulated, "\n  "))
	}
}
