package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/crossfade-proxy/crossfade/internal/certtest"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
)

// TestServersThatOneDoesNotComeToTermsWith: each way says what to look at, and that nothing was changed; nobody is told to start another server.
func TestServersThatOneDoesNotComeToTermsWith(t *testing.T) {
	ours, strange := certtest.New(t, "ours"), certtest.New(t, "strange")
	believes := func(ca, shows *certtest.CA, ends time.Duration) map[string]string {
		dir := t.TempDir()
		c := shows.Issue(certtest.Spec{Name: "ann", NotAfter: ends})
		env := map[string]string{"CROSSFADE_TLS_SERVER_NAME": "control.test"}
		for name, text := range map[string][]byte{"ca": ca.PEM, "cert": c.PEM, "key": c.Key} {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			env["CROSSFADE_TLS_"+strings.ToUpper(name)] = path
		}
		return env
	}
	secure := secureServer(t, ours)
	plain := serve(t, &double{answer: canned(nil)}).address
	for what, tt := range map[string]struct {
		address string
		env     map[string]string
		exit    int
		want    string
	}{
		"nobody there":              {closedAddress(t), believes(ours, ours, time.Hour), 5, "start it again where it was, with the same --data-dir\n"},
		"another authority's":       {secure, believes(strange, ours, time.Hour), 5, "is not believed to be the server"},
		"does not believe us":       {secure, believes(ours, strange, time.Hour), 10, "the server does not take the certificate of --tls-cert"},
		"ours has ended":            {secure, believes(ours, ours, -time.Minute), 2, "the certificate expired at"},
		"speaks TLS, and we do not": {secure, nil, 5, "what answers there is no server without TLS"},
		"we do, and it does not":    {plain, believes(ours, ours, time.Hour), 5, "what answers there does not speak TLS"},
	} {
		env := map[string]string{"CROSSFADE_SERVER": tt.address}
		for k, v := range tt.env {
			env[k] = v
		}
		r := shadowctl(t.Context(), invocation{args: []string{"rollback", "orders"}, env: env})
		if r.exit != tt.exit || !strings.Contains(r.err, tt.want) || strings.Contains(r.err, "not known") || strings.Contains(r.err, startServer) {
			t.Errorf("%s: exit %d, %s", what, r.exit, r.err)
		}
	}
}

// secureServer lets in who has a certificate of an authority, and knows no method.
func secureServer(t *testing.T, ca *certtest.CA) string {
	t.Helper()
	c := ca.Issue(certtest.Spec{Name: "control", DNS: []string{"control.test"}})
	pair, err := tls.X509KeyPair(c.PEM, c.Key)
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(ca.PEM)
	l, err := net.Listen("tcp", net.JoinHostPort(loopback.Host(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
	})))
	served := make(chan struct{})
	go func() { defer close(served); _ = g.Serve(l) }()
	t.Cleanup(func() { g.Stop(); <-served })
	return l.Addr().String()
}
