package server

import (
	"context"
	"path"
	"time"

	"google.golang.org/grpc"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// noteCall tells the log of each call that is over, at the level debug: which, how long, and how it ended. It says nothing of what was asked.
func (a *API) noteCall(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	began := time.Now()
	answer, err := handle(ctx, request)
	a.note(ctx, info.FullMethod, began, err)
	return answer, err
}

// noteStream is noteCall for streams.
func (a *API) noteStream(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	began := time.Now()
	err := handle(service, stream)
	a.note(stream.Context(), info.FullMethod, began, err)
	return err
}

func (a *API) note(ctx context.Context, method string, began time.Time, err error) {
	a.log.DebugContext(ctx, "call", "method", path.Base(method), "who", who(ctx, ""), "took", time.Since(began), "ended", policy.Unquoted(err))
}
