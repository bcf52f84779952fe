package origin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"syscall"
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

func start(t *testing.T, c Config) *Origin {
	t.Helper()
	if c.Name == "" {
		c.Name = "ecs"
	}
	o, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

// client is an HTTP client without connections of others, HTTP/1.1 or HTTP/2 in clear text.
func client(t *testing.T, h2 bool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!h2)
	protocols.SetUnencryptedHTTP2(h2)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

func do(t *testing.T, c *http.Client, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func request(t *testing.T, o *Origin, method, path, body, answer string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+o.Addr()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "Orders.test.:8080"
	if answer != "" {
		req.Header.Set(AnswerHeader, answer)
	}
	return req
}

// raw sends bytes as they are, and reads one answer.
func raw(t *testing.T, o *Origin, bytes string) (*http.Response, string) {
	t.Helper()
	c, err := net.Dial("tcp4", o.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, bytes); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// TestSeesTheRequestAsSent: case, order, repetition and spelling of headers reach the echo and the log.
func TestSeesTheRequestAsSent(t *testing.T) {
	o := start(t, Config{})
	head := "PUT /a//b/../c%2f?x=1&x=2 HTTP/1.1\r\nhost: Orders.test:8080\r\nX-b: 2\r\nx-A:1\r\nX-B:  3 \r\nContent-Length: 3\r\n\r\n"
	resp, body := raw(t, o, head+"abc")
	want := Echo{
		Origin: "ecs", Proto: "HTTP/1.1", Method: "PUT", Path: "/a//b/../c%2f?x=1&x=2", Host: "Orders.test:8080", BodyBytes: 3,
		BodySHA256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		Header:     [][2]string{{"host", "Orders.test:8080"}, {"X-b", "2"}, {"x-A", "1"}, {"X-B", "3"}, {"Content-Length", "3"}},
	}
	var got Echo
	if err := json.Unmarshal([]byte(body), &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("echo: %+v, %v\nwant: %+v", got, err, want)
	}
	if resp.StatusCode != 200 || resp.Header.Get("x-origin") != "ecs" {
		t.Errorf("answer: %v", resp)
	}
	r, ok := o.LastRequest()
	if !ok || r.Head != head || r.Service != "orders.test" || !reflect.DeepEqual(r.Echo, want) {
		t.Errorf("log: %+v", r)
	}
	if got := r.Get("x-b"); !reflect.DeepEqual(got, []string{"2", "3"}) {
		t.Errorf("x-b: %v", got)
	}
}

func TestOddRequests(t *testing.T) {
	o := start(t, Config{})
	for name, c := range map[string]struct {
		send   string
		status int
		check  func(Echo) bool
	}{
		"HTTP/1.0 without host":  {"GET / HTTP/1.0\r\n\r\n", 200, func(e Echo) bool { return e.Proto == "HTTP/1.0" && e.Host == "" }},
		"absolute form":          {"GET http://a.test/x HTTP/1.1\r\nHost: b.test\r\n\r\n", 200, func(e Echo) bool { return e.Path == "http://a.test/x" }},
		"asterisk":               {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 200, func(e Echo) bool { return e.Path == "*" }},
		"chunked with a trailer": {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3\r\nabc\r\n0\r\nX-T: v\r\n\r\n", 200, func(e Echo) bool { return e.BodyBytes == 3 && reflect.DeepEqual(e.Trailer, [][2]string{{"x-t", "v"}}) }},
		"malformed":              {"GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n", 400, nil},
		"no HTTP at all":         {"hello\r\n\r\n", 400, nil},
		"too long":               {"GET / HTTP/1.1\r\nHost: a\r\nx: " + strings.Repeat("x", headBytes), 431, nil},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := raw(t, o, c.send)
			if resp.StatusCode != c.status {
				t.Fatalf("status %d, %s", resp.StatusCode, body)
			}
			var e Echo
			if c.check != nil && (json.Unmarshal([]byte(body), &e) != nil || !c.check(e)) {
				t.Errorf("echo: %s", body)
			}
			if r, ok := o.LastRequest(); c.status == 400 && (!ok || r.Malformed == "" || r.Head != c.send) {
				t.Errorf("log: %+v", r)
			}
		})
	}
}

// TestKeepAliveAndPipelining: several requests on a connection, sent at once, answered in order, the last one closes it.
func TestKeepAliveAndPipelining(t *testing.T) {
	o := start(t, Config{Plain: true})
	c, err := net.Dial("tcp4", o.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "POST /1 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
		"HEAD /2 HTTP/1.1\r\nHost: a\r\n\r\n", "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	const head = "HTTP/1.1 200 OK\r\nX-Origin: ecs\r\nServer: toy-origin\r\nContent-Type: text/plain\r\n"
	want := "HTTP/1.1 100 Continue\r\n\r\n" + head + "Content-Length: 4\r\n\r\necs\n" + head + "Content-Length: 4\r\n\r\n" +
		head + "Connection: close\r\nContent-Length: 4\r\n\r\necs\n"
	if string(got) != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
	var paths []string
	for _, r := range o.Requests() {
		paths = append(paths, r.Path)
	}
	if !reflect.DeepEqual(paths, []string{"/1", "/2", "/3"}) {
		t.Errorf("paths %v", paths)
	}
}

// TestAnswers: what AnswerHeader asks for, over both protocols.
func TestAnswers(t *testing.T) {
	o := start(t, Config{})
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2=%v", h2), func(t *testing.T) {
			c := client(t, h2)
			resp, body := do(t, c, request(t, o, "GET", "/", "", "status=404&bytes=5&header=X-More:a%3Bb&delay=1ms"))
			if resp.StatusCode != 404 || body != "xxxxx" || resp.Header.Get("x-more") != "a;b" || resp.ContentLength != 5 {
				t.Errorf("%v %q", resp, body)
			}
			resp, body = do(t, c, request(t, o, "GET", "/", "", "bytes=2&times=3&every=1ms"))
			if resp.StatusCode != 200 || body != "xxxxxx" || resp.ContentLength != -1 {
				t.Errorf("%v %q", resp, body)
			}
			resp, body = do(t, c, request(t, o, "GET", "/", "", "colour=red"))
			if resp.StatusCode != 400 || !strings.Contains(body, "colour") {
				t.Errorf("%v %q", resp, body)
			}
			resp, body = do(t, c, request(t, o, "POST", "/p?q", "abc", ""))
			var e Echo
			if err := json.Unmarshal([]byte(body), &e); err != nil || e.BodyBytes != 3 || e.Path != "/p?q" || e.Proto != resp.Proto {
				t.Errorf("%v %q", resp, body)
			}
			if r, _ := o.LastRequest(); r.Service != "orders.test" {
				t.Errorf("service %q", r.Service)
			}
		})
	}
}

