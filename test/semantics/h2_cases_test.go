package semantics

import (
	"fmt"
	"strings"

	"golang.org/x/net/http2"
)

// odd2 is a request over HTTP/2 that is out of the ordinary, or one whose answer is.
type odd2 struct {
	name   string // its row in docs/http.md
	send   []step
	answer []step // of an origin of HTTP/2; nil: an ordinary one
}

// get2 are the fields of a request, with more.
func get2(more ...string) [][2]string { return to2("GET", "/", more...) }

func to2(method, path string, more ...string) [][2]string {
	return with2([][2]string{{":method", method}, {":scheme", "http"}, {":authority", "odd.test"}, {":path", path}}, more...)
}

// at2 are the fields of a request to another authority; none if it is empty.
func at2(authority string, more ...string) [][2]string {
	out := [][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}}
	if authority != "" {
		out = append(out, [2]string{":authority", authority})
	}
	return with2(out, more...)
}

func one2(name string, fields [][2]string) odd2 {
	return odd2{name: name, send: []step{head2(true, fields...)}}
}

// post2 is a request with a body and perhaps trailers.
func post2(name, body string, trailers [][2]string, fields ...string) odd2 {
	o := odd2{name: name, send: []step{head2(false, to2("POST", "/", fields...)...), body2(body, trailers == nil)}}
	if trailers != nil {
		o.send = append(o.send, head2(true, trailers...))
	}
	return o
}

func many2(n int) (out []string) {
	for range n {
		out = append(out, "x-many", "1")
	}
	return out
}

