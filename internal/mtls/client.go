package mtls

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"

	"google.golang.org/grpc/credentials"

	"github.com/crossfade-proxy/crossfade/pkg/identity"
)

// spiffe begins a server name that is no host's but a SPIFFE id.
const spiffe = "spiffe://"

// clientConfig is that of a client of a server: a host name, an IP address, or a SPIFFE id.
func (k *Keeper) clientConfig(server string, protocols ...string) *tls.Config {
	m := k.current.Load()
	c := k.base(protocols)
	c.Certificates, c.RootCAs, c.ServerName = []tls.Certificate{m.cert}, m.roots, server
	c.VerifyConnection = func(s tls.ConnectionState) error {
		_, err := m.accept(s.VerifiedChains)
		return err
	}
	if strings.HasPrefix(server, spiffe) {
		c.ServerName = ""
		c.InsecureSkipVerify = true // it knows names of hosts only: all is verified here
		c.VerifyConnection = func(s tls.ConnectionState) error {
			if err := m.again(s.PeerCertificates, x509.ExtKeyUsageServerAuth, k.now()); err != nil {
				return err
			}
			if name, err := identity.Of(s.PeerCertificates[0]); err != nil || name != server {
				return fmt.Errorf("the server is %s, not %s", nameOf(s.PeerCertificates[0]), server)
			}
			return nil
		}
	}
	return c
}

// Client makes a new connection one to a peer that has a certificate for servers, whatever its name: for who knows by other means where it is.
func (k *Keeper) Client(ctx context.Context, raw net.Conn) (net.Conn, error) {
	m := k.current.Load()
	c := k.base(nil)
	c.Certificates = []tls.Certificate{m.cert}
	c.InsecureSkipVerify = true // it would want a name: all is verified here
	c.VerifyConnection = func(s tls.ConnectionState) error {
		return m.again(s.PeerCertificates, x509.ExtKeyUsageServerAuth, k.now())
	}
	conn := tls.Client(raw, c)
	return conn, conn.HandshakeContext(ctx)
}

// Dialer returns the credentials of a gRPC client. Each connection shows the certificate that the files hold then. The name is that which the server
// must have, where it is not the host that is dialled: a host name, an IP address or a SPIFFE id.
func (k *Keeper) Dialer(name string) credentials.TransportCredentials {
	return &clientCredentials{k, name}
}

type clientCredentials struct {
	keeper *Keeper
	name   string
}

// ClientHandshake implements credentials.TransportCredentials.
func (c *clientCredentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c.keeper.refresh()
	host, _, err := net.SplitHostPort(authority)
	if err != nil {
		host = authority
	}
	conn := tls.Client(raw, c.keeper.clientConfig(cmp.Or(c.name, host), "h2"))
	if err := conn.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, credentials.TLSInfo{State: conn.ConnectionState(), CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}}, nil
}

// ServerHandshake is of servers.
func (*clientCredentials) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, fmt.Errorf("these are credentials of a client")
}

// Info implements credentials.TransportCredentials.
func (c *clientCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone implements credentials.TransportCredentials.
func (c *clientCredentials) Clone() credentials.TransportCredentials {
	return &clientCredentials{c.keeper, c.name}
}

// OverrideServerName implements credentials.TransportCredentials.
func (c *clientCredentials) OverrideServerName(name string) error {
	c.name = name
	return nil
}
