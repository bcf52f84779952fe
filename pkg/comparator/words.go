package comparator

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// runKey names a run as copies do: "MIRROR/RUN".
func runKey(mirror, run string) string { return mirror + "/" + run }

// isRunKey says whether s can be the name of a run, so that nothing else is remembered.
func isRunKey(s string) bool {
	mirror, run, ok := strings.Cut(s, "/")
	return ok && isWord(mirror) && isWord(run)
}

func isWord(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// parseSent reads seconds since 1970 with three digits behind the point.
func parseSent(s string) (time.Time, bool) {
	seconds, millis, ok := strings.Cut(s, ".")
	if !ok || len(seconds) == 0 || len(seconds) > 11 || len(millis) != 3 {
		return time.Time{}, false
	}
	n, ok1 := digits(seconds)
	m, ok2 := digits(millis)
	return time.Unix(n, m*int64(time.Millisecond)), ok1 && ok2
}

func digits(s string) (int64, bool) {
	n := int64(0)
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

// withoutLast removes the last element of a list in a header: the address that the proxy appended to its copy.
func withoutLast(values []string) []string {
	all := strings.Join(values, ",")
	at := strings.LastIndexByte(all, ',')
	if at < 0 {
		return nil
	}
	return []string{strings.TrimRight(all[:at], " \t")}
}

// decodable cuts accept-encoding down to what can be undone here. What accepts nothing else accepts what is not encoded.
func decodable(values []string) []string {
	if len(values) == 0 {
		return nil
	}
	var kept []string
	for item := range strings.SplitSeq(strings.Join(values, ","), ",") {
		coding, _, _ := strings.Cut(item, ";")
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip", "x-gzip", "deflate", "identity":
			kept = append(kept, strings.TrimSpace(item))
		case "*":
			kept = append(kept, "gzip")
		}
	}
	if len(kept) == 0 {
		return []string{"identity"}
	}
	return []string{strings.Join(kept, ", ")}
}

// oneHop are headers that are for one connection, or that would make the answer depend on what the client has already.
var oneHop = []string{
	"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Trailer", "Transfer-Encoding", "Upgrade", "Expect", "Http2-Settings", "Content-Length",
	"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range",
	"X-Request-Id", "Traceparent", "Tracestate", "Baggage", "B3", "X-Cloud-Trace-Context", "X-Amzn-Trace-Id",
}

// ownPrefixes begin headers between proxies, and of tracing.
var ownPrefixes = []string{"X-Cf-", "X-Envoy-", "X-B3-", "X-Ot-Span-", "X-Datadog-"}

// cleaned returns the headers of a copy as they are asked with: the same on all legs, without what belongs to the way of the copy. It
// changes h.
func cleaned(h http.Header, grpc bool) http.Header {
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = http.CanonicalHeaderKey(strings.TrimSpace(name)); name != "Te" {
				h.Del(name)
			}
		}
	}
	for _, name := range oneHop {
		delete(h, name)
	}
	delete(h, "Te")
	if grpc {
		h["Te"] = []string{"trailers"}
	}
	for name := range h {
		if slices.ContainsFunc(ownPrefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			delete(h, name)
		}
	}
	set(h, "X-Forwarded-For", withoutLast(h["X-Forwarded-For"]))
	set(h, "Accept-Encoding", decodable(h["Accept-Encoding"]))
	if h["User-Agent"] == nil {
		h["User-Agent"] = []string{""} // or the client would add one of its own
	}
	return h
}

// set sets a header in canonical form, or removes it.
func set(h http.Header, name string, values []string) {
	if len(values) == 0 {
		delete(h, name)
		return
	}
	h[name] = values
}