// oddRequests2 are those that are odd themselves.
func oddRequests2() []odd2 {
	return append([]odd2{
		one2("plain GET", get2()),
		one2("authority with a port", at2("odd.test:8080")),
		one2("authority with capitals and a dot", at2("ODD.Test.")),
		one2("authority that is an IPv6 address", at2("[::1]:80")),
		one2("authority with a user", at2("user@odd.test")),
		one2("host in place of the authority", at2("", "host", "odd.test")),
		one2("host beside the authority", get2("host", "odd.test")),
		one2("host other than the authority", get2("host", "other.test")),
		one2("neither authority nor host", at2("")),
		one2("empty authority", [][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", ""}}),

		one2("scheme https", [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "odd.test"}, {":path", "/"}}),
		one2("no scheme", [][2]string{{":method", "GET"}, {":authority", "odd.test"}, {":path", "/"}}),
		one2("no method", [][2]string{{":scheme", "http"}, {":authority", "odd.test"}, {":path", "/"}}),
		one2("no path", [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "odd.test"}}),
		one2("empty path", to2("GET", "")),
		one2("two paths", get2(":path", "/2")),
		one2("unknown pseudo-header", get2(":odd", "1")),
		one2("pseudo-header after others", [][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {"x-a", "1"}, {":authority", "odd.test"}}),
		one2("unknown method", to2("FOO", "/")),
		one2("method in lower case", to2("get", "/")),
		one2("HEAD", to2("HEAD", "/")),
		one2("TRACE", to2("TRACE", "/")),
		one2("OPTIONS *", to2("OPTIONS", "*")),
		one2("CONNECT", [][2]string{{":method", "CONNECT"}, {":authority", "odd.test:443"}}),
		one2("WebSocket", with2([][2]string{{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "http"}, {":authority", "odd.test"}, {":path", "/"}}, "sec-websocket-version", "13")),

		one2("odd path", to2("GET", "/a//b/./../c%2Fd%5C/%41;x=1,y/~!$&'()*+@:")),
		one2("path that begins with //", to2("GET", "//odd.test//x")),
		one2("path without a slash", to2("GET", "x")),
		one2("absolute URL as the path", to2("GET", "http://odd.test/x")),
		one2("signs that should be encoded", to2("GET", `/{a}[b]|^"<>\`)),
		one2("space in the path", to2("GET", "/a b")),
		one2("bytes outside ASCII in the path", to2("GET", "/Gr\xc3\xbc\xc3\x9fe")),
		one2("odd query", to2("GET", "/?a=1&a=2&&=&b=?/../;c")),
		one2("fragment", to2("GET", "/x#frag")),
		one2("path of 60 kB", to2("GET", "/"+strings.Repeat("u", 60_000))),
	}, oddHeaders2()...)
}

// oddHeaders2 are those with odd headers or bodies.
func oddHeaders2() []odd2 {
	return []odd2{
		one2("name in capitals", get2("X-Upper", "1")),
		one2("name with a space", get2("x space", "1")),
		one2("name with underscores and signs", get2("under_score", "1", "x!#$%&'*+.^~", "1")),
		one2("connection", get2("connection", "keep-alive")),
		one2("keep-alive", get2("keep-alive", "timeout=5")),
		one2("proxy-connection", get2("proxy-connection", "keep-alive")),
		one2("transfer-encoding", get2("transfer-encoding", "chunked")),
		one2("upgrade", get2("upgrade", "websocket")),
		one2("te: trailers", get2("te", "trailers")),
		one2("te: gzip", get2("te", "gzip")),
		one2("cookies in several headers", get2("cookie", "a=1", "cookie", "b=2", "x-other", "1", "cookie", "c=3; d=4")),
		one2("repeated headers", get2("x-dup", "a", "x-other", "1", "x-dup", "b", "accept", "a/b", "accept", "c/d")),
		one2("empty value", get2("x-empty", "")),
		one2("spaces around a value", get2("x-spaced", " a  b\t")),
		one2("value in UTF-8", get2("x-name", "Grüße 你好")),
		one2("value in Latin-1", get2("x-name", "Gr\xfc\xdfe")),
		one2("line end in a value", get2("x-inject", "a\r\nx-injected: 1")),
		one2("NUL in a value", get2("x-nul", "a\x00b")),
		one2("header of 60 kB", get2("x-long", strings.Repeat("v", 60_000))),
		one2("header of 100 kB", get2("x-long", strings.Repeat("v", 100_000))),
		one2("300 headers", get2(many2(300)...)),
		one2("1,100 headers", get2(many2(1_100)...)),
		{name: "headers in pieces of 10 bytes", send: []step{pieces2(10, get2("x-long", strings.Repeat("v", 200))...)}},
		one2("headers of ours", get2("x-cf-key", "forged", "x-cf-anything", "1", "x-cfx", "stays")),
		one2("headers that steer Envoy", get2("x-envoy-upstream-rq-timeout-ms", "1", "x-envoy-max-retries", "9", "x-envoy-internal", "true", "x-envoy-original-path", "/z", "x-envoy-anything", "1")),
		one2("x-forwarded-* of the client's own", get2("x-forwarded-for", "1.2.3.4", "x-forwarded-proto", "https", "x-forwarded-port", "443", "x-forwarded-host", "h.test")),
		one2("expect: 100-continue", get2("expect", "100-continue")),

		one2("POST without a body", to2("POST", "/")),
		one2("POST with length 0", to2("POST", "/", "content-length", "0")),
		post2("POST with an empty body", "", nil),
		post2("POST with a body and no length", "abc", nil),
		post2("POST with a length", "abc", nil, "content-length", "3"),
		post2("length larger than the body", "abc", nil, "content-length", "5"),
		post2("length smaller than the body", "abc", nil, "content-length", "2"),
		post2("two lengths", "abc", nil, "content-length", "3", "content-length", "3"),
		post2("trailers", "abc", [][2]string{{"x-sum", "1"}}),
		post2("pseudo-header in trailers", "abc", [][2]string{{":path", "/2"}}),
		{name: "GET with a body", send: []step{head2(false, get2("content-length", "3")...), body2("abc", true)}},
		{name: "unknown frame", send: []step{
			func(p *peer, stream uint32) error { return p.framer.WriteRawFrame(0x99, 0, 0, []byte("hello")) },
			head2(true, get2()...),
		}},
		{name: "PRIORITY", send: []step{
			func(p *peer, stream uint32) error {
				return p.framer.WritePriority(stream, http2.PriorityParam{StreamDep: 3, Weight: 9})
			},
			head2(true, get2()...),
		}},
	}
}

// oddAnswers2 are requests whose answer is odd.
func oddAnswers2() []odd2 {
	answer := func(name string, steps ...step) odd2 {
		return odd2{name: name, send: []step{head2(true, get2()...)}, answer: steps}
	}
	empty := func(name, code string, more ...string) odd2 {
		return answer(name, head2(true, status2(code, more...)...))
	}
	headed := func(name string, more ...string) odd2 {
		o := empty(name, "200", more...)
		o.send = []step{head2(true, to2("HEAD", "/")...)}
		return o
	}
	return []odd2{
		answer("answer without date and server", head2(true, [2]string{":status", "200"})),
		empty("cookies and repeated headers in an answer", "200", "set-cookie", "a=1", "x-dup", "1", "set-cookie", "b=2", "x-dup", "2", "vary", "a", "vary", "b"),
		empty("name in capitals in an answer", "200", "X-Upper", "1"),
		empty("connection in an answer", "200", "connection", "close"),
		empty("header of 50 kB in an answer", "200", "x-long", strings.Repeat("v", 50_000)),
		empty("header of 100 kB in an answer", "200", "x-long", strings.Repeat("v", 100_000)),
		empty("300 headers in an answer", "200", many2(300)...),
		empty("headers of Envoy's in an answer", "200", "x-envoy-upstream-service-time", "1", "x-envoy-anything", "1", "x-cf-key", "1"),
		empty("204", "204"),
		empty("204 with a length", "204", "content-length", "0"),
		empty("304 with a length", "304", "etag", "\"a\"", "content-length", "1000"),
		empty("unknown status", "299"),
		empty("status 999", "999"),
		empty("status that is no number", "abc"),
		answer("no status", head2(true, [2]string{"server", "app/1"})),
		headed("HEAD with the length of the body", "content-length", "1000"),
		headed("HEAD without a length"),
		answer("empty body", head2(false, status2("200")...), body2("", true)),
		answer("body without a length", head2(false, status2("200")...), body2("ok", true)),
		answer("length larger than the body of an answer", head2(false, status2("200", "content-length", "5")...), body2("ok", true)),
		answer("trailers of an answer", head2(false, status2("200", "content-type", "application/grpc")...), body2("ok", false), head2(true, [2]string{"grpc-status", "0"}, [2]string{"x-sum", "1"})),
		empty("trailers and nothing before them", "200", "content-type", "application/grpc", "grpc-status", "12"),
		answer("103 Early Hints", append([]step{head2(false, [2]string{":status", "103"}, [2]string{"link", "</x>"})}, fine2()...)...),
		answer("100 Continue that nobody asked for", append([]step{head2(false, [2]string{":status", "100"})}, fine2()...)...),
		answer("reset before the answer", reset2(http2.ErrCodeInternal)),
		answer("refused stream", reset2(http2.ErrCodeRefusedStream)),
		answer("reset in the body", head2(false, status2("200")...), body2("ok", false), reset2(http2.ErrCodeInternal)),
		answer("end of the connection", func(p *peer, stream uint32) error {
			return fmt.Errorf("ended: %w", p.framer.WriteGoAway(stream, http2.ErrCodeInternal, nil))
		}),
	}
}
