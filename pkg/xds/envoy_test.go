package xds_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/deploy/envoy"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// fixture is a control plane without a store, one real Envoy, and origins that answer with their names.
type fixture struct {
	t        *testing.T
	server   *xds.Server
	fleet    *xds.Fleet
	address  string         // of the xDS listener
	listen   *loopback.Port // of the services
	revision int64
	services map[string]*policy.Service
	origins  map[string]netip.AddrPort
	stamp    string
	rollback bool
	tls      map[int]*policy.ListenerTLS // of the fleet
	options  xds.Options
	// serverOptions are further ones of the gRPC server.
	serverOptions []grpc.ServerOption
	grpc          *grpc.Server
	counter       *counter
}

// counter counts the discovery responses of one gRPC server.
type counter struct {
	stats.Handler
	responses atomic.Int64
	last      atomic.Value
}

func (c *counter) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (c *counter) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (c *counter) HandleConn(context.Context, stats.ConnStats)                       {}
func (c *counter) HandleRPC(_ context.Context, s stats.RPCStats) {
	if p, ok := s.(*stats.OutPayload); ok {
		c.responses.Add(1)
		c.last.Store(p.Payload)
	}
}

func newFixture(t *testing.T) *fixture { return newFixtureWith(t, xds.Options{}) }

func newFixtureWith(t *testing.T, o xds.Options) *fixture {
	t.Helper()
	f := &fixture{t: t, options: o, services: map[string]*policy.Service{}, origins: map[string]netip.AddrPort{}, listen: envoytest.Port(t)}
	f.address = loopback.Host() + ":0"
	f.renew()
	f.serve()
	return f
}

// renew makes a server that knows nothing.
func (f *fixture) renew() {
	f.server = xds.NewServer(f.options)
	f.fleet = f.server.Fleet("default")
}

func (f *fixture) serve() {
	var l net.Listener
	f.await("the address", func() (free bool) {
		var err error
		l, err = net.Listen("tcp", f.address)
		return err == nil
	})
	f.address, f.counter = l.Addr().String(), &counter{}
	f.grpc = grpc.NewServer(slices.Concat(xds.GRPCOptions(), f.serverOptions, []grpc.ServerOption{grpc.StatsHandler(f.counter)})...)
	f.server.Register(f.grpc)
	g := f.grpc
	go func() { _ = g.Serve(l) }()
	f.t.Cleanup(g.Stop)
}

// restart ends every stream and serves again, with the same state.
func (f *fixture) restart() {
	f.grpc.Stop()
	f.serve()
}

// replace serves with a server that knows nothing.
func (f *fixture) replace() {
	f.grpc.Stop()
	f.renew()
	f.serve()
}

// sent counts the responses since the last restart.
func (f *fixture) sent() int64 { return f.counter.responses.Load() }

func (f *fixture) origin(name string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) }))
	f.t.Cleanup(s.Close)
	f.origins[name] = netip.MustParseAddrPort(s.Listener.Addr().String())
}

// proxy starts an Envoy and waits until it is ready.
func (f *fixture) proxy(version, id string) *envoytest.Envoy {
	f.t.Helper()
	e, ready := f.start(version, id, func(b []byte) []byte { return b })
	e.AwaitReady()
	f.await("the readiness listener", func() bool { return status(ready) == http.StatusOK })
	return e
}

// start starts an Envoy with a bootstrap that edit may change, and returns the address of its readiness.
func (f *fixture) start(version, id string, edit func([]byte) []byte) (*envoytest.Envoy, string) {
	f.t.Helper()
	ready, admin := envoytest.Port(f.t), envoytest.Port(f.t)
	ready.Release()
	admin.Release()
	var b bytes.Buffer
	if err := envoy.Render(&b, envoy.Bootstrap{
		NodeID: id, ListenAddress: f.listen.Host(), XDSAddress: f.address, ReadyAddress: ready.Addr(), AdminAddress: admin.Addr(),
	}); err != nil {
		f.t.Fatal(err)
	}
	return envoytest.Start(f.t, envoytest.Config{Version: version, Bootstrap: edit(b.Bytes())}), "http://" + ready.Addr() + "/ready"
}

