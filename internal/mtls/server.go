package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
)

// registry has the connections that were taken, so that they can be ended.
type registry struct {
	keeper *Keeper
	mu     sync.Mutex
	conns  map[*conn]struct{}
}

// conn is a connection of a listener.
type conn struct {
	net.Conn
	registry *registry
	listener string
	once     sync.Once

	// Guarded by the registry.
	peer []*x509.Certificate // as shown; empty: not verified
	ends time.Time           // when the first of the chain expires
}

// Close ends the connection.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.registry.mu.Lock()
		defer c.registry.mu.Unlock()
		delete(c.registry.conns, c)
	})
	return c.Conn.Close()
}

// Listener returns a listener whose connections end when what their peer has shown is good no more. It does not speak TLS itself: give it to a gRPC
// server with [Keeper.Credentials], or to tls.NewListener with [Keeper.ServerConfig]. The name is for logs and metrics.
func (k *Keeper) Listener(ln net.Listener, name string) net.Listener {
	return &listener{ln, &k.open, name}
}

type listener struct {
	net.Listener
	registry *registry
	name     string
}

// Accept takes a connection.
func (l *listener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, registry: l.registry, listener: l.name}
	l.registry.mu.Lock()
	defer l.registry.mu.Unlock()
	if l.registry.conns == nil {
		l.registry.conns = map[*conn]struct{}{}
	}
	l.registry.conns[c] = struct{}{}
	return c, nil
}

// verified notes what a peer has shown, and by what it was believed.
func (r *registry) verified(c *conn, by *material, chain, shown []*x509.Certificate) error {
	r.mu.Lock()
	c.peer, c.ends = shown, earliest(chain)
	r.mu.Unlock()
	if m := r.keeper.current.Load(); m != by { // it has changed meanwhile, and the sweep may have been before
		return m.again(shown, x509.ExtKeyUsageClientAuth, r.keeper.now())
	}
	return nil
}

// sweep ends connections whose peer is good no more: whose certificate has expired, and where what is believed has changed, all that it does not
// bear.
func (r *registry) sweep(now time.Time, changed bool) {
	m := r.keeper.current.Load()
	var ended []*conn
	var errs []error
	r.mu.Lock()
	for c := range r.conns {
		if len(c.peer) == 0 || !changed && !now.After(c.ends) {
			continue
		}
		if err := m.again(c.peer, x509.ExtKeyUsageClientAuth, now); err != nil {
			ended, errs = append(ended, c), append(errs, err)
		} else if now.After(c.ends) { // by another chain it is good
			c.ends = c.peer[0].NotAfter
		}
	}
	r.mu.Unlock()
	for i, c := range ended {
		r.keeper.log.Warn("connection ended: its certificate is good no more", "listener", c.listener, "name", nameOf(c.peer[0]), "remote", c.RemoteAddr().String(),
			"reason", reasonOf(errs[i]), "error", plain(errs[i]))
		c.Close()
	}
}

// ServerConfig is that of a server with these protocols (ALPN). Peers must show a certificate; where it is optional, they may, and it must be good.
func (k *Keeper) ServerConfig(optional bool, protocols ...string) *tls.Config {
	outer := k.base(protocols)
	outer.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		m := k.current.Load()
		inner := k.base(protocols)
		inner.Certificates, inner.ClientCAs, inner.ClientAuth = []tls.Certificate{m.cert}, m.roots, tls.RequireAndVerifyClientCert
		if optional {
			inner.ClientAuth = tls.VerifyClientCertIfGiven
		}
		inner.VerifyConnection = func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return nil
			}
			chain, err := m.accept(s.VerifiedChains)
			if err != nil {
				return err
			}
			if c, ok := hello.Conn.(*conn); ok {
				return c.registry.verified(c, m, chain, s.PeerCertificates)
			}
			return nil
		}
		return inner, nil
	}
	return outer
}

// base is what servers and clients have in common. Without tickets, each connection shows its certificate.
func (k *Keeper) base(protocols []string) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: protocols, SessionTicketsDisabled: true, Time: k.now}
}

// Credentials are those of a gRPC server. The name is for logs and metrics.
func (k *Keeper) Credentials(name string) credentials.TransportCredentials {
	return &serverCredentials{credentials.NewTLS(k.ServerConfig(false, "h2")), k, name}
}

type serverCredentials struct {
	credentials.TransportCredentials
	keeper *Keeper
	name   string
}

// ServerHandshake says why a peer is refused.
func (s *serverCredentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, info, err := s.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		s.keeper.refused(s.name, raw.RemoteAddr().String(), err)
	}
	return c, info, err
}

// Clone implements credentials.TransportCredentials.
func (s *serverCredentials) Clone() credentials.TransportCredentials {
	return &serverCredentials{s.TransportCredentials.Clone(), s.keeper, s.name}
}
