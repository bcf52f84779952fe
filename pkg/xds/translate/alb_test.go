package translate_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
)

// wireLab is a lab whose primary is a wire.
func wireLab(t *testing.T, version, more string) (*lab, *wire) {
	t.Helper()
	w := startWire(t)
	l := newLab(t, version, twoOrigins+more)
	l.setEndpoints("orders", "ecs", w.address)
	l.ads.AwaitAcked(t)
	l.awaitHost("orders/ecs", w.address.String())
	return l, w
}

// head makes an HTTP/1.1 request that closes, of lines without their ends.
func head(lines ...string) string {
	return strings.Join(append(lines, "Connection: close"), "\r\n") + "\r\n\r\n"
}

const added = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: PORT\r\n"

var forwardedFor = regexp.MustCompile(`(?:\d+\.){3}\d+\r\n`)

// TestRequestsPassAsTheyAre sends odd requests and compares, byte by byte, what the origin sees. The address that Envoy gives for a
// client on loopback is the machine's own.
func TestRequestsPassAsTheyAre(t *testing.T) {
	long := strings.Repeat("a", 60_000)
	cases := []struct{ name, send, saw string }{
		{"plain", head("GET / HTTP/1.1", "Host: orders.test"), "GET / HTTP/1.1\r\nHost: orders.test\r\n" + added + "\r\n"},
		{"path as it is", head("GET /a//b/../c%2Fd/%41;x=1?x=%41&y=/../z HTTP/1.1", "Host: orders.test"), "GET /a//b/../c%2Fd/%41;x=1?x=%41&y=/../z HTTP/1.1\r\nHost: orders.test\r\n" + added + "\r\n"},
		{"host as it is", head("GET / HTTP/1.1", "Host: ORDERS.test.:8080"), "GET / HTTP/1.1\r\nHost: ORDERS.test.:8080\r\n" + added + "\r\n"},
		{
			"header names and repeated headers", head("GET / HTTP/1.1", "Host: orders.test", "X-MiXed-Case: 1", "under_score: 2", "X-Dup: a", "X-Dup: b", "Cookie: a=1", "Cookie: b=2", "X-Empty:"),
			"GET / HTTP/1.1\r\nHost: orders.test\r\nX-MiXed-Case: 1\r\nunder_score: 2\r\nX-Dup: a\r\nX-Dup: b\r\nCookie: a=1\r\nCookie: b=2\r\nX-Empty: \r\n" + added + "\r\n",
		},
		{
			"headers of proxies before", head("GET / HTTP/1.1", "Host: orders.test", "X-Request-Id: mine", "X-Amzn-Trace-Id: t", "Via: v", "Forwarded: for=1", "X-Forwarded-Host: h", "X-Forwarded-Client-Cert: c", "X-Shadow: 1"),
			"GET / HTTP/1.1\r\nHost: orders.test\r\nX-Request-Id: mine\r\nX-Amzn-Trace-Id: t\r\nVia: v\r\nForwarded: for=1\r\nX-Forwarded-Host: h\r\nX-Forwarded-Client-Cert: c\r\nX-Shadow: 1\r\n" + added + "\r\n",
		},
		{
			"forged client", head("GET / HTTP/1.1", "Host: orders.test", "X-Forwarded-For: 1.2.3.4, 5.6.7.8", "X-Forwarded-Proto: https"),
			"GET / HTTP/1.1\r\nHost: orders.test\r\nX-Forwarded-For: 1.2.3.4, 5.6.7.8,192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: PORT\r\n\r\n",
		},
		{
			"forged headers of ours and of Envoy's", head("GET / HTTP/1.1", "Host: orders.test", "X-CF-Key: 1", "x-cf-anything: 1", "X-Envoy-Upstream-Rq-Timeout-Ms: 1", "X-Envoy-Internal: true", "X-Envoy-Retry-On: 5xx", "X-Envoy-External-Address: 9.9.9.9", "X-Envoy-Force-Trace: 1", "X-Envoy-Original-Path: /zzz", "X-Envoy-Original-Host: h", "X-Envoy-Expected-Rq-Timeout-Ms: 1"),
			"GET / HTTP/1.1\r\nHost: orders.test\r\n" + added + "\r\n",
		},
		{"hop by hop", head("GET / HTTP/1.1", "Host: orders.test", "Keep-Alive: timeout=5", "Proxy-Connection: close", "TE: trailers, deflate"), "GET / HTTP/1.1\r\nHost: orders.test\r\nTE: trailers\r\n" + added + "\r\n"},
		{"body", head("POST / HTTP/1.1", "Host: orders.test", "Content-Length: 3") + "abc", "POST / HTTP/1.1\r\nHost: orders.test\r\nContent-Length: 3\r\n" + added + "\r\nabc"},
		{"HTTP/1.0", "GET / HTTP/1.0\r\nHost: orders.test\r\n\r\n", "GET / HTTP/1.1\r\nHost: orders.test\r\n" + added + "\r\n"},
		{"absolute URL", head("GET http://orders.test/abs?x HTTP/1.1", "Host: other.test"), "GET /abs?x HTTP/1.1\r\nHost: orders.test\r\n" + added + "\r\n"},
		{"offer of h2c", "GET / HTTP/1.1\r\nHost: orders.test\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", "GET / HTTP/1.1\r\nHost: orders.test\r\n" + added + "\r\n"},
		{"offer of TLS", "GET / HTTP/1.1\r\nHost: orders.test\r\nConnection: Upgrade, close\r\nUpgrade: TLS/1.2\r\n\r\n", "GET / HTTP/1.1\r\nHost: orders.test\r\n" + added + "\r\n"},
		{"long path", head("GET /"+long+" HTTP/1.1", "Host: orders.test"), "GET /" + long + " HTTP/1.1\r\nHost: orders.test\r\n" + added + "\r\n"},
		{"300 headers", head("GET / HTTP/1.1", "Host: orders.test", strings.TrimSuffix(strings.Repeat("X-Many: 1\r\n", 300), "\r\n")), "GET / HTTP/1.1\r\nHost: orders.test\r\n" + strings.Repeat("X-Many: 1\r\n", 300) + added + "\r\n"},
	}
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l, w := wireLab(t, version, "")
		_, port, err := net.SplitHostPort(l.address)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			saw, got := w.ask(t, l.address, c.send)
			saw = forwardedFor.ReplaceAllString(saw, "192.0.2.1\r\n")
			if want := strings.ReplaceAll(c.saw, "PORT", port); saw != want {
				t.Errorf("%s: the origin saw\n%.2000q, want\n%.2000q", c.name, saw, want)
			}
			protocol := "HTTP/1.1"
			if c.name == "HTTP/1.0" {
				protocol = "HTTP/1.0"
			}
			if want := protocol + " 200 Fine Thanks\r\nServer: app/1\r\nX-CamelCase: v\r\nX-Envoy-Foo: kept\r\nDate: today\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"; got != want {
				t.Errorf("%s: the client got\n%.2000q, want\n%.2000q", c.name, got, want)
			}
		}
	})
}

