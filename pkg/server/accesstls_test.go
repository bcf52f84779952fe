package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/certtest"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/pkg/access"
	"github.com/crossfade-proxy/crossfade/pkg/identity"
	"github.com/crossfade-proxy/crossfade/pkg/server"
)

// guarded is an API that is served by mutual TLS.
type guarded struct {
	t       *testing.T
	ca      *certtest.CA
	api     *server.API
	address string
	log     *logBuffer
}

// startGuarded serves an API that lets in by rules whoever has a certificate.
func startGuarded(t *testing.T, c server.Config, roles map[string][]access.Member) *guarded {
	t.Helper()
	g := &guarded{t: t, ca: certtest.New(t, "test"), log: &logBuffer{}}
	c.Log, c.Access = slog.New(slog.NewTextHandler(g.log, nil)), access.New(roles)
	g.api = server.New(c)
	host := loopback.Host()
	own := g.config(certtest.Spec{SPIFFE: "spiffe://example.test/server", IPs: []string{host}})
	own.ClientAuth, own.ClientCAs = tls.RequireAndVerifyClientCert, own.RootCAs
	s := g.api.GRPC(grpc.Creds(credentials.NewTLS(own)))
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	g.address = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return g
}

// config has a certificate of its own, and trusts the authority.
func (g *guarded) config(s certtest.Spec) *tls.Config {
	g.t.Helper()
	cert := g.ca.Issue(s)
	pair, err := tls.X509KeyPair(cert.PEM, cert.Key)
	if err != nil {
		g.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(g.ca.PEM)
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, MinVersion: tls.VersionTLS13}
}

// as connects as somebody, whose certificate has a SPIFFE id of that name.
func (g *guarded) as(name string) (crossfadev1.CrossfadeServiceClient, *grpc.ClientConn) {
	g.t.Helper()
	return g.with(certtest.Spec{SPIFFE: id(name)})
}

func (g *guarded) with(s certtest.Spec) (crossfadev1.CrossfadeServiceClient, *grpc.ClientConn) {
	g.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+g.address, grpc.WithTransportCredentials(credentials.NewTLS(g.config(s))))
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = conn.Close() })
	return crossfadev1.NewCrossfadeServiceClient(conn), conn
}

// id is the SPIFFE id of somebody.
func id(name string) string { return "spiffe://example.test/people/" + name }

// member is somebody with a role, for services or for all.
func member(name string, services ...string) access.Member {
	return access.Member{Name: identity.Pattern(id(name)), Services: services}
}
