package e2e

import (
	"errors"
	"io"
	"net"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
)

// rpc is a gRPC server that fails, when it is told to, with a status in an answer that HTTP calls 200.
type rpc struct {
	address string
	calls   atomic.Uint64
	failing atomic.Bool
}

// newRPC fails every fourth call if it fails.
func (a *app) newRPC(name string) *rpc {
	a.t.Helper()
	r := &rpc{}
	l, err := net.Listen("tcp4", net.JoinHostPort(loopback.Host(), "0"))
	if err != nil {
		a.t.Fatal(err)
	}
	r.address = l.Addr().String()
	s := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		n := r.calls.Add(1)
		err := stream.RecvMsg(&testgrpc.Empty{})
		if err = errors.Join(err, stream.SetHeader(metadata.Pairs("x-origin", name))); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if r.failing.Load() && n%4 == 0 {
			return status.Error(codes.Internal, "it broke")
		}
		return stream.SendMsg(&testgrpc.Empty{})
	}))
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	a.t.Cleanup(func() {
		s.Stop()
		if err := <-done; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			a.t.Error(err)
		}
	})
	return r
}

// statusesOfGRPCGoBack: every fourth call at eks ends with status 13 (internal), which is HTTP 200.
func (a *app) statusesOfGRPCGoBack() {
	ecs, eks := a.newRPC("ecs"), a.newRPC("eks")
	doc := a.world.service(a.name, "http2", 0)
	for i, r := range []*rpc{ecs, eks} {
		doc.GetService().GetOrigins()[i].GetStatic().Endpoints = []string{r.address}
	}
	a.apply(doc)
	q := a.asking(usualRate, loadgen.Config{Protocol: loadgen.HTTP2, Connections: 2, Request: loadgen.Request{
		Method: "POST", Path: "/test.Any/Call", Header: [][2]string{{"content-type", "application/grpc"}, {"te", "trailers"}}, Body: make([]byte, 5),
	}})
	a.start(long(a.doc(2000, 10000)))
	a.bakes(2000)
	a.until("known to fail nobody", func(st *crossfadev1.RolloutStatus) bool { return st.GetGuards()[0].GetVerdict() == "Pass" })
	eks.failing.Store(true)
	a.ended("RolledBack", 0)
	a.wentBackFor("guard err")
	total := eks.calls.Load()
	before := ecs.calls.Load()
	a.await("more calls at ecs", func() bool { return ecs.calls.Load() > before+20 })
	if n := eks.calls.Load(); n != total {
		a.t.Errorf("%d calls at eks after the rollout was over", n-total)
	}
	q.noneAtECS()
	if q.errors["eks"] == 0 {
		a.t.Errorf("nobody has seen a status: %d calls, of which %d at eks", q.done, total)
	}
}
