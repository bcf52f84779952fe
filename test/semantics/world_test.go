package semantics

import (
	"context"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
)

// world is the real control plane of proxies without a store, on a loopback address.
type world struct {
	t       *testing.T
	version string // of Envoy
	dialect policy.Dialect
	server  *xds.Server
	address string // of ADS

	mu       sync.Mutex
	refusals []string
}

func newWorld(t *testing.T, version string) *world {
	t.Helper()
	w := &world{t: t, version: version, dialect: dialectOf(t, version)}
	w.server = xds.NewServer(xds.Options{
		OnNack:    func(fleet, kind string) { w.refused(fleet + ": a response of " + kind) },
		OnRefusal: func(fleet string, r xds.Refusal) { w.refused(fleet + ": " + r.Message) },
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.address = l.Addr().String()
	g := grpc.NewServer()
	w.server.Register(g)
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-served; err != nil {
			t.Errorf("the control plane: %v", err)
		}
	})
	t.Cleanup(w.noRefusals)
	return w
}

// dialectOf returns how a version of Envoy reads requests.
func dialectOf(t *testing.T, version string) policy.Dialect {
	t.Helper()
	parts := strings.Split(version, ".")
	if len(parts) < 2 {
		t.Fatalf("%q is no version of Envoy", version)
	}
	minor, err := strconv.Atoi(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	return policy.DialectOf(minor)
}

func (w *world) refused(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refusals = append(w.refusals, what)
}

// noRefusals fails the test if a proxy ever refused something.
func (w *world) noRefusals() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.refusals {
		w.t.Errorf("Envoy refused what it was sent: %s", r)
	}
}

// patience is how long the parts may take to agree.
const patience = 20 * time.Second

// await waits for something that a real process does in its own time.
func await(t *testing.T, what string, cond func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := poll.Until(ctx, 2*time.Millisecond, cond); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}