func TestLogCounts(t *testing.T) {
	o := start(t, Config{Keep: 2, Stamps: 5})
	c := client(t, false)
	if _, ok := o.Last(""); ok {
		t.Error("a last request before the first")
	}
	before := Now()
	var third time.Duration
	for i := range 8 {
		req := request(t, o, "GET", fmt.Sprintf("/%d", i), "", "")
		req.Host = []string{"a.test", "b.test"}[i%2]
		do(t, c, req)
		if i == 3 {
			third, _ = o.Last("")
		}
	}
	if o.Total() != 8 || o.Count("a.test") != 4 || o.Count("none") != 0 {
		t.Errorf("total %d, a %d", o.Total(), o.Count("a.test"))
	}
	if n, err := o.CountSince("", third+1); n != 4 || err != nil {
		t.Errorf("since: %d, %v", n, err)
	}
	if n, err := o.CountSince("a.test", third+1); n != 2 || err != nil {
		t.Errorf("since, a: %d, %v", n, err)
	}
	if n, err := o.CountSince("none", third+1); n != 0 || err != nil {
		t.Errorf("since, none: %d, %v", n, err)
	}
	if _, err := o.CountSince("", before); !errors.Is(err, ErrForgotten) {
		t.Errorf("what is forgotten was counted: %v", err)
	}
	a, _ := o.Last("a.test")
	b, _ := o.Last("b.test")
	all, _ := o.Last("")
	if !(third < a && a < b && b == all && all <= Now()) {
		t.Errorf("last: %v %v %v", a, b, all)
	}
	if r := o.Requests(); len(r) != 2 || r[0].Path != "/6" || r[1].Path != "/7" || r[1].At != b {
		t.Errorf("kept: %+v", r)
	}
}