func status(url string) int {
	resp, err := http.Get(url)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// await waits for something that a real process does in its own time.
func (f *fixture) await(what string, cond func() bool) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	if err := poll.Until(ctx, 5*time.Millisecond, poll.True(cond)); err != nil {
		f.t.Fatalf("%s: %v; %+v", what, err, f.fleet.Proxies())
	}
}

// apply publishes services as the control loop does.
func (f *fixture) apply(docs ...*crossfadev1.Service) *xds.Waiter {
	f.t.Helper()
	u := xds.Update{Levers: map[string][]translate.Lever{}, Named: true}
	for _, d := range docs {
		s, errs := policy.CompileService(d)
		if len(errs) > 0 {
			f.t.Fatal(errs)
		}
		f.services[s.Name] = s
		u.Levers[s.Name] = translate.Levers(s)
		for _, o := range s.Origins {
			u.Endpoints = append(u.Endpoints, translate.Endpoints(s.Name, o.Name, translate.Static(o.Static)))
		}
	}
	u.Structure = f.build(translate.Options{})
	u.Inline = func() *translate.Structure { return f.build(translate.Options{InlineWeights: true}) }
	return f.publish(u)
}

func (f *fixture) build(o translate.Options) *translate.Structure {
	return translate.Build(&policy.Fleet{Name: "default", TLS: f.tls}, slices.Collect(maps.Values(f.services)), o)
}

// remove deletes a service.
func (f *fixture) remove(name string) *xds.Waiter {
	delete(f.services, name)
	w := f.apply()
	f.publish(xds.Update{Levers: map[string][]translate.Lever{name: nil}})
	return w
}

// flip changes weights only.
func (f *fixture) flip(doc *crossfadev1.Service) *xds.Waiter {
	f.t.Helper()
	s, errs := policy.CompileService(doc)
	if len(errs) > 0 {
		f.t.Fatal(errs)
	}
	f.services[s.Name] = s
	return f.publish(xds.Update{Levers: map[string][]translate.Lever{s.Name: translate.Levers(s)}})
}

func (f *fixture) publish(u xds.Update) *xds.Waiter {
	f.revision++
	u.Revision, u.Stamp, u.Rollback = f.revision, f.stamp, f.rollback
	w := f.fleet.Publish(u)
	f.t.Cleanup(w.Close)
	return w
}

func (f *fixture) acked(w *xds.Waiter) {
	f.t.Helper()
	select {
	case <-w.Done():
	case <-time.After(time.Minute):
		f.t.Fatalf("not acknowledged: pending %v, %+v", w.Pending(), f.fleet.Proxies())
	}
}

func (f *fixture) get(host, path string) string {
	f.t.Helper()
	req, _ := http.NewRequest(http.MethodGet, "http://"+f.listen.Addr()+path, nil)
	req.Host = host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return fmt.Sprint(resp.StatusCode, " ", strings.TrimSpace(string(body)))
}

func (f *fixture) service(name string, weights map[string]int32, origins ...string) *crossfadev1.Service {
	s := &crossfadev1.Service{
		ApiVersion: "crossfade/v1", Kind: "Service", Name: name, Hosts: []string{name + ".test"}, Primary: origins[0],
		Listener: &crossfadev1.Listener{Port: int32(f.listen.Number())}, Split: &crossfadev1.Split{Weights: weights},
	}
	for _, o := range origins {
		s.Origins = append(s.Origins, &crossfadev1.Origin{Name: o, Discovery: &crossfadev1.Origin_Static{
			Static: &crossfadev1.StaticEndpoints{Endpoints: []string{f.origins[o].String()}},
		}})
	}
	return s
}
