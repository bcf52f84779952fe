package xds_test

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
)

// The rules of how levers and structure travel, each against a real Envoy.

func three(f *fixture) {
	for _, name := range []string{"ecs", "eks", "new"} {
		f.origin(name)
	}
}

func TestStructureAndLeversReachARealEnvoy(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		f := newFixture(t)
		three(f)
		f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
		f.proxy(version, "p1")
		f.want("orders.test", "200 ecs")
		f.acked(f.flip(f.service("orders", map[string]int32{"eks": 10000}, "ecs", "eks")))
		f.want("orders.test", "200 eks")
		f.acked(f.apply(f.service("orders", map[string]int32{"new": 10000}, "ecs", "new")))
		f.want("orders.test", "200 new")
		f.acked(f.apply(f.service("pay", map[string]int32{"ecs": 10000}, "ecs", "eks")))
		f.want("PAY.test.:80", "200 ecs")
		f.acked(f.remove("orders"))
		if got := f.get("orders.test", "/"); !strings.HasPrefix(got, "404") {
			t.Fatalf("a removed service answers %q", got)
		}
		f.want("pay.test", "200 ecs")
	})
}

func (f *fixture) want(host, want string) {
	f.t.Helper()
	if got := f.get(host, "/"); got != want {
		f.t.Fatalf("%s answers %q, want %q", host, got, want)
	}
}

// A cluster that changes while its endpoints stay: Envoy waits for endpoints that come after it, and asks for none.
func TestChangedClusterGetsItsEndpointsAgain(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		f := newFixture(t)
		three(f)
		f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
		f.proxy(version, "p1")
		changed := f.service("orders", map[string]int32{"eks": 10000}, "ecs", "eks")
		changed.Origins[1].ConnectTimeout = durationpb.New(time.Second)
		f.acked(f.apply(changed))
		f.want("orders.test", "200 eks")
	})
}

// Origins that come at full weight and go while they have it: no moment may have a sum of 0, an unknown cluster or a cold one.
func TestOriginsComeAndGoUnderLoad(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		f := newFixture(t)
		three(f)
		f.apply(f.service("orders", map[string]int32{"eks": 10000}, "ecs", "eks"))
		f.proxy(version, "p1")
		stop, answers := f.load("orders.test")
		for range 15 {
			f.acked(f.apply(f.service("orders", map[string]int32{"new": 10000}, "ecs", "new")))
			f.acked(f.apply(f.service("orders", map[string]int32{"eks": 10000}, "ecs", "eks")))
		}
		stop()
		for answer, n := range answers() {
			if !strings.HasPrefix(answer, "200") {
				t.Errorf("%d × %s", n, answer)
			}
		}
		if n := answers()["200 new"]; n == 0 {
			t.Error("the load never reached the new origin: the test saw nothing")
		}
	})
}

// load asks without pause until stopped, and counts the answers.
func (f *fixture) load(host string) (stop func(), answers func() map[string]int) {
	done, ended := make(chan struct{}), make(chan struct{})
	var mu sync.Mutex
	counts := map[string]int{}
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
			}
			answer := f.get(host, "/")
			mu.Lock()
			counts[answer]++
			mu.Unlock()
		}
	}()
	stop = sync.OnceFunc(func() {
		close(done)
		<-ended
	})
	f.t.Cleanup(stop)
	return stop, func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		return counts
	}
}

// A lever that was folded into its base layer, one that was not, and a fold under load: nobody sees old weights.
func TestFoldChangesNothing(t *testing.T) {
	f := newFixture(t)
	three(f)
	f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
	e := f.proxy("", "p1")
	f.acked(f.flip(f.service("orders", map[string]int32{"eks": 10000}, "ecs", "eks")))
	stop, answers := f.load("orders.test")
	f.fleet.Fold(0) // base layers get it
	f.acked(f.fleet.Follow())
	f.fleet.Fold(0) // the top layer loses it
	f.acked(f.fleet.Follow())
	e.AwaitRuntime("w.orders.orders/eks", "10000")
	stop()
	if got := answers(); len(got) != 1 || got["200 eks"] == 0 {
		t.Fatalf("answers while folding: %v", got)
	}
}

// A listener that cannot bind is refused in Envoy's words, parked, and not sent again; the rest goes on; a corrected one is taken.
func TestRefusalIsParked(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		var mu sync.Mutex
		nacks := 0
		f := newFixtureWith(t, xds.Options{OnNack: func(string, string) { mu.Lock(); nacks++; mu.Unlock() }})
		three(f)
		f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
		f.proxy(version, "p1")
		taken, err := net.Listen("tcp", f.listen.Host()+":0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		bad := f.service("bad", map[string]int32{"ecs": 10000}, "ecs", "eks")
		bad.Listener.Port = int32(taken.Addr().(*net.TCPAddr).Port)
		w := f.apply(bad)
		<-w.Refused()
		if r := w.Refusals()[0]; !strings.Contains(r.Message, "Address already in use") || r.Type != "Listener" {
			t.Fatalf("refusal: %+v", r)
		}
		f.acked(f.remove("bad"))
		f.acked(f.apply(f.service("pay", map[string]int32{"eks": 10000}, "ecs", "eks")))
		f.want("pay.test", "200 eks")
		mu.Lock()
		defer mu.Unlock()
		if nacks != 1 {
			t.Errorf("%d refusals: what was refused was sent again", nacks)
		}
	})
}

