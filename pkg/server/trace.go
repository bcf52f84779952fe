package server

import (
	"context"
	"path"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// traced makes a span of each call that is not a stream, in the trace that the caller names (W3C traceparent in its metadata), or in a new one.
func traced(p trace.TracerProvider) grpc.UnaryServerInterceptor {
	tracer := p.Tracer("github.com/crossfade-proxy/crossfade/pkg/server")
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		ctx = propagation.TraceContext{}.Extract(ctx, carrier(md))
		ctx, span := tracer.Start(ctx, path.Base(info.FullMethod), trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		answer, err := handle(ctx, request)
		if err != nil {
			span.SetStatus(codes.Error, traceable(status.Convert(err)))
		}
		return answer, err
	}
}

// traceable is a status as traces may have it: of what is wrong with a request, which its words quote, the codes and the fields.
func traceable(s *status.Status) string {
	if s.Code() != grpccodes.InvalidArgument {
		return s.Message()
	}
	var problems policy.Errors
	for _, d := range s.Details() {
		if d, ok := d.(*crossfadev1.ErrorDetail); ok {
			problems = append(problems, &policy.Error{Kind: policy.Invalid, Code: d.GetCode(), Field: d.GetField()})
		}
	}
	if len(problems) == 0 {
		return "invalid"
	}
	return policy.Unquoted(problems)
}

// carrier is the metadata of a call, as propagation reads it.
type carrier metadata.MD

// Get returns the first value of a key.
func (c carrier) Get(key string) string {
	if v := metadata.MD(c).Get(key); len(v) > 0 {
		return v[0]
	}
	return ""
}

// Set is for callers; a server does not write.
func (carrier) Set(string, string) {}

// Keys returns the keys.
func (c carrier) Keys() (out []string) {
	for k := range c {
		out = append(out, k)
	}
	return out
}
