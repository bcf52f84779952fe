package xds_test

import (
	"slices"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
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
