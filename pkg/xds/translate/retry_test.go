package translate_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
)

// posts is how many uploads a test sends: of two endpoints in turn, half of them.
const posts = 20

// counting makes an origin count the bodies that reach it.
func (o *origin) counting() *atomic.Int64 {
	var n atomic.Int64
	o.answer(func(w http.ResponseWriter, r *http.Request) {
		if b, err := io.ReadAll(r.Body); err == nil && len(b) > 0 {
			n.Add(1)
		}
		fmt.Fprint(w, "taken")
	})
	return &n
}

// upload sends POSTs, one at a time, and returns how many were answered 200.
func (l *lab) upload(t *testing.T) (good int) {
	t.Helper()
	for i := range posts {
		r := l.send(request{method: "POST", host: "orders.test", path: "/", body: strings.NewReader(fmt.Sprint("order ", i, strings.Repeat(".", 10_000)))})
		if r.StatusCode == 200 {
			good++
		}
	}
	return good
}

// startPeer accepts connections and hands each to serve, in a goroutine of its own, until the test ends.
func startPeer(t *testing.T, serve func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", loopback.Host()+":0")
	if err != nil {
		t.Fatal(err)
	}
	var accepting, serving sync.WaitGroup
	var open []net.Conn
	accepting.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open = append(open, c)
			serving.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		accepting.Wait()
		for _, c := range open {
			c.Close()
		}
		serving.Wait()
	})
	return netip.MustParseAddrPort(l.Addr().String())
}

// TestRetriesOfUploads: whoever uploads gets a second try where the first did not reach the application, and only there.
func TestRetriesOfUploads(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		t.Run("nobody listens", func(t *testing.T) {
			l := newLab(t, version, twoOrigins)
			taken := l.origins["orders/ecs"].counting()
			dead := netip.MustParseAddrPort(envoytest.Port(t).Addr())
			l.setEndpoints("orders", "ecs", l.origins["orders/ecs"].address, dead)
			l.awaitHost("orders/ecs", dead.String())
			if good := l.upload(t); good != posts || taken.Load() != posts {
				t.Errorf("%d of %d were answered, the origin got %d", good, posts, taken.Load())
			}
		})
		t.Run("reset after the request was sent", func(t *testing.T) {
			l := newLab(t, version, twoOrigins)
			taken := l.origins["orders/ecs"].counting()
			var cut atomic.Int64
			resetting := startPeer(t, func(c net.Conn) {
				r := bufio.NewReader(c)
				if _, err := readRequest(r); err == nil {
					cut.Add(1)
				}
				_ = c.(*net.TCPConn).SetLinger(0)
			})
			l.setEndpoints("orders", "ecs", l.origins["orders/ecs"].address, resetting)
			l.awaitHost("orders/ecs", resetting.String())
			good := l.upload(t)
			if cut.Load() == 0 || good+int(cut.Load()) != posts || int(taken.Load()) != good {
				t.Errorf("%d were answered, %d cut, and %d reached the other endpoint", good, cut.Load(), taken.Load())
			}
		})
	})
}

// TestRetriesOverHTTP2: streams that the origin has refused, and said so, are tried elsewhere.
func TestRetriesOverHTTP2(t *testing.T) {
	for _, c := range []struct {
		name   string
		refuse func(f *http2.Framer, stream uint32) error
	}{
		{"REFUSED_STREAM", func(f *http2.Framer, stream uint32) error {
			return f.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
		}},
		{"GOAWAY", func(f *http2.Framer, stream uint32) error { return f.WriteGoAway(stream-1, http2.ErrCodeNo, nil) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			envoytest.EachVersion(t, func(t *testing.T, version string) {
				l := newLab(t, version, strings.ReplaceAll(twoOrigins, "{name: ecs,", "{name: ecs, protocol: http2,"))
				taken := l.origins["orders/ecs"].counting()
				var refused atomic.Int64
				peer := startPeer(t, func(conn net.Conn) {
					serveRefusals(conn, func(f *http2.Framer, stream uint32) error {
						refused.Add(1)
						return c.refuse(f, stream)
					})
				})
				l.setEndpoints("orders", "ecs", l.origins["orders/ecs"].address, peer)
				l.awaitHost("orders/ecs", peer.String())
				if good := l.upload(t); good != posts || taken.Load() != posts || refused.Load() == 0 {
					t.Errorf("%d of %d were answered, the origin got %d; %d were refused", good, posts, taken.Load(), refused.Load())
				}
			})
		})
	}
}

// serveRefusals speaks HTTP/2 and refuses every stream.
func serveRefusals(c net.Conn, refuse func(f *http2.Framer, stream uint32) error) {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c, preface); err != nil {
		return
	}
	f := http2.NewFramer(c, c)
	if f.WriteSettings() != nil {
		return
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				err = f.WriteSettingsAck()
			}
		case *http2.HeadersFrame:
			err = refuse(f, frame.StreamID)
		}
		if err != nil {
			return
		}
	}
}

// TestRetriesSideBySide: services of one host with other wishes each get theirs.
func TestRetriesSideBySide(t *testing.T) {
	service := func(name, prefix, retries string) string {
		return fmt.Sprintf(`{apiVersion: crossfade/v1, kind: Service, name: %s, hosts: [orders.test], pathPrefixes: [%s], primary: a, listener: {port: PORT}, origins: [{name: a, static: {endpoints: ["127.0.0.1:1"]}}, {name: b, static: {endpoints: ["127.0.0.1:1"]}}]%s}
---
`, name, prefix, retries)
	}
	docs := service("usual", "/", "") + service("none", "/none", ", retries: {on: [none]}") + service("once", "/once", ", retries: {on: [connect-failure], attempts: 1}")
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newLab(t, version, docs)
		dead := netip.MustParseAddrPort(envoytest.Port(t).Addr())
		for _, name := range []string{"usual", "none", "once"} {
			l.setEndpoints(name, "a", l.origins[name+"/a"].address, dead)
			l.awaitHost(name+"/a", dead.String())
		}
		for path, fails := range map[string]bool{"/": false, "/none": true, "/once": false} {
			failed := 0
			for range posts {
				if r := l.get("orders.test", path); r.StatusCode != 200 {
					failed++
				}
			}
			if (failed > 0) != fails {
				t.Errorf("%s: %d of %d failed", path, failed, posts)
			}
		}
	})
}
