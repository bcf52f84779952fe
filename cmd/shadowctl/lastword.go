package main

import (
	"context"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc/credentials"
)

// listening are credentials whose connections hear why a server ended them. In TLS 1.3 it judges our certificate after our side of the handshake is
// over: what we write then may fail before we have read its verdict.
type listening struct {
	credentials.TransportCredentials
}

// ClientHandshake implements credentials.TransportCredentials.
func (l listening) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, info, err := l.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		return nil, nil, err
	}
	return lastWord{c}, info, nil
}

// Clone implements credentials.TransportCredentials.
func (l listening) Clone() credentials.TransportCredentials {
	return listening{l.TransportCredentials.Clone()}
}

// lastWord is a connection of which a write that fails says what the other side said last, if it was a refusal.
type lastWord struct{ net.Conn }

// lastWordWithin is how long that may take. It has arrived before the end of the connection that made the write fail.
const lastWordWithin = time.Second

// Write implements net.Conn.
func (c lastWord) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err == nil {
		return n, nil
	}
	if c.SetReadDeadline(time.Now().Add(lastWordWithin)) == nil {
		if _, said := c.Read(make([]byte, 1)); said != nil && strings.Contains(said.Error(), remoteAlert) {
			return n, said
		}
	}
	return n, err
}
