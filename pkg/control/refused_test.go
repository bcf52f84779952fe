package control_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// proxyThat connects a proxy that decides by answer what becomes of a response, and waits until it is there.
func (w *world) proxyThat(fleet, id string, answer func(deltaclient.Response) deltaclient.Verdict) {
	w.t.Helper()
	c := deltaclient.New(deltaclient.Config{ID: id, Fleet: fleet, ListenAddress: "127.0.0.1", Layers: translate.LayerNames(), Answer: answer})
	w.connect(c)
	w.awaitProxy(fleet, id, xds.StateOK)
}

// connect serves a proxy until end is called, or the test ends.
func (w *world) connect(c *deltaclient.Client) (end func()) {
	w.t.Helper()
	l, err := net.Listen("tcp", loopback.Host()+":0")
	if err != nil {
		w.t.Fatal(err)
	}
	g := grpc.NewServer(xds.GRPCOptions()...)
	w.fleets.Register(g)
	served := make(chan struct{})
	go func() { defer close(served); _ = g.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), append(deltaclient.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx, conn) }()
	end = sync.OnceFunc(func() { cancel(); <-done; conn.Close(); g.Stop(); <-served })
	w.t.Cleanup(end)
	return end
}

// awaitProxy waits for a state of a proxy.
func (w *world) awaitProxy(fleet, id string, state xds.ProxyState) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	if err := poll.Until(ctx, time.Millisecond, poll.True(func() bool { return w.state(fleet, id) == state })); err != nil {
		w.t.Fatalf("%v: %s is %s", err, id, w.state(fleet, id))
	}
}

func (w *world) state(fleet, id string) xds.ProxyState {
	p, _ := w.fleets.Fleet(fleet).Proxy(id)
	return p.State
}

// refuseVirtualHosts takes everything but changes of virtual hosts, once told to.
func refuseVirtualHosts(when <-chan struct{}) func(deltaclient.Response) deltaclient.Verdict {
	return func(r deltaclient.Response) deltaclient.Verdict {
		select {
		case <-when:
			if r.Type == deltaclient.VirtualHost {
				return deltaclient.Verdict{Refuse: "no such thing"}
			}
		default:
		}
		return deltaclient.Verdict{}
	}
}

func betaPin() *crossfadev1.Pin {
	return &crossfadev1.Pin{Name: "beta", Origin: "eks", Match: &crossfadev1.Pin_Header{Header: &crossfadev1.ValueMatch{Name: "x-beta", Condition: &crossfadev1.ValueMatch_Exact{Exact: "1"}}}}
}

// changesIn returns what an error says of its changes.
func changesIn(t *testing.T, err error) []*crossfadev1.Change {
	t.Helper()
	var failed *control.ChangeError
	if !is(err, policy.Refused) || !errors.As(err, &failed) {
		t.Fatalf("not refused: %v", err)
	}
	return failed.Changes
}

// A pin that a proxy refused is undone, and with it the decision that it was: an apply still may not undo the rollback before it, nor
// may one after a restart.
func TestARefusedPinLeavesTheRollback(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir)
	w.apply(5000)
	w.rollBack(orderTarget)
	refuse := make(chan struct{})
	w.proxyThat("default", "p1", refuseVirtualHosts(refuse))
	close(refuse)
	_, err := w.PutPin(t.Context(), "orders", betaPin(), control.Options{})
	c := changesIn(t, err)[0]
	if c.GetUndoneBy() != c.GetRevision()+1 {
		t.Errorf("the answer does not say that it was undone: %v", c)
	}
	w.stillRolledBack(dir)
}

// A split that was refused because the disk did not answer, and reached it after all, is no decision either.
func TestASplitInDoubtLeavesTheRollback(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir)
	late := newLate(w)
	w.apply(5000)
	w.rollBack(orderTarget)
	late.sleep()
	if _, err := w.SetSplit(t.Context(), "orders", split(9000), control.Options{}); !is(err, policy.Unavailable) {
		t.Fatalf("on a disk that hangs: %v", err)
	}
	late.wake()
	<-late.landed
	w.stillRolledBack(dir)
}

