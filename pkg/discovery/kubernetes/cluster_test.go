package kubernetes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/kubetest"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/pkg/discovery"
)

// TestAgainstAnAPIServer runs what needs no server of its own against one.
func TestAgainstAnAPIServer(t *testing.T) {
	s := kubetest.Start(t, kubetest.User{Name: "crossfade", Groups: []string{"crossfade-discovery"}}, kubetest.User{Name: "guest"})
	for name, test := range map[string]func(*testing.T, *kubetest.Server){
		"changes of slices":                    changesOfSlices,
		"a rolling replacement":                rollingReplacement,
		"what is stopping is told at once":     stoppingAtOnce,
		"a service that is not there yet":      notThereYet,
		"a slice moves to another service":     sliceMoves,
		"the first look has everything":        firstLookIsWhole,
		"one watch for a namespace":            oneWatch,
		"a look is told again":                 toldAgain,
		"who cannot log in is told so":         cannotLogIn,
		"an expired token is told so":          expiredToken,
		"the manifest grants what is needed":   manifest,
		"a pod's service account":              podAccount,
		"closing ends everything":              closing,
		"a slow consumer misses only what was": slowConsumer,
	} {
		t.Run(name, func(t *testing.T) { test(t, s) })
	}
}

func changesOfSlices(t *testing.T, s *kubetest.Server) {
	ns := s.Namespace("changes")
	create(s, ns, slice("orders", "orders-a", "10.1.0.1"))
	w := follow(t, open(t, as(s, kubetest.Admin)), orders(ns))
	w.await(ready("10.1.0.1"))
	create(s, ns, slice("orders", "orders-b", "10.1.0.2", "10.1.0.3 unready"))
	w.await(ready("10.1.0.1", "10.1.0.2"))
	replace(s, ns, slice("orders", "orders-b", "10.1.0.2", "10.1.0.3"))
	w.await(ready("10.1.0.1", "10.1.0.2", "10.1.0.3"))
	create(s, ns, slice("payments", "payments-a", "10.1.0.9"))
	remove(s, ns, "orders-a")
	if before := w.await(ready("10.1.0.2", "10.1.0.3")); len(before) > 0 {
		t.Errorf("also told: %q", before)
	}
	replace(s, ns, slice("orders", "orders-b"))
	w.await("")
	remove(s, ns, "orders-b")
	w.await("error kubernetes_service_missing")
	create(s, ns, slice("orders", "orders-c", "10.1.0.4"))
	w.await(ready("10.1.0.4"))
}

// rollingReplacement replaces pods as a Deployment does; what is believed never has fewer than it began with, and ends with the new ones.
func rollingReplacement(t *testing.T, s *kubetest.Server) {
	ns := s.Namespace("rolling")
	pods := []string{"10.1.0.1", "10.1.0.2", "10.1.0.3"}
	create(s, ns, slice("orders", "orders-a", pods...))
	w := follow(t, open(t, as(s, kubetest.Admin)), orders(ns))
	var set discovery.Set
	states := func() (ready, draining int) {
		l := w.next()
		if l.Err != nil {
			t.Fatal(l.Err)
		}
		set = set.Take(l, discovery.Rules{Share: 30, Confirm: time.Hour})
		for _, e := range set.Endpoints() {
			switch e.State {
			case discovery.StateReady:
				ready++
			case discovery.StateDraining:
				draining++
			case discovery.StateHeld:
				t.Fatalf("%v is held: its end was announced", e.Address)
			}
		}
		return ready, draining
	}
	step := func(wantReady, wantDraining int, pods ...string) {
		t.Helper()
		replace(s, ns, slice("orders", "orders-a", pods...))
		if ready, draining := states(); ready != wantReady || draining != wantDraining {
			t.Fatalf("%d ready and %d draining after %v", ready, draining, pods)
		}
	}
	if ready, _ := states(); ready != 3 {
		t.Fatalf("%d ready at first", ready)
	}
	for i := range pods {
		old, others := pods[0], pods[1:]
		fresh := fmt.Sprintf("10.1.1.%d", i+1)
		step(4, 0, append([]string{fresh, old}, others...)...)
		step(3, 1, append([]string{fresh, old + " draining"}, others...)...)
		pods = append(append([]string(nil), others...), fresh)
		step(3, 0, pods...)
	}
}

func notThereYet(t *testing.T, s *kubetest.Server) {
	ns := s.Namespace("yet")
	w := follow(t, open(t, as(s, kubetest.Admin)), orders(ns))
	err := w.awaitError("kubernetes_service_missing")
	if want := fmt.Sprintf(`service "orders" in namespace %q has no endpoint slices`, ns); !strings.Contains(err.Error(), want) {
		t.Errorf("got %v", err)
	}
	create(s, ns, slice("orders", "orders-a", "10.1.0.1"))
	w.await(ready("10.1.0.1"))
}

func sliceMoves(t *testing.T, s *kubetest.Server) {
	ns := s.Namespace("moves")
	create(s, ns, slice("orders", "x", "10.1.0.1"))
	c := open(t, as(s, kubetest.Admin))
	a, b := follow(t, c, orders(ns)), follow(t, c, Target{Namespace: ns, Service: "payments", Port: "8080"})
	a.await(ready("10.1.0.1"))
	b.await("error kubernetes_service_missing")
	replace(s, ns, slice("payments", "x", "10.1.0.1"))
	a.await("error kubernetes_service_missing")
	b.await(ready("10.1.0.1"))
}

