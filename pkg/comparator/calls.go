package comparator

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// calls is one connection of HTTP/2 to a place. net/http makes no other in its stead: so all that goes over it goes to whoever has proven itself.
type calls struct {
	over   *http.Transport
	busy   int // requests; under the lock of the transport
	proven sync.Once
	err    error
	used   atomic.Bool // a connection was made, or tried
	closed atomic.Bool // nothing more goes over it
}

// pooledSoon is how long net/http may take to find a connection that it has made: it answers the first request on one before it puts it among those
// that it has.
const pooledSoon = time.Second

// newCalls makes one that is not connected yet.
func (t *transport) newCalls(p place) *calls {
	c := &calls{over: plainTransport(true, 1)}
	c.over.IdleConnTimeout = 0 // net/http counts it from the first request on, whatever comes after; proxies close what is idle
	c.over.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		if c.used.Swap(true) { // net/http has let go of the connection, or not put it yet where it looks for one
			c.closed.Store(true)
			select { // in the second case it takes that meanwhile
			case <-ctx.Done():
			case <-time.After(pooledSoon):
			}
			return nil, net.ErrClosed
		}
		conn, err := t.connect(ctx, p)
		if err != nil {
			c.closed.Store(true)
			return nil, err
		}
		return &watched{conn, &c.closed}, nil
	}
	return c
}

// watched is a connection that tells when it is closed.
type watched struct {
	net.Conn
	closed *atomic.Bool
}

func (w *watched) Close() error {
	w.closed.Store(true)
	return w.Conn.Close()
}

// callsTo returns a connection to a place that has proven itself, with a place among the requests on it. [transport.done] gives that back.
func (t *transport) callsTo(p place) (*calls, error) {
	t.mu.Lock()
	c := t.roomy(p)
	c.busy++
	t.mu.Unlock()
	c.proven.Do(func() { c.err = t.proveCalls(c, p) })
	if c.err != nil {
		t.done(c)
		return nil, c.err
	}
	return c, nil
}

// roomy returns a connection with room for a request: a new one if there is none. So there are no more than the requests at a time need.
func (t *transport) roomy(p place) *calls {
	for _, c := range t.http2[p] {
		if c.busy < callsAtOnce && !c.closed.Load() {
			return c
		}
	}
	for other, all := range t.http2 { // proxies close connections that are not used
		if all = slices.DeleteFunc(all, func(c *calls) bool { return c.closed.Load() }); len(all) == 0 {
			delete(t.http2, other)
		} else {
			t.http2[other] = all
		}
	}
	c := t.newCalls(p)
	t.http2[p] = append(t.http2[p], c)
	return c
}

func (t *transport) done(c *calls) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.busy--
}

// proveCalls asks like [prove].
func (t *transport) proveCalls(c *calls, p place) error {
	ctx, cancel := context.WithTimeout(context.Background(), proofTime) // not of the request that comes first: it is for others, too
	defer cancel()
	r := &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "http", Host: p.host(), Path: "/"}, Host: "comparator", Header: http.Header{targetHeader: {policy.NoShadowCluster}}}
	answer, err := c.over.RoundTrip(r.WithContext(ctx))
	if err == nil {
		answer.Body.Close()
		if isProof(answer.Header, p.proxy) {
			return nil
		}
	}
	connected := c.used.Load() && !c.closed.Load()
	c.closed.Store(true)
	c.over.CloseIdleConnections()
	if err != nil && !connected {
		return err
	}
	t.strange(p)
	return errStranger
}

func (t *transport) closeCalls() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, all := range t.http2 {
		for _, c := range all {
			c.over.CloseIdleConnections()
		}
	}
}
