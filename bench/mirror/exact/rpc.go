package exact

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

const (
	// Method is the full name of the method that is called, but for streams.
	Method = "grpc.testing.TestService/UnaryCall"
	// MaxCall is the most bytes of one call: what gRPC lets through by default, less what the envelope needs.
	MaxCall = 4<<20 - 1<<10
	message = 1 << 20 // bytes, of streams
)

// rpc calls by gRPC.
type rpc struct {
	target, host string
	bodies       uploads
	conn         *grpc.ClientConn
}

// Ask implements [Client].
func (c *rpc) Ask(ctx context.Context, a Ask) error {
	if c.conn == nil {
		conn, err := grpc.NewClient("passthrough:///"+c.target, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithAuthority(c.host), grpc.WithDisableRetry(), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)))
		if err != nil {
			return fault(err)
		}
		c.conn = conn
	}
	client := testpb.NewTestServiceClient(c.conn)
	if a.Stream {
		return c.stream(ctx, client, a)
	}
	sent := c.bodies.of(a.Bytes).body
	got, err := client.UnaryCall(ctx, &testpb.SimpleRequest{Payload: &testpb.Payload{Body: sent}})
	switch {
	case err != nil:
		return fault(err)
	case a.Origin != "" && got.GetServerId() != a.Origin:
		return wrong("%q answered, not %q", got.GetServerId(), a.Origin)
	}
	return same(got.GetPayload(), sent)
}

// stream sends the bytes message by message, each once the one before has come back.
func (c *rpc) stream(ctx context.Context, client testpb.TestServiceClient, a Ask) error {
	s, err := client.FullDuplexCall(ctx)
	if err != nil {
		return fault(err)
	}
	for left := a.Bytes; left > 0; left -= message {
		sent := c.bodies.of(min(left, message)).body
		request := &testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: sent}}
		if err := s.Send(request); err != nil && !errors.Is(err, io.EOF) { // io.EOF: Recv says why
			return fault(err)
		}
		got, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return &Fault{Truncated, fmt.Errorf("%d of %d bytes are missing", left, a.Bytes)}
		}
		if err != nil {
			return fault(err)
		}
		if err := same(got.GetPayload(), sent); err != nil {
			return err
		}
	}
	if err := s.CloseSend(); err != nil {
		return fault(err)
	}
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		return fault(fmt.Errorf("after the last message: %w", err))
	}
	return nil
}

func same(got *testpb.Payload, sent []byte) error {
	switch {
	case len(got.GetBody()) < len(sent):
		return &Fault{Truncated, fmt.Errorf("%d of %d bytes", len(got.GetBody()), len(sent))}
	case !bytes.Equal(got.GetBody(), sent):
		return wrong("other bytes came back")
	}
	return nil
}

// Close implements [Client].
func (c *rpc) Close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}