// firstLookIsWhole: a part of an origin would look like one that shrank.
func firstLookIsWhole(t *testing.T, s *kubetest.Server) {
	ns := s.Namespace("whole")
	var want []string
	for i := range 30 {
		address := fmt.Sprintf("10.1.0.%d", i+1)
		create(s, ns, slice("orders", fmt.Sprintf("orders-%d", i), address))
		want = append(want, address)
	}
	c := as(s, kubetest.Admin)
	c.Settle = time.Nanosecond
	w := follow(t, open(t, c), orders(ns))
	if before := w.await(ready(want...)); len(before) > 0 {
		t.Errorf("told first: %q", before)
	}
}

// awaitWatches waits until the server says that it holds that many watches of the slices of single namespaces.
func awaitWatches(t *testing.T, s *kubetest.Server, want float64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	err := poll.Until(ctx, 20*time.Millisecond, func(context.Context) error {
		got := s.Metric("apiserver_longrunning_requests", `resource="endpointslices"`, `verb="WATCH"`, `scope="namespace"`)
		if got != want {
			return fmt.Errorf("%v watches, want %v", got, want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func oneWatch(t *testing.T, s *kubetest.Server) {
	awaitWatches(t, s, 0)
	ns, other := s.Namespace("one"), s.Namespace("other")
	c := open(t, as(s, kubetest.Admin))
	var ws []*watcher
	for i := range 20 {
		service := fmt.Sprintf("orders-%d", i)
		create(s, ns, slice(service, service, "10.1.0.1"))
		ws = append(ws, follow(t, c, Target{Namespace: ns, Service: service, Port: "http"}))
	}
	for _, w := range ws {
		w.await(ready("10.1.0.1"))
	}
	awaitWatches(t, s, 1)
	create(s, other, slice("orders", "orders", "10.1.0.1"))
	w := follow(t, c, orders(other))
	w.await(ready("10.1.0.1"))
	awaitWatches(t, s, 2)
	w.stop()
	awaitWatches(t, s, 1)
	for _, w := range ws[1:] {
		w.stop()
	}
	replace(s, ns, slice("orders-0", "orders-0", "10.1.0.2"))
	ws[0].await(ready("10.1.0.2"))
	awaitWatches(t, s, 1)
	ws[0].stop()
	awaitWatches(t, s, 0)
}

// toldAgain: without a change, the same look comes again, later.
func toldAgain(t *testing.T, s *kubetest.Server) {
	ns := s.Namespace("again")
	create(s, ns, slice("orders", "orders-a", "10.1.0.1"))
	c := as(s, kubetest.Admin)
	c.Again = 10 * time.Millisecond
	w := follow(t, open(t, c), orders(ns))
	last := time.Time{}
	for range 5 {
		l := w.next()
		if told(l) != ready("10.1.0.1") || !l.At.After(last) {
			t.Errorf("told %q at %v, after %v", told(l), l.At, last)
		}
		last = l.At
	}
}

func slowConsumer(t *testing.T, s *kubetest.Server) {
	ns := s.Namespace("slow")
	create(s, ns, slice("orders", "orders-a", "10.1.0.1"))
	create(s, ns, slice("quick", "quick-a", "10.1.0.1"))
	c := open(t, as(s, kubetest.Admin))
	quick := follow(t, c, Target{Namespace: ns, Service: "quick", Port: "http"})
	quick.await(ready("10.1.0.1"))
	told1, release := make(chan struct{}, 100), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []string
	done := make(chan error)
	go func() {
		done <- c.Watch(ctx, orders(ns), func(l discovery.Look) {
			got = append(got, told(l))
			told1 <- struct{}{}
			<-release
			if len(got) == 2 {
				cancel()
			}
		})
	}()
	<-told1
	for i := range 10 {
		replace(s, ns, slice("orders", "orders-a", fmt.Sprintf("10.1.0.%d", i+2)))
	}
	replace(s, ns, slice("quick", "quick-a", "10.1.0.2"))
	quick.await(ready("10.1.0.2")) // the other is not held up, and what came before has arrived
	close(release)
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Watch returned %v", err)
	}
	if want := ready("10.1.0.11"); len(got) != 2 || got[1] != want {
		t.Errorf("told %q, want %q in the end", got, want)
	}
}

func closing(t *testing.T, s *kubetest.Server) {
	ns := s.Namespace("closing")
	create(s, ns, slice("orders", "orders-a", "10.1.0.1"))
	c := open(t, as(s, kubetest.Admin))
	a, b := follow(t, c, orders(ns)), follow(t, c, orders(ns))
	a.await(ready("10.1.0.1"))
	b.await(ready("10.1.0.1"))
	if stacks := ours(); stacks == 0 {
		t.Fatal("no goroutine of ours was found: what does this test test?")
	}
	b.stop()
	b.ended(context.Canceled)
	c.Close()
	a.ended(ErrClosed)
	if n := ours(); n != 0 {
		t.Errorf("%d goroutines of the reflector are left", n)
	}
	c.Close()
	if err := c.Watch(t.Context(), orders(ns), func(discovery.Look) { t.Error("told after Close") }); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := open(t, as(s, kubetest.Admin)).Watch(t.Context(), Target{Namespace: "A B"}, func(discovery.Look) { t.Error("told") }); err == nil {
		t.Error("watched an impossible target")
	}
}

// ours counts the goroutines that run the reflector.
func ours() int {
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 2); err != nil {
		return -1
	}
	return strings.Count(b.String(), "cache.(*Reflector).RunWithContext(")
}
