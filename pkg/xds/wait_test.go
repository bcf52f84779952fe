package xds_test

import (
	"slices"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// A proxy that lost its stream during a wait was in neither list of the answer.
func TestAProxyThatComesBackDuringAWaitIsCounted(t *testing.T) {
	f := deltaFixture(t)
	f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
	p, silent := f.simulate("p", nil), make(chan struct{})
	stuck := f.simulate("stuck", func(deltaclient.Response) deltaclient.Verdict {
		select {
		case <-silent:
			return deltaclient.Verdict{Silent: true}
		default:
			return deltaclient.Verdict{}
		}
	})
	p.holds(nil, "orders")
	stuck.holds(nil, "orders")
	close(silent)
	w := f.flip(f.service("orders", map[string]int32{"eks": 10000}, "ecs", "eks"))
	f.await("p has it", func() bool { return len(w.Acks()) == 1 })
	p.end()
	f.await("p is gone", func() bool { return slices.Contains(f.fleet.Lost(), "p") })
	p.connect()
	f.await("p is current again", func() bool { return len(w.Acks()) == 1 })
	if pending := w.Pending(); !slices.Equal(pending, []string{"stuck"}) {
		t.Errorf("pending: %v", pending)
	}
	stuck.end()
	f.event("nobody is behind", w.Done())
}

// A refusal was held against every change of structure that was still followed, and undid those of others.
func TestARefusalIsHeldAgainstTheChangeThatBroughtIt(t *testing.T) {
	f := deltaFixture(t)
	f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
	release := make(chan struct{})
	p := f.simulate("p", func(r deltaclient.Response) deltaclient.Verdict {
		if r.Type == deltaclient.Cluster && slices.Contains(r.Upserts, "bad/eks") {
			<-release // both changes are on their way when it refuses
			return deltaclient.Verdict{Refuse: "cannot have bad/eks"}
		}
		return deltaclient.Verdict{}
	})
	p.holds(nil, "orders")
	bad := f.apply(f.service("bad", map[string]int32{"ecs": 10000}, "ecs", "eks"))
	same := f.flip(f.service("orders", map[string]int32{"eks": 10000}, "ecs", "eks"))
	good := f.apply(f.service("good", map[string]int32{"ecs": 10000}, "ecs", "eks"))
	close(release)
	f.event("refused", bad.Refused())
	f.await("parked", func() bool { return f.fleet.Proxies()[0].State == xds.StateRefused })
	for name, w := range map[string]*xds.Waiter{"a flip of another service": same, "a new service": good} {
		if r := w.Refusals(); len(r) > 0 {
			t.Errorf("%s is blamed: %+v", name, r)
		}
	}
}

// A rollback was said to be acknowledged when the layers were that the proxy has: its weights came only then, in its routes.
func TestARollbackWaitsForRoutesThatCarryWeights(t *testing.T) {
	for name, lacks := range map[string]string{"a base layer": translate.BaseLayerNames()[0], "the top layer": translate.TopLayer} {
		t.Run(name, func(t *testing.T) {
			f, at := deltaFixture(t), newGate()
			f.apply(f.service("orders", map[string]int32{"ecs": 9900, "eks": 100}, "ecs", "eks"))
			p := &simulated{f: f, Client: deltaclient.New(deltaclient.Config{
				ID: "p", Fleet: "default", ListenAddress: "127.0.0.1",
				Layers: slices.DeleteFunc(translate.LayerNames(), func(layer string) bool { return layer == lacks }),
				Answer: func(r deltaclient.Response) deltaclient.Verdict { return at.answer("p", r) },
			})}
			p.connect()
			t.Cleanup(at.open) // before the stream is waited for
			f.await("the proxy is served", func() bool {
				all := f.fleet.Proxies()
				return len(all) == 1 && all[0].State == xds.StateIncompatible && all[0].AckedRevision == f.revision
			})
			at.close()
			f.rollback = true
			w := f.flip(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
			f.await("its routes are on their way", func() bool { return len(at.inside()) == 1 })
			if connected, behind := f.fleet.Levered(w.Seq()); connected != 1 || !slices.Equal(behind, []string{"p"}) {
				t.Errorf("of %d proxies, these lack levers: %v", connected, behind)
			}
			if pending := w.Pending(); !slices.Equal(pending, []string{"p"}) {
				t.Errorf("pending: %v", pending)
			}
			at.open()
			f.acked(w)
			if _, behind := f.fleet.Levered(w.Seq()); len(behind) > 0 {
				t.Errorf("these lack levers: %v", behind)
			}
		})
	}
}
