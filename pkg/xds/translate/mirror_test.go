package translate_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// mirrored is a mirror of twoOrigins that copies everything that can be.
const mirrored = `
---
apiVersion: crossfade/v1
kind: Mirror
name: try
service: orders
candidate: eks
share: 100%
methods: [GET, HEAD, OPTIONS, DELETE, POST]
allowWrites: true
grpcMethods: [shop.Orders/Get]
run: {id: r1, started: "2026-01-02T03:04:05Z"}
`

// halves of the requests go to each origin.
const halves = "split: {weights: {ecs: 5000, eks: 5000}}\n"

// overHTTP2 speaks HTTP/2 in clear text.
var overHTTP2 = func() *http.Client {
	p := &http.Protocols{}
	p.SetUnencryptedHTTP2(true)
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{Protocols: p, DisableCompression: true}}
}()

// unknownLength hides how long a body is.
func unknownLength(n int) io.Reader { return io.MultiReader(bytes.NewReader(make([]byte, n))) }

func ofLength(n int) io.Reader { return bytes.NewReader(make([]byte, n)) }

func headers(kv ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(kv); i += 2 {
		h.Add(kv[i], kv[i+1])
	}
	return h
}

// TestWhatIsCopied sends requests of which some are copied and some must not be.
func TestWhatIsCopied(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newLab(t, version, twoOrigins+halves+mirrored)
		l.readUploads()
		l.awaitComparator()
		cases := []struct {
			name   string
			send   request
			copied bool
		}{
			{"get", request{}, true},
			{"get-http2", request{client: overHTTP2}, true},
			{"head", request{method: "HEAD"}, true},
			{"options", request{method: "OPTIONS"}, true},
			{"delete", request{method: "DELETE"}, true},
			{"put", request{method: "PUT", body: ofLength(10)}, false},
			{"get-with-length", request{body: ofLength(10)}, true},
			{"get-with-type-without-length", request{header: headers("Content-Type", "text/plain")}, false},
			{"get-chunked", request{header: headers("Content-Type", "text/plain"), body: unknownLength(10)}, false},
			{"post-empty", request{method: "POST"}, true}, // Go declares 0
			{"post-longest", request{method: "POST", body: ofLength(policy.MaxMirrorBody)}, true},
			{"post-longest-http2", request{method: "POST", body: ofLength(policy.MaxMirrorBody), client: overHTTP2}, true},
			{"post-too-long", request{method: "POST", body: ofLength(policy.MaxMirrorBody + 1)}, false},
			{"post-chunked", request{method: "POST", header: headers("Content-Type", "text/plain"), body: unknownLength(10)}, false},
			{"post-chunked-without-type", request{method: "POST", body: unknownLength(10)}, false},
			{"post-http2-without-length", request{method: "POST", body: unknownLength(10), client: overHTTP2}, false},
			{"marked", request{header: headers("X-Shadow", "anything")}, false},
			{"marked-empty", request{header: headers("X-Shadow", "")}, false},
			{"upgrade", request{header: headers("Connection", "Upgrade", "Upgrade", "websocket")}, false},
			{"events", request{header: headers("Accept", "text/event-stream")}, false},
			{"events-among-others", request{header: headers("Accept", "text/html, Text/Event-Stream;q=0.9")}, false},
			{"events-on-a-second-line", request{header: headers("Accept", "text/html", "Accept", "text/event-stream")}, false},
			{"accept", request{header: headers("Accept", "application/json")}, true},
			{"grpc", request{method: "POST", path: "/shop.Orders/Get", header: headers("Content-Type", "application/grpc+proto", "Te", "trailers"), body: unknownLength(10), client: overHTTP2}, true},
			{"grpc-other-method", request{method: "POST", path: "/shop.Orders/Put", header: headers("Content-Type", "application/grpc"), body: unknownLength(10), client: overHTTP2}, false},
			{"grpc-other-method-with-length", request{method: "POST", path: "/shop.Orders/Put", header: headers("Content-Type", "application/grpc"), body: ofLength(10), client: overHTTP2}, false},
			{"grpc-longer-path", request{method: "POST", path: "/shop.Orders/Get/x", header: headers("Content-Type", "application/grpc"), body: unknownLength(10), client: overHTTP2}, false},
		}
		want := []string{}
		for _, c := range cases {
			r := c.send
			r.host, r.header = "orders.test", r.header.Clone()
			if r.path == "" {
				r.path = "/x?q=1"
			}
			if r.header == nil {
				r.header = http.Header{}
			}
			r.header.Set("X-Id", c.name)
			if got := l.send(r); got.StatusCode != 200 || got.origin() == "" {
				t.Errorf("%s: %s from %q", c.name, got.Status, got.origin())
			}
			if c.copied {
				want = append(want, c.name)
				l.awaitCopy(c.name)
			}
		}
		l.get("orders.test", "/", "x-id: last")
		l.awaitCopy("last")
		got := slices.DeleteFunc(l.comparator.ids(), func(id string) bool { return isFirst(id) || id == "last" })
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("copied:\n%v\nwant\n%v", got, want)
		}
		if c := l.awaitCopy("post-longest"); c.length != policy.MaxMirrorBody || c.ContentLength != policy.MaxMirrorBody {
			t.Errorf("of 256 KiB came %d, declared %d", c.length, c.ContentLength)
		}
		if c := l.awaitCopy("grpc"); c.length != 10 || c.Header.Get("Te") != "trailers" || c.Header.Get("Content-Type") != "application/grpc+proto" {
			t.Errorf("gRPC: %d bytes, %v", c.length, c.Header)
		}
		if c := l.awaitCopy("get"); c.RequestURI != "/x?q=1" || c.ContentLength != 0 {
			t.Errorf("%s, %d bytes", c.RequestURI, c.ContentLength)
		}
	})
}

