package semantics

import "strings"

// oddAnswers are requests whose answer is odd.
func oddAnswers() []odd {
	answer := func(name string, pieces ...string) odd { return odd{name: name, send: []string{get()}, answer: pieces} }
	with := func(name, status, body string, headers ...string) odd {
		return answer(name, answered(status, body, headers...)...)
	}
	return []odd{
		answer("answer without Date and Server", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
		with("names of headers in odd case in an answer", "200 OK", "", "X-MiXed: 1", "lower: 1", "etag: \"a\"", "Content-Length: 0"),
		with("cookies and repeated headers in an answer", "200 OK", "", "Set-Cookie: a=1; Path=/", "X-Dup: 1", "Set-Cookie: b=2; Secure", "X-Dup: 2", "Vary: a", "Vary: b", "Content-Length: 0"),
		with("values outside ASCII in an answer", "200 OK", "", "X-Name: Grüße", "X-Latin: Gr\xfc\xdfe", "X-Empty:", "under_score: 1", "Content-Length: 0"),
		with("folded value in an answer", "200 OK", "", "X-Folded: a\r\n  b", "Content-Length: 0"),
		with("headers of Envoy's in an answer", "200 OK", "", "X-Envoy-Upstream-Service-Time: 1", "X-Envoy-Anything: 1", "X-CF-Key: 1", "Via: 1.1 app", "Alt-Svc: h3", "Content-Length: 0"),
		with("header of 50 kB in an answer", "200 OK", "", "X-Long: "+strings.Repeat("v", 50_000), "Content-Length: 0"),
		with("header of 100 kB in an answer", "200 OK", "", "X-Long: "+strings.Repeat("v", 100_000), "Content-Length: 0"),
		with("300 headers in an answer", "200 OK", "", strings.TrimSuffix(strings.Repeat("X-Many: 1\r\n", 300), "\r\n"), "Content-Length: 0"),

		with("201 with a location", "201 Created", "", "Location: http://odd.test:8080/x", "Content-Length: 0"),
		with("204", "204 No Content", ""),
		with("204 with a length", "204 No Content", "", "Content-Length: 0"),
		with("206", "206 Partial Content", "ok", "Content-Range: bytes 0-1/9", "Content-Length: 2"),
		with("302", "302 Found", "", "Location: //elsewhere.test/", "Content-Length: 0"),
		with("304 with a length", "304 Not Modified", "", "ETag: \"a\"", "Content-Length: 1000"),
		with("404 of the application", "404 Not Found", "not here", "Content-Type: text/plain", "Content-Length: 8"),
		with("429 with Retry-After", "429 Too Many Requests", "", "Retry-After: 9", "Content-Length: 0"),
		with("500 of the application", "500 Internal Server Error", "oops", "Content-Length: 4"),
		with("503 of the application", "503 Service Unavailable", "busy", "Content-Length: 4"),
		with("504 of the application", "504 Gateway Timeout", "late", "Content-Length: 4"),
		with("unknown status", "299 Odd", "", "Content-Length: 0"),
		with("status without a reason", "200 ", "", "Content-Length: 0"),
		with("status 999", "999 Odd", "", "Content-Length: 0"),
		answer("answer that is no HTTP", "nonsense\r\n\r\n"),
		answer("answer cut off", "HTTP/1.1 200 OK\r\nServer: app/1\r\nDate: today\r\nContent-Length: 10\r\nConnection: close\r\n\r\nabc"),

		with("empty body", "200 OK", "", "Content-Length: 0"),
		with("gzipped body", "200 OK", "\x1f\x8b\x08\x00\x00", "Content-Encoding: gzip", "Content-Length: 5"),
		with("body in chunks", "200 OK", "3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
		with("trailers of an answer", "200 OK", "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n", "Transfer-Encoding: chunked", "Trailer: X-Sum"),
		with("body that ends with the connection", "200 OK", "until the end"),
		with("Connection: close in an answer", "200 OK", "ok", "Connection: close", "Content-Length: 2"),
		with("Keep-Alive in an answer", "200 OK", "ok", "Connection: keep-alive", "Keep-Alive: timeout=5", "Content-Length: 2"),
		answer("answer of HTTP/1.0", "HTTP/1.0 200 OK\r\nServer: app/1\r\nDate: today\r\nContent-Length: 2\r\n\r\nok"),
		{name: "HEAD with the length of the body", send: []string{to("HEAD / HTTP/1.1")}, answer: answered("200 OK", "", "Content-Length: 1000", "Content-Type: text/html")},
		{name: "HEAD of a body in chunks", send: []string{to("HEAD / HTTP/1.1")}, answer: answered("200 OK", "", "Transfer-Encoding: chunked")},
		{name: "chunks to a client of HTTP/1.0", send: []string{head("GET / HTTP/1.0", "Host: odd.test")}, answer: answered("200 OK", "3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked")},
		answer("103 Early Hints", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"+fine),
		answer("100 Continue that nobody asked for", "HTTP/1.1 100 Continue\r\n\r\n"+fine),
		answer(
			"server-sent events",
			"HTTP/1.1 200 OK\r\nServer: app/1\r\nDate: today\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\nd\r\ndata: first\n\n\r\n",
			"e\r\ndata: second\n\n\r\n", "0\r\n\r\n",
		),
	}
}
