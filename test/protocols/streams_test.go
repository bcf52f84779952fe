package protocols

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// stream is an open stream of any protocol.
type stream struct {
	name    string
	service string
	// say sends something and waits until it is back, or has arrived at least.
	say func(ctx context.Context) error
	// end waits for the end, and describes it.
	end func(ctx context.Context) string
	// leave ends it from the client's side.
	leave func()
}

// open opens a stream of each protocol through the fleet, where weights send them, and says something on each.
func (w *world) open(ctx context.Context) []*stream {
	w.t.Helper()
	var out []*stream
	for _, how := range []func(context.Context, *peer) (*stream, error){openSocket, openEvents, openAnswer, openCall, openSilentCall} {
		w.exchanges++
		p := &peer{world: w, address: w.proxied(), id: fmt.Sprint(w.exchanges), host: overHTTP1 + ".test"}
		s, err := how(ctx, p)
		if err != nil {
			w.t.Fatalf("opening a stream: %v", err)
		}
		w.t.Cleanup(s.leave)
		if err := s.say(ctx); err != nil {
			w.t.Fatalf("%s: %v", s.name, err)
		}
		out = append(out, s)
	}
	return out
}

func openSocket(ctx context.Context, p *peer) (*stream, error) {
	ws, err := p.socket(ctx)
	if err != nil {
		return nil, err
	}
	return &stream{
		name: "WebSocket", service: overHTTP1,
		say: func(ctx context.Context) error { return p.exchange(ctx, ws, websocket.MessageBinary, 100) },
		end: func(ctx context.Context) string {
			_, _, err := ws.Read(ctx)
			return ending(ctx, err)
		},
		leave: func() { _ = ws.CloseNow() },
	}, nil
}

// ending is an error of a connection without what differs each time.
func ending(ctx context.Context, err error) string {
	switch {
	case err == nil:
		return "more"
	case ctx.Err() != nil:
		return "still open"
	case strings.Contains(err.Error(), "INTERNAL_ERROR"):
		return "reset INTERNAL_ERROR"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "cut off"
	}
	st, ok := status.FromError(err)
	if !ok {
		return err.Error()
	}
	var own struct{ Error struct{ Code string } } // of the proxy
	if json.Unmarshal([]byte(st.Message()), &own) != nil {
		return st.Code().String()
	}
	return st.Code().String() + " " + own.Error.Code
}

func openEvents(ctx context.Context, p *peer) (*stream, error) { return openBody(ctx, p, false) }

func openAnswer(ctx context.Context, p *peer) (*stream, error) { return openBody(ctx, p, true) }

// openBody opens a stream of events over HTTP/1.1 or HTTP/2.
func openBody(ctx context.Context, p *peer, two bool) (*stream, error) {
	client, prompt := p.httpClient(two), p.events.of(p.id)
	ctx, cancel := context.WithCancel(ctx)
	s := &stream{name: "events over HTTP/1.1", service: overHTTP1, leave: cancel}
	if two {
		s.name, s.service, p.host = "events over HTTP/2", overHTTP2, overHTTP2+".test"
	}
	req, err := p.request(ctx, "GET", "/events?id="+p.id, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(resp.Status)
	}
	r := bufio.NewReader(resp.Body)
	s.leave = func() {
		cancel()
		resp.Body.Close()
		client.CloseIdleConnections()
	}
	s.say = func(context.Context) error {
		prompt <- struct{}{}
		for range 3 {
			if _, err := r.ReadString('\n'); err != nil {
				return err
			}
		}
		return nil
	}
	s.end = func(ctx context.Context) string {
		stop := context.AfterFunc(ctx, cancel)
		defer stop()
		_, err := r.ReadString('\n')
		return ending(ctx, err)
	}
	return s, nil
}

func openCall(ctx context.Context, p *peer) (*stream, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // without a limit of the client's own
	p.host = overGRPC + ".test"
	conn, err := p.dialCalls()
	if err != nil {
		cancel()
		return nil, err
	}
	s := &stream{name: "gRPC, both ways", service: overGRPC, leave: func() { cancel(); _ = conn.Close() }}
	call, err := testpb.NewTestServiceClient(conn).FullDuplexCall(ctx)
	if err != nil {
		s.leave()
		return nil, err
	}
	s.say = func(context.Context) error {
		if err := call.Send(&testpb.StreamingOutputCallRequest{}); err != nil {
			return err
		}
		_, err := call.Recv()
		return err
	}
	s.end = func(ctx context.Context) string {
		stop := context.AfterFunc(ctx, cancel)
		defer stop()
		_, err := call.Recv()
		return ending(ctx, err)
	}
	return s, nil
}

// openSilentCall opens a call that is not answered yet.
func openSilentCall(ctx context.Context, p *peer) (*stream, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // without a limit of the client's own
	p.host = overGRPC + ".test"
	conn, err := p.dialCalls()
	if err != nil {
		cancel()
		return nil, err
	}
	s := &stream{name: "gRPC, not answered yet", service: overGRPC, leave: func() { cancel(); _ = conn.Close() }}
	call, err := testpb.NewTestServiceClient(conn).StreamingInputCall(metadata.AppendToOutgoingContext(ctx, "x-id", p.id))
	if err != nil {
		s.leave()
		return nil, err
	}
	arrived, _ := p.waiting.of(p.id)
	s.say = func(ctx context.Context) error {
		if err := call.Send(&testpb.StreamingInputCallRequest{Payload: &testpb.Payload{Body: []byte("x")}}); err != nil {
			return err
		}
		select {
		case <-arrived: // until then it may have picked no origin yet
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.end = func(ctx context.Context) string {
		stop := context.AfterFunc(ctx, cancel)
		defer stop()
		err := call.RecvMsg(&testpb.StreamingInputCallResponse{})
		return ending(ctx, err)
	}
	return s, nil
}

// TestOpenStreamsAreShown: what a rollback says of the streams that it leaves at the origin that was left, and that it leaves them.
func TestOpenStreamsAreShown(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		w := newWorld(t, version, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
		defer cancel()
		w.reset(10000)
		streams := w.open(ctx)
		want := map[string]int64{}
		for _, s := range streams {
			want[s.service]++
		}
		for service, n := range want {
			w.shown(ctx, service, n)
		}
		for _, s := range streams {
			if err := s.say(ctx); err != nil {
				t.Errorf("%s, after the rollback: %v", s.name, err)
			}
		}
		for _, s := range streams {
			s.leave()
		}
		for service := range want {
			w.shown(ctx, service, 0)
		}
	})
}

// shown rolls a service back until the proof says that so many streams are open at eks; the figures are as old as the last report.
func (w *world) shown(ctx context.Context, service string, want int64) {
	w.t.Helper()
	err := poll.Until(ctx, 100*time.Millisecond, func(ctx context.Context) error {
		options := &crossfadev1.ChangeOptions{Wait: crossfadev1.Wait_WAIT_PROVEN, Timeout: durationpb.New(patience)}
		out, err := w.API.Rollback(ctx, &crossfadev1.RollbackRequest{Service: service, Options: options})
		if err != nil {
			return err
		}
		proof := out.GetChanges()[0].GetProof()
		if n, said := proof.GetOpenStreams()["eks"]; !said || n != want {
			return fmt.Errorf("%d streams shown, %v", n, proof)
		}
		return nil
	})
	if err != nil {
		w.t.Errorf("service %s: want %d open streams at eks: %v", service, want, err)
	}
}
