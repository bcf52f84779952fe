package xds_test

import (
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// decide changes weights on purpose, as a rollback or a `split set` does.
func (f *fixture) decide(doc *crossfadev1.Service) *xds.Waiter {
	f.t.Helper()
	s, errs := policy.CompileService(doc)
	if len(errs) > 0 {
		f.t.Fatal(errs)
	}
	f.services[s.Name] = s
	return f.publish(xds.Update{Levers: map[string][]translate.Lever{s.Name: translate.Levers(s)}, Decides: []string{s.Name}})
}

// heldWorld is a proxy with a rollback of pay that was never recorded, at a server whose store has two services at eks.
func heldWorld(t *testing.T, version string) (f *fixture, at func(name, origin string) *crossfadev1.Service) {
	f = newFixtureWith(t, xds.Options{KnownStamp: func(_, stamp string) bool { return stamp != "lost" }})
	three(f)
	at = func(name, origin string) *crossfadev1.Service {
		return f.service(name, map[string]int32{origin: 10000}, "ecs", "eks")
	}
	f.apply(at("orders", "eks"), at("pay", "eks"))
	f.proxy(version, "p1")
	f.stamp = "lost"
	f.acked(f.flip(at("pay", "ecs")))
	f.stamp = "known"
	f.again("orders", "eks", "pay", "eks")
	return f, at
}

// again starts a server that knows nothing but these services, at these origins, and waits until the proxy is held. It reads its store
// before it serves, as the real one does.
func (f *fixture) again(at ...string) {
	f.t.Helper()
	f.grpc.Stop()
	f.renew()
	var docs []*crossfadev1.Service
	for i := 0; i < len(at); i += 2 {
		docs = append(docs, f.service(at[i], map[string]int32{at[i+1]: 10000}, "ecs", "eks"))
	}
	f.apply(docs...)
	f.serve()
	f.await("held", func() bool { return f.state() == xds.StateHeld })
}

func (f *fixture) state() xds.ProxyState {
	if p := f.fleet.Proxies(); len(p) == 1 {
		return p[0].State
	}
	return ""
}

// A rollback of one service reaches a held proxy, and takes back nothing of another one that the store does not know of. Nor does it
// after the next restart.
func TestARollbackReachesAHeldProxyAndNothingElseDoes(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		f, at := heldWorld(t, version)
		f.want("orders.test", "200 eks")
		f.want("pay.test", "200 ecs")

		f.rollback = true
		f.acked(f.decide(at("orders", "ecs")))
		f.want("orders.test", "200 ecs")
		f.want("pay.test", "200 ecs")
		f.acked(f.decide(at("orders", "ecs"))) // once more: there is nothing to send
		if f.state() != xds.StateHeld {
			t.Fatalf("released by a rollback of one service of two: %+v", f.fleet.Proxies())
		}
		f.rollback = false
		f.acked(f.decide(at("orders", "eks")))
		f.want("orders.test", "200 eks")
		f.rollback = true
		f.acked(f.decide(at("orders", "ecs")))

		f.rollback = false
		f.again("orders", "ecs", "pay", "eks") // the rollback of orders is recorded
		f.want("orders.test", "200 ecs")
		f.want("pay.test", "200 ecs")
		f.acked(f.decide(at("pay", "eks")))
		f.want("orders.test", "200 ecs")
		f.want("pay.test", "200 eks")
	})
}

// What a held proxy has on top since a former process stays at the primary when another service is decided, whatever the store says.
func TestAHeldProxyKeepsWhatItHasOnTop(t *testing.T) {
	f, at := heldWorld(t, "")
	f.rollback = true
	f.acked(f.decide(at("orders", "ecs")))
	f.again("orders", "eks", "pay", "eks") // that rollback is lost as well
	f.acked(f.decide(at("pay", "ecs")))
	f.want("orders.test", "200 ecs")
	f.want("pay.test", "200 ecs")
}

// Once every service is decided a held proxy gets what it should have, and nothing is left above it.
func TestAHeldProxyIsReleasedOnceEveryServiceIsDecided(t *testing.T) {
	f, at := heldWorld(t, "")
	f.acked(f.decide(at("orders", "ecs")))
	f.acked(f.decide(at("pay", "eks")))
	f.await("release", func() bool { return f.state() == xds.StateOK })
	f.want("orders.test", "200 ecs")
	f.want("pay.test", "200 eks")
	for _, origin := range []string{"eks", "ecs"} { // as ever
		f.acked(f.flip(at("orders", origin)))
		f.want("orders.test", "200 "+origin)
		f.acked(f.flip(at("pay", origin)))
		f.want("pay.test", "200 "+origin)
	}
	f.acked(f.apply(at("new", "eks")))
	f.want("new.test", "200 eks")
}

// A proxy that comes back after everything was decided is not held: there is nothing that it could know better.
func TestAProxyThatComesBackAfterAllIsDecided(t *testing.T) {
	f, at := heldWorld(t, "")
	f.again("orders", "eks", "pay", "eks")
	f.grpc.Stop() // the proxy is away
	f.await("the proxy to be lost", func() bool { return f.state() == xds.StateLost })
	f.decide(at("orders", "ecs"))
	f.decide(at("pay", "ecs"))
	f.serve()
	f.await("the proxy to be back", func() bool { return f.state() == xds.StateOK })
	f.want("orders.test", "200 ecs")
	f.want("pay.test", "200 ecs")
}

// A held proxy keeps its weights, and nothing else: endpoints that documents name are at once what the store says, as docs/operations.md does.
// Withholding them would hold back those of deploys too, and leave a cluster with the protocol of one time and the endpoints of another.
func TestAHeldProxyTakesEndpoints(t *testing.T) {
	f, _ := heldWorld(t, "")
	f.want("orders.test", "200 eks")
	f.origins["eks"] = f.origins["new"]
	f.again("orders", "eks", "pay", "eks")
	f.await("the endpoints of the store", func() bool { return f.get("orders.test", "/") == "200 new" })
	f.want("pay.test", "200 ecs")
	if f.state() != xds.StateHeld {
		t.Errorf("it is not held any more: %+v", f.fleet.Proxies())
	}
}
