package translate_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/certtest"
)

// originLab is an Envoy in front of origins that speak TLS, want to know who asks, and answer with the name of that. Each request comes on a
// connection of its own.
type originLab struct {
	*lab
	dir   string
	ca    *certtest.CA
	shows map[string]*atomic.Pointer[tls.Certificate] // by origin
}

// originNames are the origins; requests with x-origin go to that one, others to the first.
var originNames = []string{"a", "old", "next"}

func newOriginLab(t *testing.T, version string) *originLab {
	t.Helper()
	e := &originLab{dir: t.TempDir(), ca: certtest.New(t, "first"), shows: map[string]*atomic.Pointer[tls.Certificate]{}}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(e.ca.PEM)
	e.ca.Write(e.dir, "pay", e.ca.Issue(certtest.Spec{}))
	e.ca.Write(e.dir, "proxy", e.ca.Issue(certtest.Spec{Name: "first"}))
	var origins, pins []string
	for _, name := range originNames {
		origins = append(origins, strings.ReplaceAll(`{name: `+name+`, static: {endpoints: ["127.0.0.1:1"]},
tls: {serverName: pay.internal, caFile: DIR/pay.ca.pem, certificateFile: DIR/proxy.pem, keyFile: DIR/proxy.key}}`, "DIR", e.dir))
		pins = append(pins, `{name: `+name+`, origin: `+name+`, header: {name: x-origin, exact: `+name+`}}`)
	}
	e.lab = newLab(t, version, `{apiVersion: crossfade/v1, kind: Service, name: pay, hosts: ["*"], primary: a, listener: {port: PORT}, retries: {on: [none]},
origins: [`+strings.Join(origins, ", ")+`], pins: [`+strings.Join(pins, ", ")+`]}`)
	for _, name := range originNames {
		shows := &atomic.Pointer[tls.Certificate]{}
		e.shows[name] = shows
		e.show(name, issue(t, e.ca, certtest.Spec{DNS: []string{"pay.internal"}}))
		o := startOriginOver(t, name, 0, &tls.Config{
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return shows.Load(), nil },
			ClientAuth:     tls.RequireAndVerifyClientCert, ClientCAs: clients, NextProtos: []string{"http/1.1"}, SessionTicketsDisabled: true,
		})
		o.answer(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			fmt.Fprint(w, r.TLS.PeerCertificates[0].Subject.CommonName)
		})
		e.setEndpoints("pay", name, o.address)
		e.awaitHost("pay/"+name, o.address.String())
	}
	return e
}

// show makes an origin show another certificate to who connects from now on.
func (e *originLab) show(origin string, c tls.Certificate) { e.shows[origin].Store(&c) }
