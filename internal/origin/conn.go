package origin

import (
	"bufio"
	"bytes"
	"errors"
	"net"
)

// headBytes bounds the head of a request.
const headBytes = 128 << 10

// accept serves connections until the listener is closed.
func (o *Origin) accept(l net.Listener, s State) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // of this connection alone; out of files shows at the client
		}
		tcp := c.(*net.TCPConn)
		if s == Resetting {
			_ = tcp.SetLinger(0)
			_ = tcp.Close()
			continue
		}
		conn := gatedConn{TCPConn: tcp, gate: &o.gate}
		if u := o.admit(conn); u != nil {
			o.serving.Go(func() { o.serve(conn, u) })
		}
	}
}

// admit notes a connection, or closes it if the state has changed meanwhile.
func (o *Origin) admit(c net.Conn) *use {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended || o.shutting.Load() || o.state == Refusing || o.state == Resetting {
		_ = c.Close()
		return nil
	}
	u := &use{}
	o.conns[c] = u
	return u
}

func (o *Origin) leave(c net.Conn) {
	_ = c.Close()
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.conns, c)
}

// serve tells HTTP/2 from HTTP/1 by its first bytes.
func (o *Origin) serve(c gatedConn, u *use) {
	r := bufio.NewReaderSize(c, headBytes)
	first, err := r.Peek(3)
	if err == nil && bytes.Equal(first, []byte("PRI")) && u.begin() {
		o.h2.hand(peekedConn{gatedConn: c, r: r, left: func() { o.leave(c) }})
		return
	}
	defer o.leave(c)
	if err == nil {
		o.serve1(c, r, u)
	}
}

// gatedConn says nothing and hears nothing while the gate is shut.
type gatedConn struct {
	*net.TCPConn
	gate *gate
}

// Read passes the gate after reading: what arrived while it was shut is heard when it opens.
func (c gatedConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	c.gate.pass()
	return n, err
}

// Write passes the gate first.
func (c gatedConn) Write(p []byte) (int, error) {
	c.gate.pass()
	return c.TCPConn.Write(p)
}

// peekedConn is a connection of which some bytes are read already.
type peekedConn struct {
	gatedConn
	r    *bufio.Reader
	left func() // closes it
}

// Read reads the peeked bytes first.
func (c peekedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// Close closes the connection.
func (c peekedConn) Close() error {
	c.left()
	return nil
}