// stillRolledBack holds the rule that an apply may not raise traffic after a rollback against a world, and against one after a restart.
func (w *world) stillRolledBack(dir string) {
	w.t.Helper()
	for _, when := range []string{"now", "after a restart", "after another"} {
		if s := w.List("")[0]; !s.GetRolledBack() || len(s.GetPins()) != 0 || s.GetSplit()["eks"] != 0 {
			w.t.Fatalf("%s: %v", when, s)
		}
		if _, err := w.Apply(w.t.Context(), []*crossfadev1.Document{orders(5000)}, control.Options{}); !is(err, policy.Held) {
			w.t.Fatalf("%s: an apply after a rollback: %v", when, err)
		}
		w.stop()
		w = newWorld(w.t, dir)
	}
}

// Two fleets: one refuses what the other has taken, or would not answer to at all. It is undone in both, and at once.
func TestARefusalInOneFleetUndoesItInAll(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.applyAll(spread(5000))
	refuse, never := make(chan struct{}), make(chan struct{})
	w.proxyThat("eu", "p1", refuseVirtualHosts(refuse))
	w.proxyThat("us", "p1", func(r deltaclient.Response) deltaclient.Verdict {
		select {
		case <-never:
			return deltaclient.Verdict{Silent: true}
		default:
			return deltaclient.Verdict{}
		}
	})
	close(refuse)
	close(never)
	_, err := w.PutPin(t.Context(), "orders", betaPin(), control.Options{})
	c := changesIn(t, err)[0]
	if c.GetUndoneBy() == 0 || !slices.Equal(fleetNames(c), []string{"eu", "us"}) {
		t.Errorf("%v", c)
	}
	if eu := c.GetFleets()[0].GetFleet(); len(eu.GetRefused()) != 1 || len(c.GetFleets()[1].GetFleet().GetRefused()) != 0 || len(c.GetFleet().GetRefused()) != 1 {
		t.Errorf("%v", c)
	}
	for _, fleet := range []string{"eu", "us"} {
		if s := w.List(fleet)[0]; len(s.GetPins()) != 0 {
			t.Errorf("pins in %s: %v", fleet, s.GetPins())
		}
	}
}

// A proxy that comes from a server with another store is held: a rollback of one service is acknowledged by it and does not release it, a
// rollback of the others does.
func TestARollbackOfOneServiceDoesNotReleaseAHeldProxy(t *testing.T) {
	pay := orders(5000)
	pay.GetService().Name, pay.GetService().Hosts = "pay", []string{"pay.test"}
	docs := []*crossfadev1.Document{orders(5000), pay}
	c := deltaclient.New(deltaclient.Config{ID: "p1", Fleet: "default", ListenAddress: "127.0.0.1", Layers: translate.LayerNames()})
	first := newWorld(t, t.TempDir())
	first.applyAll(docs...)
	end := first.connect(c)
	first.awaitProxy("default", "p1", xds.StateOK)
	first.rollBack(control.RollbackTarget{Service: "pay"}) // what the other store will not know
	end()

	w := newWorld(t, t.TempDir())
	w.applyAll(docs...)
	w.connect(c)
	w.awaitProxy("default", "p1", xds.StateHeld)
	changes, err := w.Rollback(t.Context(), orderTarget, control.Options{Wait: crossfadev1.Wait_WAIT_ACKED})
	if err != nil || changes[0].GetFleet().GetAcked() != 1 || w.state("default", "p1") != xds.StateHeld {
		t.Fatalf("%v %v, the proxy is %s", changes, err, w.state("default", "p1"))
	}
	if _, err := w.SetSplit(t.Context(), "pay", split(1000), control.Options{}); err != nil {
		t.Fatal(err)
	}
	w.awaitProxy("default", "p1", xds.StateOK)
}
