package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// now is the time of every test.
var now = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

// double stands for the server: it answers calls of our own API from a function and remembers what it was asked.
type double struct {
	crossfadev1.UnimplementedCrossfadeServiceServer
	address string
	answer  func(ctx context.Context, method string, in proto.Message) (proto.Message, error)
	watch   func(in *crossfadev1.WatchRequest, out grpc.ServerStreamingServer[crossfadev1.WatchResponse]) error
	// watchEndpoints is the same for endpoints.
	watchEndpoints func(in *crossfadev1.WatchEndpointsRequest, out grpc.ServerStreamingServer[crossfadev1.WatchEndpointsResponse]) error

	// watchMirror is the same for an experiment.
	watchMirror func(in *crossfadev1.WatchMirrorRequest, out grpc.ServerStreamingServer[crossfadev1.WatchMirrorResponse]) error

	// watchRollout and runCanary are the same for a rollout.
	watchRollout func(in *crossfadev1.WatchRolloutRequest, out grpc.ServerStreamingServer[crossfadev1.WatchRolloutResponse]) error
	runCanary    func(in *crossfadev1.RunCanaryRequest, out grpc.ServerStreamingServer[crossfadev1.RunCanaryResponse]) error

	mu    sync.Mutex
	calls []call
}

type call struct {
	method string
	in     proto.Message
}

// serve starts a double on a free port of loopback.
func serve(t *testing.T, d *double) *double {
	t.Helper()
	return serveWith(t, d, d.intercept, func(*grpc.Server) {})
}

// serveWith serves other services beside it.
func serveWith(t *testing.T, d *double, intercept grpc.UnaryServerInterceptor, register func(*grpc.Server)) *double {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.address = listener.Addr().String()
	server := grpc.NewServer(grpc.UnaryInterceptor(intercept))
	crossfadev1.RegisterCrossfadeServiceServer(server, d)
	register(server)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends with Stop
	}()
	t.Cleanup(func() { server.Stop(); <-done })
	return d
}

func (d *double) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
	in := req.(proto.Message)
	method := info.FullMethod[strings.LastIndex(info.FullMethod, "/")+1:]
	d.mu.Lock()
	d.calls = append(d.calls, call{method, proto.Clone(in)})
	d.mu.Unlock()
	return d.answer(ctx, method, in)
}

func (d *double) Watch(in *crossfadev1.WatchRequest, out grpc.ServerStreamingServer[crossfadev1.WatchResponse]) error {
	return d.watch(in, out)
}

func (d *double) WatchEndpoints(in *crossfadev1.WatchEndpointsRequest, out grpc.ServerStreamingServer[crossfadev1.WatchEndpointsResponse]) error {
	return d.watchEndpoints(in, out)
}

func (d *double) WatchMirror(in *crossfadev1.WatchMirrorRequest, out grpc.ServerStreamingServer[crossfadev1.WatchMirrorResponse]) error {
	return d.watchMirror(in, out)
}

func (d *double) WatchRollout(in *crossfadev1.WatchRolloutRequest, out grpc.ServerStreamingServer[crossfadev1.WatchRolloutResponse]) error {
	return d.watchRollout(in, out)
}

func (d *double) RunCanary(in *crossfadev1.RunCanaryRequest, out grpc.ServerStreamingServer[crossfadev1.RunCanaryResponse]) error {
	return d.runCanary(in, out)
}

// asked returns the calls so far.
func (d *double) asked() []call {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]call(nil), d.calls...)
}

// canned answers each method with one message, and others as not implemented.
func canned(answers map[string]proto.Message) func(context.Context, string, proto.Message) (proto.Message, error) {
	return func(_ context.Context, method string, _ proto.Message) (proto.Message, error) {
		if m := answers[method]; m != nil {
			return m, nil
		}
		return nil, status.Errorf(codes.Unimplemented, "no answer for %s", method)
	}
}

// failing answers every call with a status and its details.
func failing[D proto.Message](code codes.Code, details ...D) func(context.Context, string, proto.Message) (proto.Message, error) {
	return func(context.Context, string, proto.Message) (proto.Message, error) {
		s := status.New(code, "refused")
		for _, d := range details {
			s, _ = s.WithDetails(protoadapt.MessageV1Of(d))
		}
		return nil, s.Err()
	}
}

// result is what one command line did.
type result struct {
	out, err string
	exit     int
}

// invocation is a command line with what is around it.
type invocation struct {
	args  []string
	stdin string
	color bool
	width int
	env   map[string]string
}

// shadowctl runs a command line in this process.
func shadowctl(ctx context.Context, i invocation) result {
	var out, errs bytes.Buffer
	a := &app{
		in: strings.NewReader(i.stdin), out: &out, err: &errs, now: func() time.Time { return now }, color: i.color, width: i.width,
		env: func(key string) string {
			if v, ok := i.env[key]; ok || key != "USER" {
				return v
			}
			return "alice"
		},
	}
	exit := a.run(ctx, i.args)
	return result{out.String(), errs.String(), exit}
}

// at runs a command line against a double.
func (d *double) at(t *testing.T, args ...string) result {
	t.Helper()
	return shadowctl(t.Context(), invocation{args: args, env: map[string]string{"CROSSFADE_SERVER": d.address}})
}

// golden compares with a file of testdata; UPDATE_GOLDEN=1 writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("differs from %s (UPDATE_GOLDEN=1 writes it):\n%s", path, got)
	}
}
