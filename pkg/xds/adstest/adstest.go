// Package adstest is a control plane of a few resources for tests of those resources: it hands real Envoys what it is given, in the order
// they need, and remembers what they refused. Everything that makes the real one hard (fleets, parking, several kinds of proxies, levers
// first) is left out; tests of that use pkg/xds.
package adstest

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	loadstatsv3 "github.com/envoyproxy/go-control-plane/envoy/service/load_stats/v3"
	metricsv1 "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// Server serves the resources of Set to every Envoy that connects.
type Server struct {
	Addr string // HOST:PORT

	mu        sync.Mutex
	changed   chan struct{} // closed and replaced at every change of what follows
	resources map[string]map[string]translate.Resource
	streams   map[*stream]struct{}
	refused   []string
	reports   []*metricsv1.MetricsData
}

// Start starts a server that ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Addr: l.Addr().String(), changed: make(chan struct{}), resources: map[string]map[string]translate.Resource{}, streams: map[*stream]struct{}{}}
	g := grpc.NewServer(grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}))
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, aggregated{server: s})
	g.RegisterService(&metricsService, s)
	loadstatsv3.RegisterLoadReportingServiceServer(g, loadStats{})
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return s
}

// Set adds resources, or replaces those of the same type and name, and sends them to whoever is connected.
func (s *Server) Set(resources ...translate.Resource) {
	s.update(func() { s.set(resources) })
}

func (s *Server) set(resources []translate.Resource) {
	for _, r := range resources {
		t := r.Body.TypeUrl
		if s.resources[t] == nil {
			s.resources[t] = map[string]translate.Resource{}
		}
		s.resources[t][r.Name] = r
	}
}

// SetStructure replaces everything but endpoints and layers, for proxies that listen on an address and have no experiment listener.
func (s *Server) SetStructure(st *translate.Structure, listenAddress string) {
	s.SetStructureAt(st, listenAddress, "")
}

// SetStructureAt is the same for proxies with an experiment listener, at IP:PORT.
func (s *Server) SetStructureAt(st *translate.Structure, listenAddress, experiment string) {
	all := slices.Concat(st.Clusters, st.Listeners(listenAddress, experiment), st.Routes, st.VirtualHosts)
	s.update(func() { // in one: an Envoy that looked in between would lose its listeners
		for t := range s.resources {
			if t != typeEndpoints && t != typeRuntime {
				delete(s.resources, t)
			}
		}
		s.set(all)
	})
}

// Refused are the refusals so far, in Envoy's words.
func (s *Server) Refused() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.refused)
}

// Reports are the statistics that Envoys have sent so far.
func (s *Server) Reports() []*metricsv1.MetricsData {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.reports)
}

// ReportsLocked is Reports for use within Await.
func (s *Server) ReportsLocked() []*metricsv1.MetricsData { return s.reports }

// AwaitAcked waits until every connected Envoy, one at least, has acknowledged or refused all that it was sent and wants, and fails the
// test if one has refused anything.
func (s *Server) AwaitAcked(t testing.TB) {
	t.Helper()
	s.Await(t, "every resource to be acknowledged", func() bool {
		for st := range s.streams {
			if !st.settled(s) {
				return false
			}
		}
		return len(s.streams) > 0
	})
	if r := s.Refused(); len(r) > 0 {
		t.Fatalf("refused:\n%s", strings.Join(r, "\n"))
	}
}

// Await waits until ok, which is called with the server locked, holds.
func (s *Server) Await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		s.mu.Lock()
		done, changed := ok(), s.changed
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("waited too long for %s; refused so far: %v; %s", what, s.Refused(), s.describe())
		}
	}
}

// update changes the state and wakes whoever waits for it.
func (s *Server) update(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) describe() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for st := range s.streams {
		for t, sub := range st.types {
			fmt.Fprintf(&b, "%s: wants %d, sent %d, waits for an answer: %t\n", t, len(sub.names), len(sub.sent), sub.nonce != "")
		}
	}
	return b.String()
}
