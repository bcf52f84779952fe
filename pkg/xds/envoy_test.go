package xds_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/deploy/envoy"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// fixture is a control plane without a store, one real Envoy, and origins that answer with their names.
type fixture struct {
	t        *testing.T
	server   *xds.Server
	fleet    *xds.Fleet
	address  string // of the xDS listener
	port     int
	revision int64
	services map[string]*policy.Service
	origins  map[string]netip.AddrPort
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, services: map[string]*policy.Service{}, origins: map[string]netip.AddrPort{}, port: envoytest.Port(t).Number()}
	f.server = xds.NewServer(xds.Options{})
	f.fleet = f.server.Fleet("default")
	f.address = f.serve("127.0.0.1:0")
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go f.server.Run(ctx, time.Second)
	return f
}

func (f *fixture) serve(address string) string {
	l, err := net.Listen("tcp", address)
	if err != nil {
		f.t.Fatal(err)
	}
	g := grpc.NewServer()
	f.server.Register(g)
	go func() { _ = g.Serve(l) }()
	f.t.Cleanup(g.Stop)
	return l.Addr().String()
}

func (f *fixture) origin(name string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) }))
	f.t.Cleanup(s.Close)
	f.origins[name] = netip.MustParseAddrPort(s.Listener.Addr().String())
}

// proxy starts an Envoy and waits until it is ready.
func (f *fixture) proxy(version, id string) string {
	f.t.Helper()
	ready, admin := envoytest.Port(f.t), envoytest.Port(f.t)
	ready.Release()
	admin.Release()
	var b bytes.Buffer
	if err := envoy.Render(&b, envoy.Bootstrap{
		NodeID: id, ListenAddress: "127.0.0.1", XDSAddress: f.address, ReadyAddress: ready.Addr(), AdminAddress: admin.Addr(),
	}); err != nil {
		f.t.Fatal(err)
	}
	envoytest.Start(f.t, envoytest.Config{Version: version, Bootstrap: b.Bytes()}).AwaitReady()
	return "http://" + ready.Addr() + "/ready"
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
			u.Endpoints = append(u.Endpoints, translate.Endpoints(s.Name, o.Name, o.Static))
		}
	}
	var all []*policy.Service
	for _, s := range f.services {
		all = append(all, s)
	}
	u.Structure = translate.Build(&policy.Fleet{Name: "default"}, all, translate.Options{})
	return f.publish(u)
}

func (f *fixture) publish(u xds.Update) *xds.Waiter {
	f.revision++
	u.Revision = f.revision
	w := f.fleet.Publish(u)
	f.t.Cleanup(w.Close)
	return w
}

func (f *fixture) acked(w *xds.Waiter) {
	f.t.Helper()
	select {
	case <-w.Done():
	case <-time.After(10 * time.Second):
		f.t.Fatalf("not acknowledged: pending %v, %+v", w.Pending(), f.fleet.Proxies())
	}
}

func (f *fixture) get(host, path string) string {
	f.t.Helper()
	req, _ := http.NewRequest(http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", f.port, path), nil)
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
		Listener: &crossfadev1.Listener{Port: int32(f.port)}, Split: &crossfadev1.Split{Weights: weights},
	}
	for _, o := range origins {
		s.Origins = append(s.Origins, &crossfadev1.Origin{Name: o, Discovery: &crossfadev1.Origin_Static{
			Static: &crossfadev1.StaticEndpoints{Endpoints: []string{f.origins[o].String()}},
		}})
	}
	return s
}

func TestStructureAndLeversReachARealEnvoy(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		f := newFixture(t)
		for _, name := range []string{"ecs", "eks", "new"} {
			f.origin(name)
		}
		f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
		f.proxy(version, "p1")
		if got := f.get("orders.test", "/"); got != "200 ecs" {
			t.Fatalf("got %q", got)
		}
		f.acked(f.apply(f.service("orders", map[string]int32{"eks": 10000}, "ecs", "eks")))
		if got := f.get("orders.test", "/"); got != "200 eks" {
			t.Fatalf("after the flip: %q", got)
		}
		f.acked(f.apply(f.service("orders", map[string]int32{"new": 10000}, "ecs", "new")))
		if got := f.get("orders.test", "/"); got != "200 new" {
			t.Fatalf("with a new origin instead of eks: %q", got)
		}
		f.acked(f.apply(f.service("pay", map[string]int32{"ecs": 10000}, "ecs", "eks")))
		if got := f.get("pay.test:80", "/"); got != "200 ecs" {
			t.Fatalf("second service: %q", got)
		}
		t.Logf("%+v", f.fleet.Proxies())
	})
}
