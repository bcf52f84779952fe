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
	"testing"
	"time"
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
