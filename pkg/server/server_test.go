package server_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/server"
	"github.com/crossfade-proxy/crossfade/pkg/store/bolt"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
)

// newController returns a real controller over a real store, empty.
func newController(t *testing.T) *control.Controller {
	t.Helper()
	s, err := bolt.Open(filepath.Join(t.TempDir(), "store.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := control.New(control.Config{Store: s, Fleets: xds.NewServer(xds.Options{})})
	t.Cleanup(func() {
		c.Close()
		_ = s.Close()
	})
	if err := c.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// stub is a controller of which some methods are the test's.
type stub struct {
	server.Controller
	split   func(ctx context.Context, o control.Options) (*crossfadev1.Change, error)
	proxies []*crossfadev1.Proxy
}

func (s *stub) SetSplit(ctx context.Context, _ string, _ map[string]int32, o control.Options) (*crossfadev1.Change, error) {
	return s.split(ctx, o)
}

func (s *stub) Proxies(string) []*crossfadev1.Proxy { return s.proxies }

func (s *stub) Troubled(string) []*crossfadev1.OriginStatus { return nil }

// fixture is an API that is served on a real connection.
type fixture struct {
	crossfadev1.CrossfadeServiceClient
	api  *server.API
	grpc *grpc.Server
	conn *grpc.ClientConn
	log  *logBuffer
}

func start(t *testing.T, c server.Config) *fixture {
	t.Helper()
	f := &fixture{log: &logBuffer{}}
	c.Log = slog.New(slog.NewTextHandler(f.log, nil))
	f.api = server.New(c)
	f.grpc = f.api.GRPC()
	l, err := net.Listen("tcp", net.JoinHostPort(loopback.Host(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- f.grpc.Serve(l) }()
	f.conn, err = grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)),
		grpc.WithStaticStreamWindowSize(64<<10), grpc.WithStaticConnWindowSize(64<<10)) // what is not read soon holds up the sender
	if err != nil {
		t.Fatal(err)
	}
	f.CrossfadeServiceClient = crossfadev1.NewCrossfadeServiceClient(f.conn)
	t.Cleanup(func() {
		_ = f.conn.Close()
		f.grpc.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return f
}

// logBuffer is a log that a test reads while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// service is a document of a service with two origins.
func service(name string) *crossfadev1.Document {
	static := func(address string) *crossfadev1.Origin_Static {
		return &crossfadev1.Origin_Static{Static: &crossfadev1.StaticEndpoints{Endpoints: []string{address}}}
	}
	return &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: &crossfadev1.Service{
		ApiVersion: "crossfade/v1", Kind: "Service", Name: name, Hosts: []string{name + ".test"}, Primary: "ecs",
		Origins: []*crossfadev1.Origin{{Name: "ecs", Discovery: static("127.0.0.2:8080")}, {Name: "eks", Discovery: static("127.0.0.3:8080")}},
	}}}
}

func (f *fixture) apply(t *testing.T, names ...string) {
	t.Helper()
	var docs []*crossfadev1.Document
	for _, name := range names {
		docs = append(docs, service(name))
	}
	if _, err := f.Apply(t.Context(), &crossfadev1.ApplyRequest{Documents: docs}); err != nil {
		t.Fatal(err)
	}
}

// details returns the problems and the changes of an error, in order.
func details(t *testing.T, err error) (problems []*crossfadev1.ErrorDetail, changes []*crossfadev1.Change) {
	t.Helper()
	for _, d := range status.Convert(err).Details() {
		switch d := d.(type) {
		case *crossfadev1.ErrorDetail:
			problems = append(problems, d)
		case *crossfadev1.Change:
			changes = append(changes, d)
		default:
			t.Errorf("a detail is a %T: %v", d, d)
		}
	}
	return problems, changes
}

// timeout is how long anything may take here.
const timeout = time.Minute
