package telemetry_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/deploy/envoy"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/telemetry"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// flushInterval is that of the proxies of these tests.
const flushInterval = 300 * time.Millisecond

// house is a control plane without a store: what pkg/control does for one service, real Envoys, and two origins.
type house struct {
	t         *testing.T
	telemetry *telemetry.Telemetry
	fleet     *xds.Fleet
	address   string // of the listener for proxies
	port      int    // of the service
	protocol  string
	ecs, eks  *origin.Origin
	edit      func(*crossfadev1.Service)
	revision  int64
	flush     time.Duration // of the proxies; 0: flushInterval
}

// newHouse starts a control plane and two origins that speak a protocol.
func newHouse(t *testing.T, protocol string) *house {
	t.Helper()
	return newHouseWith(t, protocol, telemetry.Options{})
}

func newHouseWith(t *testing.T, protocol string, o telemetry.Options) *house {
	t.Helper()
	h := &house{t: t, telemetry: telemetry.New(o), protocol: protocol, port: envoytest.Port(t).Number()}
	server := xds.NewServer(xds.Options{OnConnect: h.telemetry.Connected})
	h.fleet = server.Fleet("default")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.address = l.Addr().String()
	g := grpc.NewServer(grpc.MaxRecvMsgSize(telemetry.MaxMessage))
	server.Register(g)
	h.telemetry.Register(g)
	var serving sync.WaitGroup
	serving.Go(func() { _ = g.Serve(l) })
	t.Cleanup(func() { g.Stop(); serving.Wait() })
	h.ecs, h.eks = envoytest.Origin(h.t, "ecs"), envoytest.Origin(h.t, "eks")
	return h
}

// service is the document, with a share for eks in basis points.
func (h *house) service(eks int32) *policy.Service {
	h.t.Helper()
	at := func(o *origin.Origin) *crossfadev1.Origin {
		return &crossfadev1.Origin{
			Name: o.Name(), Protocol: h.protocol, ConnectTimeout: durationpb.New(800 * time.Millisecond),
			Discovery: &crossfadev1.Origin_Static{Static: &crossfadev1.StaticEndpoints{Endpoints: []string{o.Addr()}}},
		}
	}
	doc := &crossfadev1.Service{
		ApiVersion: "crossfade/v1", Kind: "Service", Name: "orders", Hosts: []string{"orders.test"}, Primary: "ecs",
		Listener: &crossfadev1.Listener{Port: int32(h.port)}, Origins: []*crossfadev1.Origin{at(h.ecs), at(h.eks)},
		Split: &crossfadev1.Split{Weights: map[string]int32{"ecs": 10_000 - eks, "eks": eks}},
	}
	if h.edit != nil {
		h.edit(doc)
	}
	s, errs := policy.CompileService(doc)
	if len(errs) > 0 {
		h.t.Fatal(errs)
	}
	return s
}

// apply publishes everything and waits for the acknowledgements of the proxies that are connected.
func (h *house) apply(eks int32) {
	h.t.Helper()
	s := h.service(eks)
	u := xds.Update{
		Levers: map[string][]translate.Lever{s.Name: translate.Levers(s)}, Named: true,
		Structure: translate.Build(&policy.Fleet{Name: "default"}, []*policy.Service{s}, translate.Options{}),
	}
	for _, o := range s.Origins {
		u.Endpoints = append(u.Endpoints, translate.Endpoints(s.Name, o.Name, translate.Static(o.Static)))
	}
	h.await(h.publish(u))
}

func (h *house) publish(u xds.Update) *xds.Waiter {
	h.revision++
	u.Revision = h.revision
	w := h.fleet.Publish(u)
	h.t.Cleanup(w.Close)
	return w
}

func (h *house) await(w *xds.Waiter) {
	h.t.Helper()
	select {
	case <-w.Done():
	case <-time.After(envoytest.Deadline):
		h.t.Fatalf("not acknowledged: pending %v, %+v", w.Pending(), h.fleet.Proxies())
	}
}

// proxy starts an Envoy with the bootstrap that users get.
func (h *house) proxy(version, id string) *proxy {
	h.t.Helper()
	ready, admin := envoytest.Port(h.t), envoytest.Port(h.t)
	ready.Release()
	admin.Release()
	var b bytes.Buffer
	if err := envoy.Render(&b, envoy.Bootstrap{
		NodeID: id, ListenAddress: ready.Host(), XDSAddress: h.address, ReadyAddress: ready.Addr(), AdminAddress: admin.Addr(), FlushInterval: cmp.Or(h.flush, flushInterval),
	}); err != nil {
		h.t.Fatal(err)
	}
	e := envoytest.Start(h.t, envoytest.Config{Version: version, Bootstrap: b.Bytes(), Args: []string{"--file-flush-interval-msec", "100"}})
	e.AwaitReady()
	h.awaitOK("http://" + ready.Addr() + "/ready")
	return &proxy{Envoy: e, id: id, address: fmt.Sprintf("%s:%d", ready.Host(), h.port)}
}

// awaitOK waits until a page answers 200.
func (h *house) awaitOK(url string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), envoytest.Deadline)
	defer cancel()
	err := poll.Until(ctx, 10*time.Millisecond, func(context.Context) error {
		resp, err := http.Get(url)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
	if err != nil {
		h.t.Fatalf("%s: %v", url, err)
	}
}

// proxy is one Envoy and how to send it requests.
type proxy struct {
	*envoytest.Envoy
	id, address string

	mu       sync.Mutex
	answered []time.Time // requests of the load
}

// stalled says whether for half of a flush no request was answered since then: on a machine that stands still, nothing is picked.
func (p *proxy) stalled(since time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range append(p.answered, time.Now()) {
		if at.Before(since) {
			continue
		}
		if at.Sub(since) > flushInterval/2 {
			return true
		}
		since = at
	}
	return false
}

// get sends one request and returns the status and the body, or what failed.
func (p *proxy) get(ctx context.Context, answer string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/", nil)
	if err != nil {
		return err.Error()
	}
	req.Host = "orders.test"
	if answer != "" {
		req.Header.Set(origin.AnswerHeader, answer)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return fmt.Sprint(resp.StatusCode, " ", strings.TrimSpace(string(body)))
}

// load sends a request about every 5 ms, each in its own time, until the returned function is called.
func (p *proxy) load(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		room := make(chan struct{}, 500)
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			select {
			case room <- struct{}{}:
				running.Go(func() {
					p.get(ctx, "")
					p.mu.Lock()
					p.answered = append(p.answered, time.Now())
					p.mu.Unlock()
					<-room
				})
			default:
			}
		}
	})
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return stop
}

// flip changes the weights alone.
func (h *house) flip(eks int32) *xds.Waiter {
	s := h.service(eks)
	return h.publish(xds.Update{Levers: map[string][]translate.Lever{s.Name: translate.Levers(s)}})
}

// set changes how eks treats connections.
func (h *house) set(state origin.State) {
	h.t.Helper()
	if err := h.eks.SetState(state); err != nil {
		h.t.Fatal(err)
	}
}
