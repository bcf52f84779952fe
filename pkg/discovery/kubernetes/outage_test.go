package kubernetes

import (
	"context"
	"errors"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/kubetest"
	"github.com/crossfade-proxy/crossfade/pkg/discovery"
)

// TestOutage kills the API server while services are followed, and starts it again.
func TestOutage(t *testing.T) {
	s := kubetest.Start(t)
	ns := s.Namespace("outage")
	create(s, ns, slice("orders", "orders-a", "10.1.0.1", "10.1.0.2"))
	create(s, ns, slice("payments", "payments-a", "10.1.0.3"))
	c := open(t, as(s, kubetest.Admin))
	orders, payments := follow(t, c, orders(ns)), follow(t, c, Target{Namespace: ns, Service: "payments", Port: "http"})
	var set discovery.Set
	take := func(w *watcher) discovery.Look {
		l := w.next()
		set = set.Take(l, discovery.Rules{})
		return l
	}
	if l := take(orders); told(l) != ready("10.1.0.1", "10.1.0.2") {
		t.Fatalf("told %q", told(l))
	}
	payments.await(ready("10.1.0.3"))

	s.Kill()
	for range 3 { // each attempt is told
		if l := take(orders); codeOf(l.Err) != "kubernetes_unreachable" {
			t.Fatalf("told %q: %v", told(l), l.Err)
		}
	}
	payments.awaitError("kubernetes_unreachable")
	if got := set.Endpoints(); len(got) != 2 || got[0].State != discovery.StateReady {
		t.Errorf("believed without an API server: %v", got)
	}
	late := follow(t, c, Target{Namespace: ns, Service: "payments", Port: "http"})
	late.awaitError("kubernetes_unreachable")
	other := follow(t, c, Target{Namespace: "elsewhere", Service: "orders", Port: "http"})
	other.awaitError("kubernetes_unreachable")
	other.stop() // returns while nothing can be reached
	other.ended(context.Canceled)

	s.Restart()
	orders.await(ready("10.1.0.1", "10.1.0.2")) // nothing has changed, and yet it is told
	late.await(ready("10.1.0.3"))
	payments.await(ready("10.1.0.3"))
	replace(s, ns, slice("orders", "orders-a", "10.1.0.2"))
	orders.await(ready("10.1.0.2"))
	remove(s, ns, "payments-a")
	payments.await("error kubernetes_service_missing")
}

// TestCloseInAnOutage: closing does not wait for the API server.
func TestCloseInAnOutage(t *testing.T) {
	s := kubetest.Start(t)
	ns := s.Namespace("outage")
	create(s, ns, slice("orders", "orders-a", "10.1.0.1"))
	c := open(t, as(s, kubetest.Admin))
	w := follow(t, c, orders(ns))
	w.await(ready("10.1.0.1"))
	s.Kill()
	w.awaitError("kubernetes_unreachable")
	c.Close()
	w.ended(ErrClosed)
	if n := ours(); n != 0 {
		t.Errorf("%d goroutines of the reflector are left", n)
	}
	if err := c.Watch(t.Context(), orders(ns), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
