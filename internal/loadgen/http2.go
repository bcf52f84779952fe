package loadgen

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/monotime"
)

// conn2 is an HTTP/2 connection that several clients share, replaced when it takes no more requests.
type conn2 struct {
	target string
	mu     sync.Mutex
	conn   *http.ClientConn
}

// transport2 makes connections; it sends nothing itself, so it retries nothing.
var transport2 = func() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Transport{Protocols: protocols, DisableCompression: true}
}()

// reserve returns a connection that takes one more request.
func (c *conn2) reserve(ctx context.Context) (*http.ClientConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil && c.conn.Reserve() == nil {
		return c.conn, nil
	}
	next, err := transport2.NewClientConn(ctx, "http", c.target)
	if err != nil {
		return nil, err
	}
	if err := next.Reserve(); err != nil {
		_ = next.Close()
		return nil, err
	}
	if c.conn != nil {
		c.conn.SetStateHook(closeIfIdle)
		closeIfIdle(c.conn)
	}
	c.conn = next
	return next, nil
}

// closeIfIdle ends a connection that was replaced once its last answer has ended.
func closeIfIdle(c *http.ClientConn) {
	if c.InFlight() == 0 {
		_ = c.Close()
	}
}

// client2 sends on a shared connection, by [http.ClientConn], which does not retry.
type client2 struct{ conn *conn2 }

func (c client2) do(ctx context.Context, req Request, _ time.Duration) (answer, error) {
	r, err := c.request(ctx, req)
	if err != nil {
		return answer{}, err
	}
	cc, err := c.conn.reserve(ctx)
	if err != nil {
		return answer{}, err
	}
	a := answer{sent: monotime.Now()}
	resp, err := cc.RoundTrip(r)
	if err != nil {
		return a, err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return a, err
	}
	a.status, a.origin = resp.StatusCode, resp.Header.Get("x-origin")
	a.grpc = orElse(resp.Header.Get("grpc-status"), resp.Trailer.Get("grpc-status"))
	return a, nil
}

func (c client2) request(ctx context.Context, req Request) (*http.Request, error) {
	target, err := url.ParseRequestURI(orElse(req.Path, "/"))
	if err != nil {
		return nil, err
	}
	target.Scheme, target.Host = "http", c.conn.target
	r, err := http.NewRequestWithContext(ctx, orElse(req.Method, http.MethodGet), target.String(), bytes.NewReader(req.Body))
	if err != nil {
		return nil, err
	}
	r.Host = orElse(req.Host, c.conn.target)
	for _, h := range req.Header {
		r.Header.Add(strings.ToLower(h[0]), h[1])
	}
	return r, nil
}

func (c client2) close() {
	c.conn.mu.Lock()
	defer c.conn.mu.Unlock()
	if c.conn.conn != nil {
		_ = c.conn.conn.Close()
	}
}
