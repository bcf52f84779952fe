package protocols

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

// The services of a world. Each has two origins, ecs, which is the primary, and eks.
const (
	overHTTP1 = "one" // origins of HTTP/1.1
	overHTTP2 = "two" // the same origins by HTTP/2
	overGRPC  = "rpc" // origins that speak gRPC alone
)

var services = []string{overHTTP1, overHTTP2, overGRPC}

// world is a whole Crossfade with one proxy, before origins that speak all protocols.
type world struct {
	*stack.Stack
	t       *testing.T
	port    int
	web     map[string]*webOrigin
	calls   map[string]*callOrigin
	events  *prompts
	waiting *callLog
	limits  *crossfadev1.Timeouts // of all services

	changes, exchanges int
	early              int // calls that the application ended, as their time was up, before the client and the proxy did
}

func newWorld(t *testing.T, version string, limits *crossfadev1.Timeouts) *world {
	t.Helper()
	w := &world{t: t, port: envoytest.Port(t).Number(), web: map[string]*webOrigin{}, calls: map[string]*callOrigin{}, limits: limits}
	w.events = &prompts{byID: map[string]chan struct{}{}}
	w.waiting = &callLog{begun: map[string]chan time.Duration{}, ended: map[string]chan string{}}
	log, err := os.Create(filepath.Join(t.TempDir(), "server.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	w.Stack, err = stack.Start(t.Context(), stack.Config{Binary: run.binary, Envoy: envoytest.Binary(t, version), Dir: t.TempDir(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("the control plane printed last:\n%s", text[max(0, len(text)-4000):])
		}
	})
	for _, name := range []string{"ecs", "eks"} {
		w.web[name], w.calls[name] = startWeb(t, name, w.events), startCalls(t, name, w.waiting)
	}
	if _, err := w.AddProxy(t.Context(), "default", 1); err != nil {
		t.Fatal(err)
	}
	w.reset(0)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := w.Proxies[0].AwaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	return w
}

// patience is how long the parts may take to agree.
const patience = 30 * time.Second

// document is a service with so many basis points at eks. more adds an endpoint to each origin.
func (w *world) document(service string, eks int32, more bool) *crossfadev1.Document {
	s := &crossfadev1.Service{
		ApiVersion: "crossfade/v1", Kind: "Service", Name: service, Hosts: []string{service + ".test"}, Primary: "ecs", Timeouts: w.limits,
		Listener: &crossfadev1.Listener{Port: int32(w.port)}, Split: &crossfadev1.Split{Weights: map[string]int32{"ecs": 10000 - eks, "eks": eks}},
	}
	for _, name := range []string{"ecs", "eks"} {
		at, protocol := w.web[name].at, "http1"
		switch service {
		case overHTTP2:
			protocol = "http2"
		case overGRPC:
			at, protocol = w.calls[name].at, "http2"
		}
		if !more {
			at = at[:1]
		}
		s.Origins = append(s.Origins, &crossfadev1.Origin{
			Name: name, Protocol: protocol, Discovery: &crossfadev1.Origin_Static{Static: &crossfadev1.StaticEndpoints{Endpoints: at}},
		})
	}
	return &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: s}}
}

// acked waits for acknowledgements and for nothing more.
func acked() *crossfadev1.ChangeOptions {
	return &crossfadev1.ChangeOptions{Wait: crossfadev1.Wait_WAIT_ACKED, Timeout: durationpb.New(patience), Force: true}
}

// reset brings every service back to its first document, with so many basis points at eks.
func (w *world) reset(eks int32) {
	w.t.Helper()
	var docs []*crossfadev1.Document
	for _, s := range services {
		docs = append(docs, w.document(s, eks, false))
	}
	if _, err := w.API.Apply(w.t.Context(), &crossfadev1.ApplyRequest{Documents: docs, Options: acked()}); err != nil {
		w.t.Fatal(err)
	}
}

// shift moves weights of a service.
func (w *world) shift(ctx context.Context, service string, eks int32) error {
	_, err := w.API.SetSplit(ctx, &crossfadev1.SetSplitRequest{Service: service, Weights: map[string]int32{"eks": eks}, Options: acked()})
	return err
}

// churn moves the weights of a service about ten times a second until stop; turned counts.
func (w *world) churn(service string) (turned *atomic.Int64, stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	turned = new(atomic.Int64)
	go func() {
		row := []int32{10000, 5000, 0, 2500, 9999, 1}
		for i := 0; ; i++ {
			if err := w.shift(ctx, service, row[i%len(row)]); err != nil {
				if ctx.Err() != nil {
					err = nil
				}
				done <- err
				return
			}
			turned.Add(1)
			if poll.Pause(ctx, 80*time.Millisecond) != nil {
				done <- nil
				return
			}
		}
	}()
	return turned, func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("changing weights: %v", err)
		}
	}
}

// upheaval is all that can happen to a service at once: other weights, a pin, more endpoints, a mirror, and a rollback at the end.
func (w *world) upheaval(ctx context.Context, service string) error {
	w.changes++
	pin := &crossfadev1.Pin{Name: "beta", Origin: "eks", Match: &crossfadev1.Pin_Header{Header: &crossfadev1.ValueMatch{
		Name: "x-beta", Condition: &crossfadev1.ValueMatch_Exact{Exact: "1"},
	}}}
	mirror := &crossfadev1.Mirror{
		ApiVersion: "crossfade/v1", Kind: "Mirror", Name: fmt.Sprint("m", w.changes), Service: service, Candidate: "eks", Share: 10000, MaxRps: 10,
	}
	if service == overGRPC {
		mirror.GrpcMethods = []string{"grpc.testing.TestService/EmptyCall"}
	}
	steps := []struct {
		what string
		do   func() error
	}{
		{"weights", func() error { return w.shift(ctx, service, 5000) }},
		{"a pin", func() error {
			_, err := w.API.PutPin(ctx, &crossfadev1.PutPinRequest{Service: service, Pin: pin, Options: acked()})
			return err
		}},
		{"endpoints", func() error {
			_, err := w.API.Apply(ctx, &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{w.document(service, 5000, true)}, Options: acked()})
			return err
		}},
		{"a mirror", func() error {
			_, err := w.API.StartMirror(ctx, &crossfadev1.StartMirrorRequest{Mirror: mirror})
			return err
		}},
		{"a rollback", func() error {
			_, err := w.API.Rollback(ctx, &crossfadev1.RollbackRequest{Service: service, Options: acked()})
			return err
		}},
		{"the mirror's end", func() error {
			_, err := w.API.StopMirror(ctx, &crossfadev1.StopMirrorRequest{Name: mirror.GetName()})
			return err
		}},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
	}
	return nil
}

// proxied is where clients reach the fleet.
func (w *world) proxied() string { return net.JoinHostPort(w.Proxies[0].Host, strconv.Itoa(w.port)) }

// direct is where clients reach an origin.
func (w *world) direct(service string) string {
	if service == overGRPC {
		return w.calls["ecs"].at[0]
	}
	return w.web["ecs"].at[0]
}
