package shadow

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/name"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/rule"
)

// leftOut are the headers that are not compared unless they are named: those of one hop, those that name a request or a server, and those
// that are compared in a way of their own.
var leftOut = headerSet(
	"connection", "keep-alive", "proxy-connection", "proxy-authenticate", "te", "trailer", "transfer-encoding", "upgrade", "alt-svc",
	"date", "age", "server", "via", "x-powered-by", "x-served-by", "x-cache", "x-timer", "nel", "report-to", "server-timing",
	"x-request-id", "x-correlation-id", "request-id", "traceparent", "tracestate", "x-amzn-trace-id", "x-amzn-requestid", "x-trace-id",
	"x-b3-traceid", "x-b3-spanid", "x-cloud-trace-context", "x-envoy-upstream-service-time", "x-envoy-attempt-count", "x-envoy-decorator-operation",
	"x-runtime", "x-response-time", "content-length", "content-type", "set-cookie", "grpc-status", "grpc-message", "grpc-encoding", "grpc-accept-encoding",
)

// lists are headers that list words whose order, case and spaces do not count.
var lists = headerSet("vary", "allow", "cache-control", "access-control-allow-methods", "access-control-allow-headers", "access-control-expose-headers")

// headerSet holds names as they come from HTTP/1.1 and HTTP/2, so that a look-up needs no copy.
func headerSet(names ...string) map[string]bool {
	out := map[string]bool{}
	for _, n := range names {
		out[n], out[canonical(n)] = true, true
	}
	return out
}

