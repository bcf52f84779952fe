package semantics

import "strings"

// odd is a request that is out of the ordinary, or one whose answer is.
type odd struct {
	name   string   // its row in docs/http.md
	send   []string // bytes; each but the first is sent when the one before is answered
	answer []string // bytes of the origin, in pieces; each but the first is sent when the client has the one before
	count  int      // answers to each sending; 0: one
	tunnel bool     // after the answer, bytes go both ways
}

const fine = "HTTP/1.1 200 Fine Thanks\r\nServer: app/1\r\nDate: today\r\nContent-Length: 2\r\n\r\nok"

// head makes the head of a request of its lines.
func head(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

// get is a request with more headers.
func get(more ...string) string {
	return head(append([]string{"GET / HTTP/1.1", "Host: odd.test"}, more...)...)
}

// to is a request with that first line.
func to(start string, more ...string) string {
	return head(append([]string{start, "Host: odd.test"}, more...)...)
}

// answered makes an answer with that status, headers and body.
func answered(status, body string, headers ...string) []string {
	return []string{head(append([]string{"HTTP/1.1 " + status, "Server: app/1", "Date: today"}, headers...)...) + body}
}

func one(name, send string) odd { return odd{name: name, send: []string{send}} }

// oddRequests are those that are odd themselves.
func oddRequests() []odd {
	many := func(n int) []string {
		return strings.Split(strings.TrimSuffix(strings.Repeat("X-Many: 1\n", n), "\n"), "\n")
	}
	return []odd{
		one("plain GET", get()),
		one("unknown method", to("FOO / HTTP/1.1")),
		one("method in lower case", to("get / HTTP/1.1")),
		one("PROPFIND", to("PROPFIND / HTTP/1.1")),
		one("PURGE", to("PURGE / HTTP/1.1")),
		one("PATCH with a body", to("PATCH / HTTP/1.1", "Content-Length: 3")+"abc"),
		one("DELETE without a body", to("DELETE / HTTP/1.1")),
		one("DELETE with a body", to("DELETE / HTTP/1.1", "Content-Length: 3")+"abc"),
		one("GET with a body", get("Content-Length: 3")+"abc"),
		one("POST without a length", to("POST / HTTP/1.1")),
		one("POST with length 0", to("POST / HTTP/1.1", "Content-Length: 0")),
		one("POST of 1 MB", to("POST / HTTP/1.1", "Content-Length: 1000000")+strings.Repeat("b", 1_000_000)),
		one("POST in chunks", to("POST / HTTP/1.1", "Transfer-Encoding: chunked")+"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
		one("POST in chunks with trailers", to("POST / HTTP/1.1", "Transfer-Encoding: chunked", "Trailer: X-Sum")+"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"),
		one("chunk extensions", to("POST / HTTP/1.1", "Transfer-Encoding: chunked")+"3;ext=1\r\nabc\r\n0\r\n\r\n"),
		one("both lengths", to("POST / HTTP/1.1", "Content-Length: 3", "Transfer-Encoding: chunked")+"3\r\nabc\r\n0\r\n\r\n"),
		one("two different lengths", to("POST / HTTP/1.1", "Content-Length: 3", "Content-Length: 4")+"abcd"),
		one("another transfer coding", to("POST / HTTP/1.1", "Transfer-Encoding: gzip, chunked")+"3\r\nabc\r\n0\r\n\r\n"),
		one("HEAD", to("HEAD / HTTP/1.1")),
		one("OPTIONS", to("OPTIONS /x HTTP/1.1")),
		one("OPTIONS *", to("OPTIONS * HTTP/1.1")),
		one("TRACE", to("TRACE / HTTP/1.1")),
		one("CONNECT", head("CONNECT odd.test:443 HTTP/1.1", "Host: odd.test:443")),

		one("names of headers in odd case", get("X-MiXed-CASE: 1", "content-TYPE: a/b", "lower: 1", "UPPER: 1")),
		one("names with underscores and signs", get("under_score: 1", "X!#$%&'*+.^~: 1")),
		one("repeated headers", get("X-Dup: a", "X-Other: 1", "X-Dup: b", "x-dup: c")),
		one("repeated Accept, Via and Authorization", get("Accept: a/b", "Accept: c/d", "Via: 1.1 a", "Via: 1.1 b", "Authorization: Basic 1", "Authorization: Basic 2")),
		one("repeated cookies", get("Cookie: a=1", "Cookie: b=2; c=\"3\"", "Cookie: a=4")),
		one("empty value", get("X-Empty:", "X-Spaces:    ")),
		one("spaces around a value", get("X-Spaced: \t a \t b  ")),
		one("folded value", get("X-Folded: a\r\n  b", "X-After: 1")),
		one("value in UTF-8", get("X-Name: Grüße 你好")),
		one("value in Latin-1", get("X-Name: Gr\xfc\xdfe")),
		one("control character in a value", get("X-Bell: a\x07b")),
		one("space before the colon", get("X-Space : 1")),
		one("name without a colon", get("X-Nothing")),
		one("header of 60 kB", get("X-Long: "+strings.Repeat("v", 60_000))),
		one("header of 100 kB", get("X-Long: "+strings.Repeat("v", 100_000))),
		one("300 headers", get(many(300)...)),
		one("1,100 headers", get(many(1_100)...)),
		one("empty line before the request", "\r\n"+get()),
		one("lines that end in LF", strings.ReplaceAll(get("X-A: 1"), "\r\n", "\n")),

		one("odd path", to("GET /a//b/./../c%2Fd%5C/%41;x=1,y/~!$&'()*+@: HTTP/1.1")),
		one("path that begins with //", to("GET //odd.test//x HTTP/1.1")),
		one("path of dots", to("GET /../../etc/passwd HTTP/1.1")),
		one("signs that should be encoded", to(`GET /{a}[b]|^"<>\ HTTP/1.1`)),
		one("bytes outside ASCII in the path", to("GET /Gr\xc3\xbc\xc3\x9fe HTTP/1.1")),
		one("bad escapes", to("GET /%zz?q=%&r=%4 HTTP/1.1")),
		one("odd query", to("GET /?a=1&a=2&&=&b=?/../;c HTTP/1.1")),
		one("empty query", to("GET /x? HTTP/1.1")),
		one("query without a path", to("GET ?x HTTP/1.1")),
		one("fragment", to("GET /x#frag HTTP/1.1")),
		one("URL of 60 kB", to("GET /"+strings.Repeat("u", 60_000)+" HTTP/1.1")),
		one("absolute URL", to("GET http://odd.test/abs?x HTTP/1.1")),
		one("absolute URL of another host", to("GET http://other.test:8080/abs HTTP/1.1")),
		one("absolute https URL", to("GET https://odd.test/abs HTTP/1.1")),

		one("host with port, capitals and a dot", head("GET / HTTP/1.1", "Host: ODD.test.:8080")),
		one("host that is an IPv6 address", head("GET / HTTP/1.1", "Host: [::1]:80")),
		one("host with an underscore", head("GET / HTTP/1.1", "Host: my_app.odd.test")),
		one("HTTP/1.1 without a host", head("GET / HTTP/1.1")),
		one("empty host", head("GET / HTTP/1.1", "Host:")),
		one("two hosts", head("GET / HTTP/1.1", "Host: odd.test", "Host: other.test")),
		one("host after other headers", head("GET / HTTP/1.1", "X-A: 1", "Host: odd.test")),
		one("HTTP/1.0", head("GET / HTTP/1.0", "Host: odd.test")),
		one("HTTP/1.0 without a host", head("GET / HTTP/1.0")),
		{name: "HTTP/1.0 with keep-alive, twice", send: []string{head("GET / HTTP/1.0", "Host: odd.test", "Connection: keep-alive"), head("GET /2 HTTP/1.0", "Host: odd.test", "Connection: keep-alive")}},
		one("HTTP/1.2", to("GET / HTTP/1.2")),
		one("HTTP/0.9", "GET /\r\n\r\n"),

		one("Connection: close", get("Connection: close")),
		{name: "keep-alive, twice", send: []string{get("Connection: keep-alive", "Keep-Alive: timeout=5"), get("X-Second: 1")}},
		{name: "two in a row without waiting", send: []string{get("X-First: 1") + get("X-Second: 1")}, count: 2},
		one("headers that Connection names", get("Connection: X-Hop", "X-Hop: 1", "Proxy-Connection: close", "Proxy-Authorization: Basic 1")),
		one("TE: trailers", get("TE: trailers", "Connection: TE")),
		one("TE: deflate", get("TE: trailers, deflate;q=0.5")),
		one("Upgrade: h2c", get("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")),
		one("Upgrade: TLS", get("Connection: Upgrade", "Upgrade: TLS/1.2")),
		one("another upgrade", get("Connection: Upgrade", "Upgrade: foo")),
		{
			name: "WebSocket", send: []string{get("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13")}, tunnel: true,
			answer: []string{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: y\r\n\r\n"},
		},
		{name: "Expect: 100-continue", send: []string{to("POST / HTTP/1.1", "Expect: 100-continue", "Content-Length: 3"), "abc"}},
		one("another expectation", get("Expect: wonders")),

		one("X-Forwarded-* of the client's own", get("X-Forwarded-For: 1.2.3.4, 5.6.7.8", "X-Forwarded-Proto: https", "X-Forwarded-Port: 443", "X-Forwarded-Host: h.test")),
		one("headers of proxies and of tracing", get("Forwarded: for=1.2.3.4", "X-Real-IP: 1.2.3.4", "X-Request-Id: mine", "X-Amzn-Trace-Id: Root=1", "traceparent: 00-1-2-00", "X-B3-TraceId: 1", "X-Forwarded-Client-Cert: c", "X-Shadow: 1")),
		one("headers that steer Envoy", get("X-Envoy-Upstream-Rq-Timeout-Ms: 1", "x-envoy-max-retries: 9", "X-Envoy-Internal: true", "X-Envoy-External-Address: 9.9.9.9", "X-Envoy-Original-Path: /z", "X-Envoy-Decorator-Operation: z", "X-Envoy-Anything: 1")),
		one("headers of ours", get("X-CF-Key: forged", "x-cf-anything: 1", "X-CFX: stays")),
		one("Range, conditions and codings", get("Range: bytes=0-1", "If-None-Match: \"a\", \"b\"", "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT", "Accept-Encoding: gzip, br", "Accept-Language: de;q=0.5", "Origin: null", "Referer: /x")),
	}
}
