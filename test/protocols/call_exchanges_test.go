package protocols

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// dialCalls opens a connection for gRPC.
func (p *peer) dialCalls() (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+p.address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(p.host),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(most), grpc.MaxCallSendMsgSize(most)))
}

// callExchanges are those of gRPC.
func callExchanges() []exchange {
	var out []exchange
	add := func(name string, short bool, do func(context.Context, *peer, testpb.TestServiceClient) error) {
		out = append(out, exchange{name, overGRPC, short, func(ctx context.Context, p *peer) error {
			conn, err := p.dialCalls()
			if err != nil {
				return err
			}
			defer conn.Close()
			return do(ctx, p, testpb.NewTestServiceClient(conn))
		}})
	}
	add("unary, with metadata", true, unary(100))
	add("unary, message of 8 MB", true, unary(8<<20))
	add("unary, gzipped", true, unary(100_000, grpc.UseCompressor(gzip.Name)))
	add("error with details, trailers only", true, refusal)
	add("unknown method", true, unknown)
	add("deadline", true, deadline)
	add("cancelled by the client", true, cancelled)
	add("stream of the client", false, clientStream)
	add("stream of the application", false, serverStream)
	add("stream of the application that ends with an error", false, brokenStream)
	add("streams both ways", false, bothStreams(100))
	add("streams both ways, messages of 1 MB", false, bothStreams(1<<20))
	return out
}

// marked adds metadata that is to come back.
func marked(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "x-front", "a", "x-front", "b", "x-front-bin", "\x00\xff,", "x-behind", "c", "x-behind-bin", "\x01\xfe")
}

// metadata notes what came back.
func (p *peer) metadata(header, trailer metadata.MD) {
	for _, name := range []string{"content-type", "x-front", "x-front-bin"} {
		p.client("header "+name, fmt.Sprintf("%q", header.Get(name)))
	}
	for _, name := range []string{"x-behind", "x-behind-bin"} {
		p.client("trailer "+name, fmt.Sprintf("%q", trailer.Get(name)))
	}
}

// ended notes how a call ended.
func (p *peer) ended(err error) {
	if errors.Is(err, io.EOF) {
		err = nil
	}
	st := status.Convert(err)
	p.client("status", fmt.Sprintf("%s %q, %d details", st.Code(), st.Message(), len(st.Details())))
}

func unary(size int64, options ...grpc.CallOption) func(context.Context, *peer, testpb.TestServiceClient) error {
	return func(ctx context.Context, p *peer, c testpb.TestServiceClient) error {
		body, err := io.ReadAll(stuff(size))
		if err != nil {
			return err
		}
		var header, trailer metadata.MD
		out, err := c.UnaryCall(marked(ctx), &testpb.SimpleRequest{Payload: &testpb.Payload{Body: body}}, append(options, grpc.Header(&header), grpc.Trailer(&trailer))...)
		p.client("same message", string(out.GetPayload().GetBody()) == string(body))
		p.metadata(header, trailer)
		p.ended(err)
		return nil
	}
}

func refusal(ctx context.Context, p *peer, c testpb.TestServiceClient) error {
	var header, trailer metadata.MD
	_, err := c.UnaryCall(ctx, &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(codes.FailedPrecondition), Message: "no: 50 % of ümläuts\n"}}, grpc.Header(&header), grpc.Trailer(&trailer))
	p.client("headers", len(header.Get("content-type")))
	p.client("details", len(trailer.Get("grpc-status-details-bin")))
	p.ended(err)
	return nil
}

func unknown(ctx context.Context, p *peer, c testpb.TestServiceClient) error {
	_, err := c.UnimplementedCall(ctx, &testpb.Empty{})
	p.ended(err)
	return nil
}

// allowed is how long the call with a deadline has.
const allowed = time.Second

// deadline makes a call that has a second. The application has to know, and to be told when it is over.
func deadline(ctx context.Context, p *peer, c testpb.TestServiceClient) error {
	begun, ended := p.waiting.of(p.id)
	limited, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(ctx, "x-id", p.id), allowed)
	defer cancel()
	_, err := c.EmptyCall(limited, &testpb.Empty{})
	st := status.Convert(err)
	proxied := p.address == p.proxied()
	switch { // the application's clock was ahead of the client's and of the proxy's
	case proxied && st.Code() == codes.Unavailable && strings.Contains(st.Message(), "{remote_reset}"):
		p.early++
		fallthrough
	case !proxied && st.Code() == codes.Canceled:
		st = status.New(codes.DeadlineExceeded, "")
	}
	p.client("status", st.Code())
	return p.waited(ctx, begun, ended)
}