// TestHeadersOfCopies: what a copy says of itself, and what it does not carry.
func TestHeadersOfCopies(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newLab(t, version, twoOrigins+"split: {weights: {ecs: 10000}, sticky: {cookie: {name: cf}}}\n"+mirrored+"keepHeaders: [X-Api-Key]\n")
		l.awaitComparator()
		before := time.Now()
		l.get("orders.test", "/a?b=c", "x-id: one", "authorization: Basic c2VjcmV0", "cookie: session=1; cf=u1", "proxy-authorization: Basic c2VjcmV0",
			"x-api-key: kept", "x-amz-security-token: secret", "x-cf-mirror: forged", "x-cf-sent: forged", "x-cf-key: forged", "x-request-id: r-1",
			"traceparent: 00-1-2-01", "x-forwarded-for: 203.0.113.9")
		c, live := l.awaitCopy("one"), l.origins["orders/ecs"].last(t)
		for name, want := range map[string]string{
			"Authorization": "", "Cookie": "", "Proxy-Authorization": "", "X-Amz-Security-Token": "", "X-Api-Key": "kept",
			"X-Shadow": "try", "X-Cf-Mirror": "try/r1", "X-Cf-Proxy": "p1", "X-Cf-Key": "", "X-Cf-Target": "", "X-Request-Id": "r-1", "Traceparent": "00-1-2-01",
		} {
			if got := strings.Join(c.Header.Values(name), "|"); got != want {
				t.Errorf("copy: %s: %q, want %q", name, got, want)
			}
		}
		sent, err := strconv.ParseFloat(c.Header.Get("X-Cf-Sent"), 64)
		if at := time.UnixMilli(int64(sent * 1000)); err != nil || at.Before(before.Add(-time.Millisecond)) || at.After(time.Now()) || !regexp.MustCompile(`^\d{10}\.\d{3}$`).MatchString(c.Header.Get("X-Cf-Sent")) {
			t.Errorf("sent at %q, %v; asked at %v", c.Header.Get("X-Cf-Sent"), err, before)
		}
		if c.Host != "orders.test" {
			t.Errorf("host %q", c.Host)
		}
		ips := strings.Split(strings.ReplaceAll(c.Header.Get("X-Forwarded-For"), " ", ""), ",")
		if got := strings.Join(ips[:len(ips)-1], ", "); got != strings.ReplaceAll(live.Header.Get("X-Forwarded-For"), ",", ", ") {
			t.Errorf("x-forwarded-for of the copy is %q: without its last element not that of the request, %q", ips, live.Header.Get("X-Forwarded-For"))
		}
		if got := live.Header; got.Get("Authorization") == "" || got.Get("Cookie") == "" || got.Get("X-Amz-Security-Token") == "" || got.Get("X-Shadow") != "" || got.Get("X-Cf-Mirror") != "" {
			t.Errorf("the request itself was changed: %v", got)
		}
		for name, value := range live.Header {
			if c.Header.Get(name) == "" && !slices.Contains([]string{"Authorization", "Cookie", "Proxy-Authorization", "X-Amz-Security-Token"}, name) {
				t.Errorf("the copy lacks %s: %v", name, value)
			}
		}
	})
}

