package e2e

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

// twoFleets is a service with half of its requests at each origin, in two fleets of one proxy each, with one of a fleet of its own beside it.
func twoFleets(t *testing.T) (w *world, eu, us *stack.Proxy) {
	w = newWorld(t, "", 0)
	add := func(fleet string) *stack.Proxy {
		p, err := w.AddProxy(t.Context(), fleet, 1)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	eu, us = add("eu"), add("us")
	local := w.service("local", "http1", 5000)
	local.GetService().Fleet = "us"
	w.apply(w.inFleets(5000, "eu", "us"), local)
	w.ready()
	return w, eu, us
}

// inFleets is the document of the service.
func (w *world) inFleets(eks int32, fleets ...string) *crossfadev1.Document {
	doc := w.service("orders", "http1", eks)
	doc.GetService().Fleets = fleets
	return doc
}

// asked sends a hundred requests for a service through a proxy and returns who answered, sorted; "" is the proxy itself, "nobody" a port
// that is closed.
func (w *world) asked(p *stack.Proxy, service string) string {
	w.t.Helper()
	target := net.JoinHostPort(p.Host, strconv.Itoa(w.port))
	conn, err := net.Dial("tcp", target)
	if err != nil {
		return "nobody"
	}
	conn.Close()
	r, err := loadgen.Start(w.t.Context(), loadgen.Config{
		Target: target, Rate: 2000, Count: 100, Request: loadgen.Request{Host: service + ".test", Path: "/"}, Connections: 4,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	report := r.Wait()
	if report.Done != 100 {
		w.t.Fatalf("%d of 100 requests: %v", report.Done, report.Failures)
	}
	return strings.Join(slices.Sorted(maps.Keys(report.ByOrigin)), "+")
}

// answers fails the test unless requests through the proxies of both fleets are answered so.
func (w *world) answers(when string, eu, us *stack.Proxy, wantEU, wantUS string) {
	w.t.Helper()
	if gotEU, gotUS := w.asked(eu, "orders"), w.asked(us, "orders"); gotEU != wantEU || gotUS != wantUS {
		w.t.Fatalf("%s: in eu %q answered, in us %q; want %q and %q", when, gotEU, gotUS, wantEU, wantUS)
	}
}

// TestRollbackInOneFleet rolls a service back in one of its fleets, then in both: answers, proof, and what a restart and an apply make of it.
func TestRollbackInOneFleet(t *testing.T) {
	w, eu, us := twoFleets(t)
	stop := w.load("orders", loadgen.HTTP1, 200)
	w.answers("at first", eu, us, "ecs+eks", "ecs+eks")

	w.ctl("rollback", "orders", "--fleet", "eu").want(t, 0, "orders: in fleet eu; 100% ecs. 1/1 proxies acknowledged in", "no new request to eks since")
	w.answers("after a rollback in eu", eu, us, "ecs", "ecs+eks")
	w.ctl("rollback", "orders", "--fleet", "eu").want(t, 0, "no new request to eks since") // once more, with proof
	w.ctl("rollback", "orders", "--fleet", "asia").want(t, 2, "is served by fleet eu, us")
	w.ctl("get", "services").want(t, 0, "rolled back in eu")
	w.ctl("get", "services", "--fleet", "eu").want(t, 0, "ecs 100%")

	w.restart()
	w.apply(w.inFleets(6000, "eu", "us")) // says nothing of eu, so that stays as it is
	w.answers("after a restart and an apply", eu, us, "ecs", "ecs+eks")
	ends := w.inFleets(6000, "eu", "us")
	ends.GetService().RolledBackIn = []*crossfadev1.FleetRollback{{Fleet: "us"}}
	_, err := w.API.Apply(t.Context(), &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{ends}})
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "in fleet eu") {
		t.Fatalf("an apply that ends the rollback in eu: %v", err)
	}

	w.ctl("rollback", "orders").want(t, 0, "orders: 100% ecs. 2/2 proxies acknowledged", "fleet    eu: 1/1", "fleet    us: 1/1", "no new request to eks since")
	w.answers("after a rollback", eu, us, "ecs", "ecs")
	last := w.newest("orders")
	if last.GetFleet().GetName() != "eu,us" || last.GetFleet().GetAcked() != 2 {
		t.Errorf("the history says %v", last.GetFleet())
	}
	w.ctl("split", "set", "orders", "eks=50%").want(t, 0, "fleet    eu: 1/1", "fleet    us: 1/1")
	w.answers("after a split", eu, us, "ecs+eks", "ecs+eks")

	w.ctl("rollback", "--all", "--fleet", "us").want(t, 0, "orders: in fleet us; 100% ecs", "local: in fleet us; 100% ecs")
	w.answers("after a rollback of all of us", eu, us, "ecs+eks", "ecs")
	w.ctl("undo", "orders").want(t, 0)
	w.answers("after its undo", eu, us, "ecs+eks", "ecs+eks")
	noneFailed(t, stop(), 100)
}

// TestMovingAService between fleets: those that it leaves lose it, those that it comes to get all of it.
func TestMovingAService(t *testing.T) {
	w, eu, us := twoFleets(t)
	w.apply(w.inFleets(5000, "us"))
	w.await("eu to close its port", func() bool { return w.asked(eu, "orders") == "nobody" })
	w.answers("left with us", eu, us, "nobody", "ecs+eks")
	w.apply(w.inFleets(5000, "eu"))
	w.await("eu to open its port", func() bool { return w.asked(eu, "orders") != "nobody" })
	w.answers("moved to eu", eu, us, "ecs+eks", "") // us has the port for another service
	w.apply(w.inFleets(5000, "us", "eu"))
	w.answers("in both", eu, us, "ecs+eks", "ecs+eks")
}

// TestRefusedInOneFleet: what a proxy of one fleet refuses is undone in all of them, and both answers say so.
func TestRefusedInOneFleet(t *testing.T) {
	w, eu, us := twoFleets(t)
	bad := w.service("bad", "http1", 0)
	bad.GetService().Fleets, bad.GetService().Listener.Port = []string{"us", "eu"}, int32(w.taken()) // at the proxy of eu
	_, err := w.API.Apply(t.Context(), &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{bad}})
	if st := status.Convert(err); st.Code() != codes.FailedPrecondition || !strings.Contains(st.Message(), "Address already in use") {
		t.Fatalf("apply: %v", err)
	}
	for _, d := range status.Convert(err).Details() {
		if c, ok := d.(*crossfadev1.Change); ok && (c.GetUndoneBy() == 0 || len(c.GetFleets()) != 2) {
			t.Errorf("the answer: %v", c)
		}
	}
	if got, err := w.API.List(t.Context(), &crossfadev1.ListRequest{}); err != nil || len(got.GetItems()) != 2 {
		t.Fatalf("live afterwards: %v %v", got, err)
	}
	w.await("us to close the port", func() bool {
		conn, err := net.Dial("tcp", net.JoinHostPort(us.Host, fmt.Sprint(bad.GetService().GetListener().GetPort())))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	w.answers("beside it", eu, us, "ecs+eks", "ecs+eks")
}