// cancelled makes a call without a limit, and cancels it when it has arrived.
func cancelled(ctx context.Context, p *peer, c testpb.TestServiceClient) error {
	begun, ended := p.waiting.of(p.id)
	limited, cancel := context.WithCancel(metadata.AppendToOutgoingContext(context.WithoutCancel(ctx), "x-id", p.id))
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		_, err := c.EmptyCall(limited, &testpb.Empty{})
		failed <- err
	}()
	select {
	case limit := <-begun:
		begun <- limit
		cancel()
		p.ended(<-failed)
	case err := <-failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
	return p.waited(ctx, begun, ended)
}

// waited notes what the application knew of a call that waited for its end.
func (p *peer) waited(ctx context.Context, begun chan time.Duration, ended chan string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for range 2 {
		select {
		case limit := <-begun:
			switch {
			case limit == 0:
				p.origin("limit", "none")
			case limit > 0 && limit <= allowed:
				p.origin("limit", "what is left")
			default:
				p.origin("limit", limit)
			}
		case how := <-ended:
			p.origin("end", strings.Replace(how, "context deadline exceeded", "context canceled", 1)) // its own clock, or the reset: whichever is first
		case <-ctx.Done():
			return fmt.Errorf("the application did not hear of the end: %w", ctx.Err())
		}
	}
	return nil
}

func clientStream(ctx context.Context, p *peer, c testpb.TestServiceClient) error {
	stream, err := c.StreamingInputCall(ctx)
	if err != nil {
		return err
	}
	for i := range 100 {
		if i == 50 {
			if err := p.turn(ctx); err != nil {
				return err
			}
		}
		if err := stream.Send(&testpb.StreamingInputCallRequest{Payload: &testpb.Payload{Body: make([]byte, 1000)}}); err != nil {
			return err
		}
	}
	out, err := stream.CloseAndRecv()
	p.client("sum", out.GetAggregatedPayloadSize())
	p.ended(err)
	return nil
}

// parts asks for messages of 1 kB, a few milliseconds apart.
func parts(n int) []*testpb.ResponseParameters {
	out := make([]*testpb.ResponseParameters, n)
	for i := range out {
		out[i] = &testpb.ResponseParameters{Size: 1000, IntervalUs: 3000}
	}
	return out
}

func serverStream(ctx context.Context, p *peer, c testpb.TestServiceClient) error {
	stream, err := c.StreamingOutputCall(marked(ctx), &testpb.StreamingOutputCallRequest{ResponseParameters: parts(100)})
	if err != nil {
		return err
	}
	return p.messages(ctx, stream)
}

func brokenStream(ctx context.Context, p *peer, c testpb.TestServiceClient) error {
	stream, err := c.StreamingOutputCall(marked(ctx), &testpb.StreamingOutputCallRequest{
		ResponseParameters: parts(20), ResponseStatus: &testpb.EchoStatus{Code: int32(codes.DataLoss), Message: "half of it"},
	})
	if err != nil {
		return err
	}
	return p.messages(ctx, stream)
}

// messages counts what a stream brings to its end.
func (p *peer) messages(ctx context.Context, stream grpc.ServerStreamingClient[testpb.StreamingOutputCallResponse]) error {
	n := 0
	for {
		_, err := stream.Recv()
		if err != nil {
			header, _ := stream.Header()
			p.client("messages", n)
			p.metadata(header, stream.Trailer())
			p.ended(err)
			return nil
		}
		if n++; n == 10 {
			if err := p.turn(ctx); err != nil {
				return err
			}
		}
	}
}

// bothStreams sends a message and waits for it to come back, several times, then ends its side and waits for the last word.
func bothStreams(size int64) func(context.Context, *peer, testpb.TestServiceClient) error {
	return func(ctx context.Context, p *peer, c testpb.TestServiceClient) error {
		stream, err := c.FullDuplexCall(marked(ctx))
		if err != nil {
			return err
		}
		body, err := io.ReadAll(stuff(size))
		if err != nil {
			return err
		}
		for i := range 6 {
			if i == 3 {
				if err := p.turn(ctx); err != nil {
					return err
				}
			}
			if err := stream.Send(&testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: body}}); err != nil {
				return err
			}
			out, err := stream.Recv()
			if err != nil {
				return err
			}
			p.client("same message", string(out.GetPayload().GetBody()) == string(body))
		}
		if err := stream.CloseSend(); err != nil {
			return err
		}
		out, err := stream.Recv()
		p.client("last", string(out.GetPayload().GetBody()))
		if err == nil {
			_, err = stream.Recv()
		}
		header, _ := stream.Header()
		p.metadata(header, stream.Trailer())
		p.ended(err)
		return nil
	}
}
