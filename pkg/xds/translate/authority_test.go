package translate_test

import (
	"crypto/tls"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/certtest"
)

// authority issues certificates.
type authority struct {
	*certtest.CA

	t    *testing.T
	file string // its own certificate, in PEM
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{CA: certtest.New(t, name), t: t, file: filepath.Join(t.TempDir(), "ca.pem")}
	a.write(a.file)
	return a
}

// write puts its certificate into a file, in place of what is there.
func (a *authority) write(file string) {
	a.t.Helper()
	certtest.Replace(a.t, file, a.PEM)
}

// issue makes a certificate for a name that holds for so long from now, or has run out so long ago.
func (a *authority) issue(name string, holds time.Duration) tls.Certificate {
	a.t.Helper()
	c := a.Issue(certtest.Spec{Name: name, DNS: []string{name}, NotAfter: holds})
	pair, err := tls.X509KeyPair(c.PEM, c.Key)
	if err != nil {
		a.t.Fatal(err)
	}
	return pair
}

// startTLSOrigin is startOrigin behind TLS. It answers with the protocol and the name that the client asked for.
func startTLSOrigin(t *testing.T, cert tls.Certificate) *origin {
	t.Helper()
	o := startOriginOver(t, "tls", 0, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}})
	o.answer(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.Proto + " " + r.TLS.NegotiatedProtocol + " " + r.TLS.ServerName))
	})
	return o
}
