// Package ci tests what deploy/ci gives to CI systems: the scripts of the jobs, as they stand in their YAML, and the clients, against a live Crossfade.
package ci

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/envoybin"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

// bin holds what is built once: xds-server, shadowctl.
var bin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "crossfade-ci-*")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		bin = dir
		for _, command := range []string{"xds-server", "shadowctl"} {
			if _, err := stack.Build(context.Background(), dir, command); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
		return m.Run()
	}())
}

// root of the repository.
var root = filepath.Join("..", "..")

const (
	timeout = 2 * time.Minute        // of anything here
	often   = 10 * time.Millisecond  // a look at what can only be asked
	rate    = 300                    // requests per second
	bake    = 10 * time.Second       // the shortest there is for guards with windows of 10s
	settled = 500 * time.Millisecond // of load before a job begins
)

// world is a Crossfade with a service orders that gets requests all the time.
type world struct {
	*stack.Stack
	t        *testing.T
	ecs, eks *origin.Origin
	load     *loadgen.Run
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel() // most of the time they wait
	dir, port := t.TempDir(), envoytest.Port(t).Number()
	settings := filepath.Join(dir, "server.yaml")
	if err := os.WriteFile(settings, []byte("roles: {approver: [ann]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "server.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	w := &world{t: t}
	w.Stack, err = stack.Start(t.Context(), stack.Config{
		Binary: filepath.Join(bin, "xds-server"), Envoy: envoytest.Binary(t, envoybin.Newest), Dir: dir, File: settings, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.Close()
		if b, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("the control plane printed last:\n%s", b[max(0, len(b)-8000):])
		}
	})
	w.ecs, w.eks = envoytest.Origin(w.t, "ecs"), envoytest.Origin(w.t, "eks")
	w.apply(port)
	w.requests(port)
	return w
}

// apply makes the service orders, all of which goes to ecs.
func (w *world) apply(port int) {
	w.t.Helper()
	static := func(o *origin.Origin) *crossfadev1.Origin {
		return &crossfadev1.Origin{Name: o.Name(), Discovery: &crossfadev1.Origin_Static{Static: &crossfadev1.StaticEndpoints{Endpoints: []string{o.Addr()}}}}
	}
	doc := &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: &crossfadev1.Service{
		ApiVersion: "crossfade/v1", Kind: "Service", Name: "orders", Hosts: []string{"orders.test"}, Primary: "ecs",
		Listener: &crossfadev1.Listener{Port: int32(port)}, Origins: []*crossfadev1.Origin{static(w.ecs), static(w.eks)},
	}}}
	if _, err := w.API.Apply(w.t.Context(), &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{doc}}); err != nil {
		w.t.Fatal(err)
	}
}

// requests starts a proxy, and requests through it until the test ends.
func (w *world) requests(port int) {
	w.t.Helper()
	proxy, err := w.AddProxy(w.t.Context(), "default", 1)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), timeout)
	defer cancel()
	if err := proxy.AwaitReady(ctx); err != nil {
		w.t.Fatal(err)
	}
	w.load, err = loadgen.Start(w.t.Context(), loadgen.Config{
		Target: netip.AddrPortFrom(netip.MustParseAddr(proxy.Host), uint16(port)).String(), Rate: rate, Duration: time.Hour,
		Request: loadgen.Request{Host: "orders.test", Path: "/"}, Connections: 4,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		w.load.Stop()
		w.load.Wait()
	})
	w.await("requests at ecs", func() bool { return w.ecs.Total() > uint64(rate*settled.Seconds()) })
}

// await waits until something is so.
func (w *world) await(what string, ok func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), timeout)
	defer cancel()
	if err := poll.Until(ctx, often, poll.True(ok)); err != nil {
		w.t.Fatalf("waiting for %s: %v", what, err)
	}
}

// share is the live weight of eks, in basis points.
func (w *world) share() int32 {
	w.t.Helper()
	got, err := w.API.Get(w.t.Context(), &crossfadev1.GetRequest{Kind: "service", Name: "orders"})
	if err != nil {
		w.t.Fatal(err)
	}
	return got.GetStatus().GetSplit()["eks"]
}

// rollout is how a rollout is.
func (w *world) rollout(name string) *crossfadev1.RolloutStatus {
	w.t.Helper()
	got, err := w.API.GetRollout(w.t.Context(), &crossfadev1.GetRolloutRequest{Name: name})
	if err != nil {
		w.t.Fatal(err)
	}
	return got.GetStatus()
}

// ended holds the end of a rollout and the live weight against what is wanted.
func (w *world) ended(name, state string, weight int32) {
	w.t.Helper()
	if r, share := w.rollout(name), w.share(); r.GetState() != state || share != weight {
		w.t.Errorf("rollout %s is %s (%s) and eks has %d, want %s and %d", name, r.GetState(), r.GetReason(), share, state, weight)
	}
}

// faulty makes some of the answers of eks errors.
func (w *world) faulty(share float64) {
	w.t.Helper()
	if err := w.eks.SetFaults(origin.Faults{ErrorShare: share, Status: 500}); err != nil {
		w.t.Fatal(err)
	}
}

// rollBack sends everything to ecs, by hand.
func (w *world) rollBack() {
	w.t.Helper()
	if _, err := w.API.Rollback(w.t.Context(), &crossfadev1.RollbackRequest{Service: "orders"}); err != nil {
		w.t.Fatal(err)
	}
}
