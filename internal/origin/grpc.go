package origin

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// newGRPC makes the gRPC side of an origin: health, and TestService with EmptyCall, UnaryCall and FullDuplexCall.
func newGRPC(name string) *grpc.Server {
	s := grpc.NewServer()
	healthpb.RegisterHealthServer(s, health.NewServer())
	testpb.RegisterTestServiceServer(s, &testService{name: name})
	return s
}

// testService answers calls with what they brought, and the origin's name.
type testService struct {
	testpb.UnimplementedTestServiceServer
	name string
}

// EmptyCall answers nothing.
func (s *testService) EmptyCall(context.Context, *testpb.Empty) (*testpb.Empty, error) {
	return &testpb.Empty{}, nil
}

// UnaryCall answers with the payload and the origin's name as server id, or with the status that the request asks for.
func (s *testService) UnaryCall(_ context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	if want := r.GetResponseStatus(); want.GetCode() != 0 {
		return nil, status.Error(codes.Code(want.GetCode()), want.GetMessage())
	}
	return &testpb.SimpleResponse{ServerId: s.name, Hostname: s.name, Payload: r.GetPayload()}, nil
}

// FullDuplexCall answers each message with its payload, after the interval that it asks for.
func (s *testService) FullDuplexCall(stream grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, p := range r.GetResponseParameters() {
			timer := time.NewTimer(time.Duration(p.GetIntervalUs()) * time.Microsecond)
			select {
			case <-timer.C:
			case <-stream.Context().Done():
				timer.Stop()
				return stream.Context().Err()
			}
		}
		if err := stream.Send(&testpb.StreamingOutputCallResponse{Payload: r.GetPayload()}); err != nil {
			return err
		}
	}
}