// A proxy that was away is sent nothing that it has.
func TestNothingIsSentTwice(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		f := newFixture(t)
		three(f)
		for _, name := range []string{"orders", "pay", "cart"} {
			f.apply(f.service(name, map[string]int32{"ecs": 5000, "eks": 5000}, "ecs", "eks"))
		}
		f.proxy(version, "p1")
		f.restart()
		f.await("the proxy to come back", func() bool { return f.connected(1) })
		f.acked(f.fleet.Follow())
		if n := f.sent(); n != 0 {
			t.Errorf("%d responses to a proxy that has everything, the last: %v", n, f.counter.last.Load())
		}
	})
}

func (f *fixture) connected(n int) bool {
	have := 0
	for _, p := range f.fleet.Proxies() {
		if p.Connected {
			have++
		}
	}
	return have == n
}

// A proxy whose bootstrap lacks a layer gets its weights in its routes.
func TestIncompatibleProxyFollowsWeights(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		f := newFixture(t)
		three(f)
		f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
		e, _ := f.start(version, "p1", func(b []byte) []byte {
			lines := strings.SplitAfter(string(b), "\n")
			kept := lines[:0]
			for _, l := range lines {
				if !strings.Contains(l, "name: levers-07,") {
					kept = append(kept, l)
				}
			}
			return []byte(strings.Join(kept, ""))
		})
		e.AwaitReady()
		f.await("traffic", func() bool { return f.get("orders.test", "/") == "200 ecs" })
		if p := f.fleet.Proxies()[0]; p.State != xds.StateIncompatible {
			t.Fatalf("%+v", p)
		}
		f.acked(f.flip(f.service("orders", map[string]int32{"eks": 10000}, "ecs", "eks")))
		f.want("orders.test", "200 eks")
	})
}

// A proxy with levers of a change that the store does not know keeps them until somebody says what holds.
func TestUnknownLeversAreKept(t *testing.T) {
	f := newFixtureWith(t, xds.Options{KnownStamp: func(_, stamp string) bool { return stamp != "lost" }})
	three(f)
	f.apply(f.service("orders", map[string]int32{"eks": 10000}, "ecs", "eks"))
	f.proxy("", "p1")
	back := f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks")
	f.stamp = "lost" // a rollback that was never recorded
	f.acked(f.flip(back))
	f.want("orders.test", "200 ecs")

	f.stamp = "known"
	f.replace() // a new process that knows only what the store has
	f.apply(f.service("orders", map[string]int32{"eks": 10000}, "ecs", "eks"))
	f.await("held", func() bool { p := f.fleet.Proxies(); return len(p) == 1 && p[0].State == xds.StateHeld })
	f.want("orders.test", "200 ecs")
	f.fleet.Release()
	f.acked(f.flip(f.service("orders", map[string]int32{"eks": 10000}, "ecs", "eks")))
	f.want("orders.test", "200 eks")
}

// A fresh proxy is not ready before it has everything.
func TestReadyOnlyWithEverything(t *testing.T) {
	f := newFixture(t)
	three(f)
	e, ready := f.start("", "p1", func(b []byte) []byte { return b })
	e.AwaitReady() // Envoy itself is: the fleet is empty
	f.await("the readiness listener", func() bool { return status(ready) == http.StatusServiceUnavailable })
	f.acked(f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks")))
	f.await("readiness", func() bool { return status(ready) == http.StatusOK })
	f.want("orders.test", "200 ecs")
}

// A server on a wrong or lost data directory takes nothing from a running fleet.
func TestAServerThatKnowsNothingTakesNothing(t *testing.T) {
	f := newFixture(t)
	three(f)
	f.apply(f.service("orders", map[string]int32{"eks": 10000}, "ecs", "eks"))
	f.proxy("", "p1")
	f.replace()
	f.await("the proxy to come back", func() bool {
		p := f.fleet.Proxies()
		return len(p) == 1 && p[0].State == xds.StateUnknownFleet
	})
	f.want("orders.test", "200 eks")
	if n := f.sent(); n != 0 {
		t.Errorf("%d responses from a server that knows nothing", n)
	}
	f.acked(f.apply(f.service("pay", map[string]int32{"ecs": 10000}, "ecs", "eks"))) // now it knows
	f.want("pay.test", "200 ecs")
}

// A rollback is acknowledged by a proxy that refused structure of something else.
func TestRollbackWhileStructureIsRefused(t *testing.T) {
	f := newFixture(t)
	three(f)
	f.apply(f.service("orders", map[string]int32{"eks": 10000}, "ecs", "eks"))
	f.proxy("", "p1")
	taken, err := net.Listen("tcp", f.listen.Host()+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	bad := f.service("bad", map[string]int32{"ecs": 10000}, "ecs", "eks")
	bad.Listener.Port = int32(taken.Addr().(*net.TCPAddr).Port)
	<-f.apply(bad).Refused()
	f.rollback = true
	f.acked(f.flip(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks")))
	f.want("orders.test", "200 ecs")
}