func TestAwaitTotal(t *testing.T) {
	o := start(t, Config{})
	reached := make(chan error, 1)
	go func() { reached <- o.AwaitTotal(t.Context(), 2) }()
	c := client(t, false)
	do(t, c, request(t, o, "GET", "/", "", ""))
	do(t, c, request(t, o, "GET", "/", "", ""))
	if err := <-reached; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := o.AwaitTotal(ctx, 3); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// TestFaults: shares are exact, on both protocols, and end when they are taken back.
func TestFaults(t *testing.T) {
	o := start(t, Config{Plain: true})
	for _, h2 := range []bool{false, true} {
		c := client(t, h2)
		if err := o.SetFaults(Faults{ErrorShare: 0.3, Status: 502, Latency: time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		failed := 0
		for range 100 {
			if resp, _ := do(t, c, request(t, o, "GET", "/", "", "")); resp.StatusCode == 502 && resp.Header.Get("x-origin") == "ecs" {
				failed++
			}
		}
		if failed != 30 {
			t.Errorf("h2=%v: %d of 100 failed, want 30", h2, failed)
		}
		if err := o.SetFaults(Faults{ResetShare: 1}); err != nil {
			t.Fatal(err)
		}
		if resp, err := c.Do(request(t, o, "POST", "/", "x", "")); err == nil {
			resp.Body.Close()
			t.Errorf("h2=%v: no reset, but %s", h2, resp.Status)
		}
		if err := o.SetFaults(Faults{}); err != nil {
			t.Fatal(err)
		}
		if resp, _ := do(t, c, request(t, o, "GET", "/", "", "")); resp.StatusCode != 200 {
			t.Errorf("h2=%v: still %s", h2, resp.Status)
		}
	}
	for _, bad := range []Faults{{ErrorShare: 1.1}, {ResetShare: -1}, {Status: 99}, {Latency: -1}} {
		if o.SetFaults(bad) == nil {
			t.Errorf("accepted %+v", bad)
		}
	}
}

func dial(o *Origin, patience time.Duration) error {
	c, err := net.DialTimeout("tcp4", o.Addr(), patience)
	if err == nil {
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err = c.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err == nil {
			_, err = c.Read(make([]byte, 1))
		}
	}
	return err
}

// TestStates walks through every state twice: what a new connection meets, and what becomes of an open one.
func TestStates(t *testing.T) {
	o := start(t, Config{Plain: true})
	for range 2 {
		for _, c := range []struct {
			state State
			fresh func(error) bool
		}{
			{Refusing, func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }},
			{BlackHole, func(err error) bool { var n net.Error; return errors.As(err, &n) && n.Timeout() }},
			{Resetting, func(err error) bool { return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) }},
		} {
			http1 := client(t, false)
			do(t, http1, request(t, o, "GET", "/", "", ""))
			if err := o.SetState(c.state); err != nil {
				t.Fatal(err)
			}
			if err := dial(o, 300*time.Millisecond); !c.fresh(err) {
				t.Errorf("%s: a new connection meets %v", c.state, err)
			}
			if c.state == BlackHole {
				checkFrozen(t, o, http1)
			} else if n := o.Connections(); n != 0 {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				if err := awaitNoConnections(ctx, o); err != nil {
					t.Errorf("%s: %v", c.state, err)
				}
				cancel()
			}
			if err := o.SetState(Serving); err != nil {
				t.Fatal(err)
			}
			if err := dial(o, time.Second); err != nil {
				t.Errorf("serving again after %s: %v", c.state, err)
			}
		}
	}
}

// checkFrozen sends a request on an open connection: no answer, until the origin serves again.
func checkFrozen(t *testing.T, o *Origin, c *http.Client) {
	t.Helper()
	before := o.Total()
	answered := make(chan error, 1)
	go func() {
		resp, err := c.Do(request(t, o, "GET", "/", "", ""))
		if err == nil {
			err = resp.Body.Close()
		}
		answered <- err
	}()
	timer := time.NewTimer(200 * time.Millisecond)
	defer timer.Stop()
	select {
	case err := <-answered:
		t.Errorf("a frozen origin answered: %v", err)
	case <-timer.C:
	}
	if o.Total() != before {
		t.Error("a frozen origin logged a request")
	}
	if err := o.SetState(Serving); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Errorf("thawed: %v", err)
	}
}

func awaitNoConnections(ctx context.Context, o *Origin) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for o.Connections() > 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d connections are open", o.Connections())
		case <-tick.C:
		}
	}
	return nil
}

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

// TestCloseEndsWaits: an origin that was asked to wait for minutes closes at once.
func TestCloseEndsWaits(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		o := start(t, Config{})
		ended := make(chan error, 1)
		go func() {
			resp, err := client(t, h2).Do(request(t, o, "GET", "/", "", "delay=4m"))
			if err == nil {
				err = resp.Body.Close()
			}
			ended <- err
		}()
		if err := o.AwaitTotal(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		o.Close()
		o.Close()
		if err := <-ended; err == nil {
			t.Errorf("h2=%v: an answer after the end", h2)
		}
		if err := o.SetState(Serving); err == nil {
			t.Error("a closed origin serves again")
		}
	}
}

func TestStartRefuses(t *testing.T) {
	taken := start(t, Config{})
	for _, c := range []Config{{}, {Name: "x", Address: "0.0.0.0:0"}, {Name: "x", Address: "192.0.2.1:80"}, {Name: "x", Address: "nonsense"}} {
		if o, err := Start(c); err == nil {
			o.Close()
			t.Errorf("started %+v", c)
		}
	}
	if taken.Host() == "" || taken.Port() == 0 || taken.Name() != "ecs" {
		t.Errorf("%s %d %s", taken.Host(), taken.Port(), taken.Name())
	}
}

// BenchmarkHTTP1 is one connection, one request after another: what the origin costs, its client included.
func BenchmarkHTTP1(b *testing.B) {
	o, err := Start(Config{Name: "ecs", Plain: true, Keep: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer o.Close()
	c, err := net.Dial("tcp4", o.Addr())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	req, answer := []byte("GET /x HTTP/1.1\r\nHost: orders.test\r\nuser-agent: b\r\nx-request-id: 1\r\n\r\n"), make([]byte, 4096)
	for b.Loop() {
		if _, err := c.Write(req); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Read(answer); err != nil {
			b.Fatal(err)
		}
	}
}