// canonical is the form of net/http.Header: a capital after each dash.
func canonical(name string) string {
	b := []byte(lower(name))
	for i, c := range b {
		if c >= 'a' && c <= 'z' && (i == 0 || b[i-1] == '-') {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

func lower(s string) string { return strings.ToLower(s) }

// get returns the values of a header, in whichever case its name is.
func get(h map[string][]string, name string) []string {
	if v, ok := h[name]; ok {
		return v
	}
	for n, v := range h {
		if len(n) == len(name) && strings.EqualFold(n, name) {
			return v
		}
	}
	return nil
}

// first returns the first value of a header.
func first(h map[string][]string, name string) string {
	if v := get(h, name); len(v) > 0 {
		return v[0]
	}
	return ""
}

func (c *Comparer) compareHeaders(a, b *Answer, v *rule.View) {
	begin := len(c.out)
	for n, values := range a.Headers {
		if c.compares(n) {
			c.header(n, values, get(b.Headers, n), v)
		}
	}
	for n, values := range b.Headers {
		if c.compares(n) && get(a.Headers, n) == nil {
			c.header(n, nil, values, v)
		}
	}
	c.contentType(a, b, v)
	c.cookies(a, b, v)
	slices.SortFunc(c.out[begin:], func(x, y Difference) int { return strings.Compare(x.Path, y.Path) })
}

// compares says whether a header is compared.
func (c *Comparer) compares(name string) bool {
	if c.headers != nil {
		return (c.headers[name] || c.headers[lower(name)]) && lower(name) != "content-type" && lower(name) != "set-cookie"
	}
	return !leftOut[name]
}

// header compares one header; nil values are those of a header that is not there.
func (c *Comparer) header(n string, a, b []string, v *rule.View) {
	if slices.Equal(a, b) {
		return
	}
	r := v.Header(lower(n))
	x, y := strings.Join(a, ", "), strings.Join(b, ", ")
	if ignores(r) || a != nil && b != nil && (r.Tolerates([]byte(x), []byte(y), true) || lists[n] && sameList(x, y)) {
		return
	}
	path := "header:" + shown(n)
	switch {
	case b == nil:
		c.add(KindHeaderMissing, path, c.headerShape(path, x), absent, demands(r))
	case a == nil:
		c.add(KindHeaderAdded, path, absent, c.headerShape(path, y), demands(r))
	default:
		c.add(KindHeaderChanged, path, c.headerShape(path, x), c.headerShape(path, y), demands(r))
	}
}

// absent is the shape of what is not there.
var absent = Shape{Type: "absent"}

// shown is the name of a header as it is shown.
func shown(n string) string {
	if n = lower(n); name.LikeString(n) {
		return n
	}
	return "{name}"
}

func (c *Comparer) headerShape(path, value string) Shape {
	s := Shape{Type: "string", Length: len(value)}
	if c.values[path] {
		s.Value = clip(value, MaxValue)
	} else {
		s.Hash = c.hashes.text([]byte(value))
	}
	return s
}

// sameList says that two lists have the same words.
func sameList(a, b string) bool {
	words := func(s string) []string {
		w := strings.Split(lower(s), ",")
		for i := range w {
			w[i] = strings.TrimSpace(w[i])
		}
		slices.Sort(w)
		return slices.Compact(w)
	}
	return slices.Equal(words(a), words(b))
}

// contentType compares types of content without regard to case and spaces.
func (c *Comparer) contentType(a, b *Answer, v *rule.View) {
	x, y := first(a.Headers, "Content-Type"), first(b.Headers, "Content-Type")
	if x == y || c.headers != nil && !c.headers["content-type"] {
		return
	}
	tidy := func(s string) string { return strings.ReplaceAll(strings.ReplaceAll(lower(s), " ", ""), `"`, "") }
	if r := v.Header("content-type"); tidy(x) != tidy(y) && !ignores(r) {
		c.add(KindContentType, "header:content-type", c.mediaShape(x), c.mediaShape(y), demands(r))
	}
}

// mediaShape shows a type of content if it is a common one.
func (c *Comparer) mediaShape(value string) Shape {
	if value == "" {
		return absent
	}
	s := c.headerShape("header:content-type", value)
	if m := mediaType(value); media[m] {
		s.Type = m
	}
	return s
}

// mediaType is a type of content without parameters.
func mediaType(value string) string {
	m, _, _ := strings.Cut(value, ";")
	return lower(strings.TrimSpace(m))
}

// cookies compares which cookies are set, and with which attributes. Values and times are not compared: they are new in each answer.
func (c *Comparer) cookies(a, b *Answer, v *rule.View) {
	x, y := get(a.Headers, "Set-Cookie"), get(b.Headers, "Set-Cookie")
	if len(x) == 0 && len(y) == 0 || c.headers != nil && !c.headers["set-cookie"] {
		return
	}
	p, q := cookieForms(x), cookieForms(y)
	if r := v.Header("set-cookie"); !slices.Equal(p, q) && !ignores(r) {
		s, t := strings.Join(p, "\n"), strings.Join(q, "\n")
		c.add(KindCookie, "header:set-cookie", Shape{Type: "cookies", Length: len(p), Hash: c.hashes.text([]byte(s))}, Shape{Type: "cookies", Length: len(q), Hash: c.hashes.text([]byte(t))}, demands(r))
	}
}

// cookieForms are cookies without their values, in order.
func cookieForms(cookies []string) []string {
	out := make([]string, 0, len(cookies))
	for _, cookie := range cookies {
		parts := strings.Split(cookie, ";")
		n, _, _ := strings.Cut(parts[0], "=")
		var attributes []string
		for _, attribute := range parts[1:] {
			key, value, _ := strings.Cut(lower(strings.TrimSpace(attribute)), "=")
			if key == "expires" || key == "max-age" {
				value = ""
			}
			attributes = append(attributes, key+"="+value)
		}
		slices.Sort(attributes)
		out = append(out, strings.TrimSpace(n)+";"+strings.Join(attributes, ";"))
	}
	slices.Sort(out)
	return out
}

// compareTrailers compares trailers, and the status of gRPC, which is a header if there is nothing else.
func (c *Comparer) compareTrailers(a, b *Answer, v *rule.View) {
	x, y := grpcStatus(a), grpcStatus(b)
	if x != y && !ignores(v.Trailer("grpc-status")) {
		c.add(KindGRPCStatus, "trailer:grpc-status", c.codeShape(x), c.codeShape(y), demands(v.Trailer("grpc-status")))
	}
	begin := len(c.out)
	for n, values := range a.Trailers {
		c.trailer(n, values, get(b.Trailers, n), v)
	}
	for n, values := range b.Trailers {
		if get(a.Trailers, n) == nil {
			c.trailer(n, nil, values, v)
		}
	}
	slices.SortFunc(c.out[begin:], func(x, y Difference) int { return strings.Compare(x.Path, y.Path) })
}

func (c *Comparer) trailer(n string, a, b []string, v *rule.View) {
	low := lower(n)
	r := v.Trailer(low)
	if slices.Equal(a, b) || low == "grpc-status" || ignores(r) {
		return
	}
	x, y := strings.Join(a, ", "), strings.Join(b, ", ")
	if a != nil && b != nil && r.Tolerates([]byte(x), []byte(y), true) {
		return
	}
	p, q := absent, absent
	path := "trailer:" + shown(n)
	if a != nil {
		p = c.headerShape(path, x)
	}
	if b != nil {
		q = c.headerShape(path, y)
	}
	c.add(KindTrailer, path, p, q, demands(r))
}

func grpcStatus(a *Answer) string {
	if s := first(a.Trailers, "Grpc-Status"); s != "" {
		return s
	}
	return first(a.Headers, "Grpc-Status")
}

// codeShape shows a status of gRPC if it is one.
func (c *Comparer) codeShape(code string) Shape {
	if n, err := strconv.Atoi(code); err == nil && n >= 0 && n <= 16 {
		return Shape{Type: "code", Value: strconv.Itoa(n)}
	}
	if code == "" {
		return absent
	}
	return c.headerShape("trailer:grpc-status", code)
}

// statusText shows a status of HTTP.
func statusText(status int) string {
	if status < 100 || status > 999 {
		return "invalid"
	}
	return strconv.Itoa(status)
}

// clip shortens a value.
func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n]
		for len(s) > 0 && !utf8.RuneStart(s[len(s)-1]) {
			s = s[:len(s)-1]
		}
		s += "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