// TestBehindALoadBalancer looks at what it says about the client: with one trusted hop it is handed on.
func TestBehindALoadBalancer(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l, w := wireLab(t, version, "---\n{apiVersion: crossfade/v1, kind: Fleet, name: default, trustedHops: 1}\n")
		saw, _ := w.ask(t, l.address, head("GET / HTTP/1.1", "Host: orders.test", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", "X-Forwarded-Port: 443", "X-Envoy-Max-Retries: 3"))
		saw = forwardedFor.ReplaceAllString(saw, "192.0.2.1\r\n")
		if want := "GET / HTTP/1.1\r\nHost: orders.test\r\nX-Forwarded-For: 203.0.113.9,192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\n\r\n"; saw != want {
			t.Errorf("the origin saw\n%q, want\n%q", saw, want)
		}
	})
}

// TestProxyProtocol takes the client's address from the PROXY header, and refuses connections without one.
func TestProxyProtocol(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l, w := wireLab(t, version, "---\n{apiVersion: crossfade/v1, kind: Fleet, name: default, proxyProtocol: true}\n")
		saw, _ := w.ask(t, l.address, "PROXY TCP4 203.0.113.9 10.0.0.1 5000 443\r\n"+head("GET / HTTP/1.1", "Host: orders.test"))
		if want := "GET / HTTP/1.1\r\nHost: orders.test\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: 443\r\n\r\n"; saw != want {
			t.Errorf("the origin saw\n%q, want\n%q", saw, want)
		}
		if saw, got := w.ask(t, l.address, head("GET / HTTP/1.1", "Host: orders.test")); saw != "" || got != "" {
			t.Errorf("without the header: the origin saw %q, the client got %q", saw, got)
		}
	})
}