// TestCopiesChangeNoRoute sends the same requests with and without a mirror: each goes where it went, gets the cookie that it got, and
// with a mirror all of them are copied.
func TestCopiesChangeNoRoute(t *testing.T) {
	const docs = twoOrigins + `
split: {weights: {ecs: 7000, eks: 3000}, sticky: {cookie: {name: cf, ttl: 1h}}}
pins:
- {name: off, origin: eks, enabled: false, header: {name: X-Who, exact: "1"}}
- {name: by-header, origin: eks, enabled: true, header: {name: X-Who, regex: "1|2"}}
- {name: by-cookie, origin: eks, enabled: true, cookie: {name: beta, present: true}}
- {name: by-query, origin: ecs, enabled: true, query: {name: at, exact: ecs}}
`
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newLab(t, version, docs+mirrored)
		with, without := l.intent, l.intent
		without.services = []*policy.Service{l.intent.service(t, "orders").WithMirror(nil)}
		type outcome struct{ origin, cookie string }
		ask := func(round string) (out []outcome) {
			for i := range 60 {
				h := []string{fmt.Sprintf("x-id: %s-%d", round, i), fmt.Sprintf("x-who: %d", i%6)}
				switch i % 5 {
				case 1:
					h = append(h, fmt.Sprintf("cookie: cf=user%d", i))
				case 2:
					h = append(h, fmt.Sprintf("cookie: beta=1; cf=user%d", i))
				}
				path := "/x"
				if i%7 == 3 {
					path = "/x?at=ecs"
				}
				r := l.get("orders.test", path, h...)
				o := outcome{r.origin(), regexp.MustCompile(`=[0-9-]+;`).ReplaceAllString(r.Header.Get("Set-Cookie"), "=KEY;")}
				if strings.Contains(o.cookie, "KEY") {
					o.origin = "" // drawn anew for each
				}
				out = append(out, o)
			}
			return out
		}
		l.structure(without)
		want := ask("without")
		l.structure(with)
		l.awaitComparator()
		if got := ask("with"); !slices.Equal(got, want) {
			t.Errorf("with a mirror\n%v\nwithout\n%v", got, want)
		}
		for i := range 60 {
			l.awaitCopy(fmt.Sprintf("with-%d", i))
		}
		if got := strings.Join(l.comparator.ids(), " "); strings.Contains(got, "without") {
			t.Errorf("copies without a mirror: %s", got)
		}
		l.structure(without)
		l.get("orders.test", "/", "x-id: over")
		if got := l.comparator.ids(); slices.Contains(got, "over") {
			t.Error("a copy after the mirror has ended")
		}
	})
}
