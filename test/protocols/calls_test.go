package protocols

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// callOrigin is an application of gRPC alone, on two addresses.
type callOrigin struct {
	testpb.UnimplementedTestServiceServer
	at      []string
	waiting *callLog
}

// callLog is what became of calls that wait for their end, by id, at all origins.
type callLog struct {
	mu    sync.Mutex
	begun map[string]chan time.Duration // how long it was to last; 0: no limit, or one more message came
	ended map[string]chan string        // how its context ended
}

func (l *callLog) of(id string) (begun chan time.Duration, ended chan string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended[id] == nil {
		l.begun[id], l.ended[id] = make(chan time.Duration, 1), make(chan string, 1)
	}
	return l.begun[id], l.ended[id]
}

// most is how large a message may be, in bytes.
const most = 32 << 20

func startCalls(t *testing.T, name string, waiting *callLog) *callOrigin {
	t.Helper()
	o := &callOrigin{waiting: waiting}
	s := grpc.NewServer(grpc.MaxRecvMsgSize(most), grpc.MaxSendMsgSize(most))
	testpb.RegisterTestServiceServer(s, o)
	o.at = serve(t, s.Serve, func() error { s.Stop(); return nil })
	return o
}

// callID is the id of a call that has one.
func callID(ctx context.Context) string {
	in, _ := metadata.FromIncomingContext(ctx)
	return strings.Join(in.Get("x-id"), "")
}

// greet sends the metadata that a call asks for back, in front and behind.
func greet(ctx context.Context, header, trailer func(metadata.MD)) {
	in, _ := metadata.FromIncomingContext(ctx)
	front, behind := metadata.MD{}, metadata.MD{}
	for name, values := range in {
		switch {
		case strings.HasPrefix(name, "x-front"):
			front[name] = values
		case strings.HasPrefix(name, "x-behind"):
			behind[name] = values
		}
	}
	header(front)
	trailer(behind)
}

// EmptyCall waits for the end of its context if the call has an id, and tells how long that was to be, and how it ended.
func (o *callOrigin) EmptyCall(ctx context.Context, _ *testpb.Empty) (*testpb.Empty, error) {
	id := callID(ctx)
	if id == "" {
		return &testpb.Empty{}, nil
	}
	begun, ended := o.waiting.of(id)
	var limit time.Duration
	if deadline, ok := ctx.Deadline(); ok {
		limit = time.Until(deadline)
	}
	begun <- limit
	<-ctx.Done()
	ended <- ctx.Err().Error()
	return nil, status.FromContextError(ctx.Err()).Err()
}

// UnaryCall sends the payload back, or the status that is asked for, with a detail.
func (o *callOrigin) UnaryCall(ctx context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	if want := r.GetResponseStatus(); want.GetCode() != 0 {
		st, err := status.New(codes.Code(want.GetCode()), want.GetMessage()).WithDetails(&errdetails.ErrorInfo{Reason: "ASKED", Domain: "test"})
		if err != nil {
			return nil, err
		}
		return nil, st.Err() // nothing was sent before it: trailers only
	}
	greet(ctx, func(md metadata.MD) { _ = grpc.SendHeader(ctx, md) }, func(md metadata.MD) { _ = grpc.SetTrailer(ctx, md) })
	return &testpb.SimpleResponse{Payload: r.GetPayload()}, nil
}

// StreamingInputCall sums up the sizes of what comes. If the call has an id it tells of each message.
func (o *callOrigin) StreamingInputCall(stream grpc.ClientStreamingServer[testpb.StreamingInputCallRequest, testpb.StreamingInputCallResponse]) error {
	sum, id := 0, callID(stream.Context())
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&testpb.StreamingInputCallResponse{AggregatedPayloadSize: int32(sum)})
		}
		if err != nil {
			return err
		}
		sum += len(r.GetPayload().GetBody())
		if id != "" {
			begun, _ := o.waiting.of(id)
			begun <- 0
		}
	}
}

// StreamingOutputCall sends what is asked for, each part after its interval, and ends with the status that is asked for.
func (o *callOrigin) StreamingOutputCall(r *testpb.StreamingOutputCallRequest, stream grpc.ServerStreamingServer[testpb.StreamingOutputCallResponse]) error {
	greet(stream.Context(), func(md metadata.MD) { _ = stream.SendHeader(md) }, stream.SetTrailer)
	for _, p := range r.GetResponseParameters() {
		if err := pause(stream.Context(), time.Duration(p.GetIntervalUs())*time.Microsecond); err != nil {
			return err
		}
		if err := stream.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: make([]byte, p.GetSize())}}); err != nil {
			return err
		}
	}
	if want := r.GetResponseStatus(); want.GetCode() != 0 {
		return status.Error(codes.Code(want.GetCode()), want.GetMessage())
	}
	return nil
}

// FullDuplexCall sends each message back, and one more after the client's last.
func (o *callOrigin) FullDuplexCall(stream grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	greet(stream.Context(), func(md metadata.MD) { _ = stream.SendHeader(md) }, stream.SetTrailer)
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: []byte("last")}})
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&testpb.StreamingOutputCallResponse{Payload: r.GetPayload()}); err != nil {
			return err
		}
	}
}

// pause lets time pass unless the call ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
