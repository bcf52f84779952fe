package statsim_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// recorder stands between a proxy and its control plane, passes everything on, and keeps what the proxy sent.
type recorder struct {
	address string
	to      *grpc.ClientConn

	mu   sync.Mutex
	sent map[string][]message // by method
}

// message is one of a proxy's.
type message struct {
	body   []byte
	header metadata.MD
}

// record starts a recorder in front of an address.
func record(t *testing.T, to string) *recorder {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+to,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30)))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{address: l.Addr().String(), to: conn, sent: map[string][]message{}}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(1<<30), grpc.UnknownServiceHandler(r.pass))
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		server.Stop()
		serving.Wait()
		_ = conn.Close()
	})
	return r
}

// pass passes a stream on: messages as empty ones, of which every field is unknown.
func (r *recorder) pass(_ any, from grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(from)
	header, _ := metadata.FromIncomingContext(from.Context())
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(from.Context(), header.Copy()))
	defer cancel()
	to, err := r.to.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		return err
	}
	go func() {
		for {
			m := &emptypb.Empty{}
			if err := from.RecvMsg(m); err != nil {
				if errors.Is(err, io.EOF) {
					_ = to.CloseSend()
				}
				return
			}
			r.mu.Lock()
			r.sent[method] = append(r.sent[method], message{slices.Clone(m.ProtoReflect().GetUnknown()), header})
			r.mu.Unlock()
			if to.SendMsg(m) != nil {
				return
			}
		}
	}()
	for {
		m := &emptypb.Empty{}
		if err := to.RecvMsg(m); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return status.Error(status.Code(err), err.Error())
		}
		if err := from.SendMsg(m); err != nil {
			return status.Error(codes.Unavailable, err.Error())
		}
	}
}

// of returns what was sent by a method so far.
func (r *recorder) of(method string) []message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.sent[method])
}