// TestRefusedRequests are those that Envoy answers itself where an application might have answered something else.
func TestRefusedRequests(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l, w := wireLab(t, version, "")
		var asked sync.WaitGroup
		for name, c := range map[string]struct{ send, status, cause string }{
			"unknown method":    {head("FOO / HTTP/1.1", "Host: orders.test"), "400 Bad Request", "http1.codec_error"},
			"fragment":          {head("GET /x#frag HTTP/1.1", "Host: orders.test"), "400 Bad Request", "path_normalization_failed"},
			"OPTIONS *":         {head("OPTIONS * HTTP/1.1", "Host: orders.test"), "404 Not Found", "absolute_path_rejected"},
			"both lengths":      {head("POST / HTTP/1.1", "Host: orders.test", "Content-Length: 3", "Transfer-Encoding: chunked") + "0\r\n\r\n", "400 Bad Request", "http1.content_length_and_chunked_not_allowed"},
			"no host":           {head("GET / HTTP/1.1"), "400 Bad Request", "missing_host_header"},
			"HTTP/1.0, no host": {"GET / HTTP/1.0\r\n\r\n", "404 Not Found", "route_not_found"},
			"other upgrade":     {"GET / HTTP/1.1\r\nHost: orders.test\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n", "403 Forbidden", "upgrade_failed"},
			"too long":          {head("GET / HTTP/1.1", "Host: orders.test", "X: "+strings.Repeat("a", 100_000)), "431 Request Header Fields Too Large", "http1.headers_too_large"},
			"CONNECT":           {head("CONNECT orders.test:443 HTTP/1.1", "Host: orders.test"), "404 Not Found", "route_not_found"},
		} {
			asked.Go(func() { // Envoy closes such connections only a second later
				got := raw(t, l.address, c.send)
				if !strings.Contains(got, " "+c.status+"\r\n") || !strings.Contains(got, `"cause":"`+c.cause+`"`) {
					t.Errorf("%s: the client got %.500q; want %s, %s", name, got, c.status, c.cause)
				}
			})
		}
		asked.Wait()
		if w.saw != "" {
			t.Errorf("the origin saw %.200q", w.saw)
		}
	})
}

// TestWebSocket opens one and sends bytes both ways.
func TestWebSocket(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l, w := wireLab(t, version, "")
		w.mu.Lock()
		w.answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
		w.mu.Unlock()
		c, err := net.Dial("tcp", l.address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, "GET /chat HTTP/1.1\r\nHost: orders.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n")
		r := bufio.NewReader(c)
		status, err := r.ReadString('\n')
		if err != nil || status != "HTTP/1.1 101 Switching Protocols\r\n" {
			t.Fatalf("%q, %v", status, err)
		}
		for line := ""; line != "\r\n"; {
			if line, err = r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		for _, word := range []string{"hello\n", "again\n"} {
			fmt.Fprint(c, word)
			if echo, err := r.ReadString('\n'); err != nil || echo != word {
				t.Fatalf("echo of %q: %q, %v", word, echo, err)
			}
		}
	})
}

// TestEarlyEnd: an origin that answers before it has read the whole request is heard.
func TestEarlyEnd(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l, _ := wireLab(t, version, "")
		l.setEndpoints("orders", "ecs", l.origins["orders/ecs"].address)
		l.ads.AwaitAcked(t)
		l.awaitHost("orders/ecs", l.origins["orders/ecs"].address.String())
		resp := l.send(request{method: "POST", host: "orders.test", path: "/", body: io.LimitReader(zeros{}, 8<<20)})
		if resp.StatusCode != 200 || resp.origin() != "orders/ecs" {
			t.Errorf("%s from %q: %s", resp.Status, resp.origin(), resp.body)
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
