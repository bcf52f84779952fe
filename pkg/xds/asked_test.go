package xds

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// asker is a proxy that asks for endpoints and answers what it is told to.
type asker struct {
	t    *testing.T
	s    *session
	sent chan *response
	got  map[string]int // how often each name came, also as one that there is not
}

// newAsker connects to a fleet that has endpoints of so many origins, 8 kB each. It runs in a bubble of synctest.
func newAsker(t *testing.T, origins int) (*asker, []string) {
	server := NewServer(Options{})
	var all []translate.Resource
	var names []string
	for i := range origins {
		endpoints := make([]netip.AddrPort, 300)
		for j := range endpoints {
			endpoints[j] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i), byte(j >> 8), byte(j)}), 8080)
		}
		r := translate.Endpoints(fmt.Sprintf("s%03d", i), "ecs", translate.Static(endpoints))
		all, names = append(all, r), append(names, r.Name)
	}
	server.Fleet("f").Publish(Update{Endpoints: all, Named: true}).Close()
	a := &asker{t: t, s: newSession(server, "?", time.Now()), sent: make(chan *response, 10), got: map[string]int{}}
	a.s.out.send = func(m any) error { a.sent <- m.(*response); return nil }
	return a, names
}

func (a *asker) ask(names ...string) {
	a.take(&discovery.DeltaDiscoveryRequest{ResourceNamesSubscribe: names})
}

func (a *asker) take(r *discovery.DeltaDiscoveryRequest) {
	a.t.Helper()
	r.TypeUrl, r.Node = kindURLs[endpoints], &core.Node{Id: "p", Cluster: "f"}
	if err := a.s.take(r); err != nil {
		a.t.Fatal(err)
	}
}

// next is the response that came; nil if none did.
func (a *asker) next() *response {
	synctest.Wait()
	select {
	case r := <-a.sent:
		for _, i := range r.upserts {
			a.got[i.Name]++
		}
		for _, name := range r.removals {
			a.got[name]++
		}
		return r
	default:
		return nil
	}
}

// accept takes all that comes, and returns how many responses that were.
func (a *asker) accept() (n int) {
	a.t.Helper()
	for r := a.next(); r != nil; r = a.next() {
		a.take(&discovery.DeltaDiscoveryRequest{ResponseNonce: r.nonce})
		n++
	}
	return n
}

func (a *asker) has(times int, names ...string) {
	a.t.Helper()
	for _, name := range names {
		if a.got[name] != times {
			a.t.Errorf("%s came %d times, not %d", name, a.got[name], times)
		}
	}
}

// TestWhatIsAskedForIsAnswered: an Envoy asks once and waits for ever, also where the answer is that there is nothing, or what it has.
func TestWhatIsAskedForIsAnswered(t *testing.T) {
	t.Run("nothing is known of one, in a first load of several pieces", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, names := newAsker(t, 200)
			a.ask(append(slices.Clone(names), "silent/ecs")...)
			if n := a.accept(); n < 2 {
				t.Fatalf("%d pieces", n)
			}
			a.has(1, append(names, "silent/ecs")...)
			if a.s.kinds[endpoints].fresh != nil {
				t.Error("what was asked for keeps its room")
			}
		})
	})
	t.Run("what it has is asked for again, between pieces of a first load", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, names := newAsker(t, 400)
			a.ask(names...)
			first := a.next()
			again := first.upserts[0].Name
			a.ask(again) // it waits until the first piece is acknowledged, and then there is no room for it in the second
			a.take(&discovery.DeltaDiscoveryRequest{ResponseNonce: first.nonce})
			if n := a.accept(); n < 2 {
				t.Fatalf("%d more pieces", n)
			}
			a.has(2, again)
			a.has(1, slices.DeleteFunc(names, func(name string) bool { return name == again })...)
		})
	})
	t.Run("while several that were refused are tried one at a time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, names := newAsker(t, 3)
			a.ask(names[0])
			a.accept()
			a.ask(names[1:]...)
			r := a.next()
			a.take(&discovery.DeltaDiscoveryRequest{ResponseNonce: r.nonce, ErrorDetail: &statuspb.Status{Message: "no"}})
			a.ask(names[0], "silent/ecs")
			a.accept()
			a.has(2, names...)
			a.has(1, "silent/ecs")
		})
	})
	t.Run("not what it refused, and nothing waits for that", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, names := newAsker(t, 1)
			a.ask(names...)
			r := a.next()
			a.take(&discovery.DeltaDiscoveryRequest{ResponseNonce: r.nonce, ErrorDetail: &statuspb.Status{Message: "no"}})
			a.ask(names...)
			a.accept()
			a.has(1, names...)
			if n := len(a.s.kinds[endpoints].fresh); n != 0 {
				t.Errorf("%d are still due", n)
			}
		})
	})
	t.Run("not what it asks for no more", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, names := newAsker(t, 1)
			a.ask(names...)
			r := a.next()
			a.ask("silent/ecs")
			a.take(&discovery.DeltaDiscoveryRequest{ResourceNamesUnsubscribe: []string{"silent/ecs"}})
			a.take(&discovery.DeltaDiscoveryRequest{ResponseNonce: r.nonce})
			a.accept()
			a.has(0, "silent/ecs")
			if n := len(a.s.kinds[endpoints].fresh); n != 0 {
				t.Errorf("%d are still due", n)
			}
		})
	})
}

// TestWhatIsAskedForNoMoreIsForgotten: a proxy that came back with a service that was gone had a list of its own of all that went since.
func TestWhatIsAskedForNoMoreIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, names := newAsker(t, 3)
		fleet := a.s.server.Fleet("f")
		has := map[string]string{"gone/ecs": "1"}
		for _, name := range names {
			has[name] = fleet.config.Load().endpoints.version(name)
		}
		a.take(&discovery.DeltaDiscoveryRequest{ResourceNamesSubscribe: append(slices.Clone(names), "gone/ecs"), InitialResourceVersions: has})
		a.accept()
		a.take(&discovery.DeltaDiscoveryRequest{ResourceNamesUnsubscribe: []string{"gone/ecs"}})
		fleet.Publish(Update{Endpoints: []translate.Resource{translate.Endpoints("s000", "ecs", nil)}}).Close() // the others have no clusters: they go
		a.accept()
		a.has(1, names[0])
		if have := a.s.kinds[endpoints].have; len(have.except) > 0 || have.base != fleet.config.Load().endpoints {
			t.Errorf("beside what there is, it is noted to have %v", have.except)
		}
	})
}
