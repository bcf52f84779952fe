package origin

import (
	"context"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func TestWebSocket(t *testing.T) {
	o := start(t, Config{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ws, resp, err := websocket.Dial(ctx, "ws://"+o.Addr()+"/chat", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	if resp.Header.Get("x-origin") != "ecs" {
		t.Errorf("handshake: %v", resp.Header)
	}
	for _, message := range []string{"one", strings.Repeat("two", 5000)} {
		if err := ws.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := ws.Read(ctx); err != nil || string(got) != message {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	}
	if n := o.InFlight(); n != 1 {
		t.Errorf("%d in flight while a WebSocket is open", n)
	}
	if err := ws.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
}

func TestWebSocketRefused(t *testing.T) {
	o := start(t, Config{})
	if resp, _ := raw(t, o, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"); resp.StatusCode/100 != 4 {
		t.Errorf("a handshake without version or key got %s", resp.Status)
	}
}

func TestGRPC(t *testing.T) {
	o := start(t, Config{})
	conn, err := grpc.NewClient("passthrough:///"+o.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if h, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{}); err != nil || h.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health: %v, %v", h, err)
	}
	service := testpb.NewTestServiceClient(conn)
	var header metadata.MD
	answer, err := service.UnaryCall(metadata.AppendToOutgoingContext(ctx, "x-user", "u1"), &testpb.SimpleRequest{Payload: &testpb.Payload{Body: []byte("p")}}, grpc.Header(&header))
	if err != nil || answer.GetServerId() != "ecs" || string(answer.GetPayload().GetBody()) != "p" || !reflect.DeepEqual(header.Get("x-origin"), []string{"ecs"}) {
		t.Errorf("unary: %v, %v, %v", answer, header, err)
	}
	if r, _ := o.LastRequest(); r.Path != "/grpc.testing.TestService/UnaryCall" || !reflect.DeepEqual(r.Get("X-User"), []string{"u1"}) {
		t.Errorf("log: %+v", r)
	}
	_, err = service.UnaryCall(ctx, &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(codes.DataLoss), Message: "m"}})
	if status.Code(err) != codes.DataLoss {
		t.Errorf("asked for data loss, got %v", err)
	}
	checkStream(ctx, t, o, service)
	if err := o.SetFaults(Faults{ErrorShare: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := service.EmptyCall(ctx, &testpb.Empty{}); status.Code(err) != codes.Unavailable {
		t.Errorf("broken, and yet: %v", err)
	}
}

func checkStream(ctx context.Context, t *testing.T, o *Origin, service testpb.TestServiceClient) {
	t.Helper()
	stream, err := service.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		payload := []byte{byte(i)}
		if err := stream.Send(&testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: payload}}); err != nil {
			t.Fatal(err)
		}
		if r, err := stream.Recv(); err != nil || string(r.GetPayload().GetBody()) != string(payload) {
			t.Fatalf("message %d: %v, %v", i, r, err)
		}
	}
	if n := o.InFlight(); n != 1 {
		t.Errorf("%d in flight while a stream is open", n)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("end of stream: %v", err)
	}
}
