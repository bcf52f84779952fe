package xds_test

import (
	"slices"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// on gives a service a path of a host that others share.
func on(s *crossfadev1.Service, path string, hosts ...string) *crossfadev1.Service {
	s.Hosts, s.PathPrefixes = hosts, []string{path}
	return s
}

// refusing is a proxy that does not take a resource while it is told so.
func (f *fixture) refusing(id, typeURL, name string) (*simulated, *atomic.Bool) {
	on := &atomic.Bool{}
	return f.simulate(id, func(r deltaclient.Response) deltaclient.Verdict {
		if on.Load() && r.Type == typeURL && slices.Contains(r.Upserts, name) {
			return deltaclient.Verdict{Refuse: "cannot have " + name}
		}
		return deltaclient.Verdict{}
	}), on
}

// A virtual host that is kept for a service that was refused has the routes of others: they must not lose what those need.
func TestWhatSharesAHostWithARefusedServiceKeepsWhatItsRoutesNeed(t *testing.T) {
	f, sent := deltaFixture(t), &sentLayers{}
	f.serverOptions = []grpc.ServerOption{grpc.StreamInterceptor(sent.intercept)}
	f.restart()
	f.apply(on(f.service("bad", map[string]int32{"ecs": 10000}, "ecs", "eks"), "/bad", "shared.test"),
		on(f.service("good", map[string]int32{"eks": 10000}, "ecs", "eks"), "/good", "shared.test"),
		f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
	p, refusing := f.refusing("p", deltaclient.Cluster, "bad/new")
	p.holds(nil, "bad", "good", "orders")
	kept := p.Held(deltaclient.VirtualHost)[f.virtualHost("shared")]
	refusing.Store(true)
	f.event("refused", f.apply(on(f.service("bad", map[string]int32{"ecs": 10000}, "ecs", "new"), "/bad", "shared.test")).Refused())
	f.acked(f.apply(on(f.service("good", map[string]int32{"new": 10000}, "ecs", "new"), "/good", "shared.test")))
	for _, ecs := range []int32{5000, 10000} { // what is due has come before the second
		f.acked(f.flip(f.service("orders", map[string]int32{"ecs": ecs, "eks": 10000 - ecs}, "ecs", "eks")))
	}
	if now := p.Held(deltaclient.VirtualHost)[f.virtualHost("shared")]; now != kept {
		t.Fatalf("the virtual host is %s, and was %s", now, kept)
	}
	for _, cluster := range []string{"good/ecs", "good/eks"} {
		if p.Held(deltaclient.Cluster)[cluster] == "" {
			t.Errorf("its routes name %s, which is gone", cluster)
		}
	}
	if sent.lever(p, "w.good.good/ecs") == 0 && sent.lever(p, "w.good.good/eks") == 0 {
		t.Error("the weights in its routes are 0")
	}
	delete(f.services, "bad")
	f.acked(f.publish(xds.Update{Structure: f.build(translate.Options{}), Levers: map[string][]translate.Lever{"bad": nil}}))
	p.holds(f.fold())
}

// A virtual host is named after its first host, which may go to another service. For the others it is all that there is.
func TestAVirtualHostThatGoesToAnotherServiceIsKeptForTheRefusedOne(t *testing.T) {
	f := deltaFixture(t)
	f.apply(on(f.service("bad", map[string]int32{"ecs": 10000}, "ecs", "eks"), "/", "a.test", "b.test"))
	p, refusing := f.refusing("p", deltaclient.Cluster, "bad/new")
	p.holds(nil, "bad")
	kept := p.Held(deltaclient.VirtualHost)[f.virtualHost("a")]
	refusing.Store(true)
	w := f.apply(on(f.service("bad", map[string]int32{"ecs": 10000}, "ecs", "new"), "/", "b.test"), on(f.service("good", map[string]int32{"ecs": 10000}, "ecs", "eks"), "/", "a.test"))
	f.event("refused", w.Refused())
	f.acked(w)
	f.acked(f.flip(on(f.service("good", map[string]int32{"eks": 10000}, "ecs", "eks"), "/", "a.test")))
	if now := p.Held(deltaclient.VirtualHost); now[f.virtualHost("a")] != kept || now[f.virtualHost("b")] != "" {
		t.Errorf("nothing serves b.test: %v; kept was %s", now, kept)
	}
	delete(f.services, "bad")
	f.acked(f.publish(xds.Update{Structure: f.build(translate.Options{}), Levers: map[string][]translate.Lever{"bad": nil}}))
	p.holds(f.fold())
}

// The refusal of what somebody has mended meanwhile must not undo the mend.
func TestARefusalIsNotHeldAgainstWhatMendsIt(t *testing.T) {
	f := deltaFixture(t)
	f.apply(f.service("bad", map[string]int32{"ecs": 10000}, "ecs", "eks"))
	var armed atomic.Bool
	asked, answer := make(chan struct{}), make(chan struct{})
	p := f.simulate("p", func(r deltaclient.Response) deltaclient.Verdict {
		if r.Type == deltaclient.VirtualHost && armed.CompareAndSwap(true, false) {
			close(asked)
			<-answer
			return deltaclient.Verdict{Refuse: "no such thing"}
		}
		return deltaclient.Verdict{}
	})
	p.holds(nil, "bad")
	armed.Store(true)
	path := func(path string) *crossfadev1.Service {
		return on(f.service("bad", map[string]int32{"ecs": 10000}, "ecs", "eks"), path, "bad.test")
	}
	refused := f.apply(path("/bad"))
	f.event("asked", asked)
	mended := f.apply(path("/mended"))
	close(answer)
	f.event("refused", refused.Refused())
	f.acked(mended)
	if r := mended.Refusals(); len(r) > 0 {
		t.Errorf("held against what mends it: %v", r)
	}
	p.holds(nil, "bad")
}
