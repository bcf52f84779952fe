package e2e

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"golang.org/x/net/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// calls makes gRPC calls one after the other through the first proxy, until the returned function is called.
func (w *world) calls(service string) (stop func() (done int, failed error)) {
	w.t.Helper()
	target := fmt.Sprintf("%s:%d", w.Proxies[0].Host, w.port)
	conn, err := grpc.NewClient("passthrough:///"+target, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(service+".test"))
	if err != nil {
		w.t.Fatal(err)
	}
	client := testgrpc.NewTestServiceClient(conn)
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan struct{})
	done, failed := 0, error(nil)
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if _, err := client.EmptyCall(context.WithoutCancel(ctx), &testgrpc.Empty{}); err != nil {
				failed = err
				return
			}
			done++
		}
	}()
	return func() (int, error) {
		cancel()
		<-ended
		_ = conn.Close()
		return done, failed
	}
}

// socket is an open WebSocket.
type socket struct {
	*websocket.Conn
	t *testing.T
}

func (w *world) socket(service string) *socket {
	w.t.Helper()
	c, err := net.Dial("tcp", net.JoinHostPort(w.Proxies[0].Host, strconv.Itoa(w.port)))
	if err != nil {
		w.t.Fatal(err)
	}
	config, err := websocket.NewConfig("ws://"+service+".test/", "http://"+service+".test/")
	if err != nil {
		w.t.Fatal(err)
	}
	conn, err := websocket.NewClient(config, c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	return &socket{Conn: conn, t: w.t}
}

// echo sends a message and expects it back.
func (s *socket) echo(message string) {
	s.t.Helper()
	if err := s.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	if err := websocket.Message.Send(s.Conn, message); err != nil {
		s.t.Fatal(err)
	}
	var back string
	if err := websocket.Message.Receive(s.Conn, &back); err != nil || back != message {
		s.t.Fatalf("sent %q, received %q, %v", message, back, err)
	}
}
