package upgrade

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/loopback"
)

// counter stands between a proxy and the control plane, and counts bytes both ways.
type counter struct {
	down, up    atomic.Int64 // to the proxy, and from it
	connections atomic.Int64 // that reached the control plane

	ln     net.Listener
	target string
	mu     sync.Mutex
	open   map[net.Conn]bool // nil once it has ended
	copies sync.WaitGroup
}

// newCounter forwards to an address until the test ends. While nobody listens there, connections are closed at once.
func newCounter(t *testing.T, target string) *counter {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(loopback.Host(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{ln: ln, target: target, open: map[net.Conn]bool{}}
	c.copies.Go(c.accept)
	t.Cleanup(c.close)
	return c
}

func (c *counter) accept() {
	for {
		conn, err := c.ln.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", c.target)
		if err != nil {
			conn.Close()
			continue
		}
		if !c.keep(conn, server) {
			return
		}
		c.connections.Add(1)
		c.copies.Go(func() { c.copy(server, conn, &c.up) })
		c.copies.Go(func() { c.copy(conn, server, &c.down) })
	}
}

// copy hands on what arrives; the end of one side ends the other.
func (c *counter) copy(to, from net.Conn, n *atomic.Int64) {
	_, _ = io.Copy(to, io.TeeReader(from, tally{n}))
	c.mu.Lock()
	delete(c.open, to)
	delete(c.open, from)
	c.mu.Unlock()
	to.Close()
	from.Close()
}

// keep remembers connections to be closed at the end; false if that has come.
func (c *counter) keep(conns ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range conns {
		if c.open == nil {
			conn.Close()
			continue
		}
		c.open[conn] = true
	}
	return c.open != nil
}

func (c *counter) close() {
	c.ln.Close()
	c.mu.Lock()
	for conn := range c.open {
		conn.Close()
	}
	c.open = nil
	c.mu.Unlock()
	c.copies.Wait()
}

// tally counts what is written to it.
type tally struct{ n *atomic.Int64 }

func (t tally) Write(p []byte) (int, error) {
	t.n.Add(int64(len(p)))
	return len(p), nil
}
