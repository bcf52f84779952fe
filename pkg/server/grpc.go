package server

import (
	"context"
	"path"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// hardLimit is how many times MaxMessage gRPC itself takes, so that the error for what is between comes from us, with a code.
const hardLimit = 4

// Bounds of a connection: calls at once, bytes of the headers of one, and how long it may be there for nothing.
const (
	maxStreams = 1000
	maxHeaders = 64 << 10
	maxIdle    = time.Minute
)

// GRPC returns a gRPC server with the API, its health and reflection, and with more options, for TLS. A panic in a call ends the process: the state is in the store.
func (a *API) GRPC(more ...grpc.ServerOption) *grpc.Server {
	s := grpc.NewServer(append([]grpc.ServerOption{
		grpc.ChainUnaryInterceptor(traced(a.traces), a.unary, a.noteCall), grpc.ChainStreamInterceptor(a.stream, a.noteStream),
		grpc.ForceServerCodecV2(a.codec), grpc.MaxRecvMsgSize(hardLimit * a.maxMessage), grpc.MaxConcurrentStreams(maxStreams), grpc.MaxHeaderListSize(maxHeaders), grpc.ConnectionTimeout(10 * time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: maxIdle, Time: 20 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	}, more...)...)
	crossfadev1.RegisterCrossfadeServiceServer(s, a)
	grpc_health_v1.RegisterHealthServer(s, a.health)
	reflection.Register(s)
	return s
}

// SetServing says in the health service whether calls are answered.
func (a *API) SetServing(serving bool) {
	status := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if serving {
		status = grpc_health_v1.HealthCheckResponse_SERVING
	}
	a.health.SetServingStatus("", status)
	a.health.SetServingStatus(crossfadev1.CrossfadeService_ServiceDesc.ServiceName, status)
}

// Stop ends the calls of a server from [API.GRPC]: new ones are refused and watches end at once, calls that wait for the fleet are
// told after grace that the change stands, and what is left after twice that is cut off, and not waited for.
func (a *API) Stop(s *grpc.Server, grace time.Duration) {
	a.health.Shutdown()
	a.endStreams()
	waits := time.AfterFunc(grace, a.endWaits)
	defer waits.Stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.GracefulStop()
	}()
	cut := time.NewTimer(2 * grace)
	defer cut.Stop()
	select {
	case <-ended:
	case <-cut.C:
		go s.Stop() // it returns with the last handler
	}
	a.endWaits()
}

// until derives a context that also ends when the server stops.
func until(ctx, stop context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	release := context.AfterFunc(stop, func() { cancel(errStopping) })
	return ctx, func() { release(); cancel(nil) }
}

func (a *API) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	began := time.Now()
	_, write := request.(changeRequest)
	c := call{method: path.Base(info.FullMethod), write: write}
	if err := a.codec.check(request); err != nil {
		return nil, a.fail(ctx, c, err)
	}
	if err := a.permit(ctx, info.FullMethod, request); err != nil {
		return nil, a.fail(ctx, c, err)
	}
	ctx, done := until(ctx, a.waits)
	defer done()
	answer, err := handle(ctx, request)
	if write {
		changes := changesOf(answer)
		if err != nil {
			changes = changesOfError(err)
		}
		took := time.Since(began)
		a.changed(c.method, changes, took)
		a.logChange(ctx, c.method, request.(changeRequest), changes, err, took)
	}
	if err != nil {
		return nil, a.fail(ctx, c, err)
	}
	return answer, nil
}

func (a *API) logChange(ctx context.Context, method string, r changeRequest, changes []*crossfadev1.Change, err error, took time.Duration) {
	who := who(ctx, r.GetOptions().GetActor())
	for _, c := range changes {
		a.log.InfoContext(ctx, "change", "method", method, "who", who, "kind", c.GetKind(), "name", c.GetService(), "revision", c.GetRevision(),
			"recorded", c.GetRecorded(), "acked", c.GetFleet().GetAcked(), "connected", c.GetFleet().GetConnected(), "took", took)
	}
	if err != nil {
		a.log.InfoContext(ctx, "change failed", "method", method, "who", who, "error", policy.Unquoted(err), "took", took)
	}
}

func (a *API) stream(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	ctx, done := until(stream.Context(), a.streams)
	defer done()
	s := a.guard(ctx, stream, info.FullMethod)
	defer s.close()
	if err := handle(service, s); err != nil {
		if lost := s.lost(); lost != nil {
			err = lost
		}
		return a.fail(ctx, call{method: path.Base(info.FullMethod)}, err)
	}
	return nil
}
