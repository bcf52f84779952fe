package translate_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/certtest"
)

// edgeLab is an Envoy that serves its port by TLS, with a certificate for one.test and one for two.test.
type edgeLab struct {
	*lab
	dir string
	ca  *certtest.CA
}

const edgeService = `{apiVersion: crossfade/v1, kind: Service, name: pay, hosts: ["*"], primary: a, listener: {port: PORT}, origins: [
{name: a, static: {endpoints: ["127.0.0.1:1"]}}, {name: b, static: {endpoints: ["127.0.0.1:1"]}}]}
`

// newEdgeLab starts it; more is added to the settings of tls, fleet to those of the fleet. DIR is where files are.
func newEdgeLab(t *testing.T, version, more, fleet string) *edgeLab {
	t.Helper()
	e := &edgeLab{dir: t.TempDir(), ca: certtest.New(t, "edge")}
	for _, name := range []string{"one", "two"} {
		e.ca.Write(e.dir, name, e.ca.Issue(certtest.Spec{DNS: []string{name + ".test"}}))
	}
	docs := edgeService + `---
{apiVersion: crossfade/v1, kind: Fleet, name: default, ` + fleet + ` listeners: [{port: PORT, tls: {` + more + `
certificates: [{certificateFile: DIR/one.pem, keyFile: DIR/one.key}, {certificateFile: DIR/two.pem, keyFile: DIR/two.key}]}}]}
`
	e.lab = newLab(t, version, strings.ReplaceAll(docs, "DIR", e.dir))
	e.eventually("the port to be served", func() bool {
		c, err := net.Dial("tcp", e.address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return e
}

// client is the settings of one that trusts the lab's authority and asks for a name.
func (e *edgeLab) client(name string) *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(e.ca.PEM)
	return &tls.Config{ServerName: name, RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// issue makes a certificate for a client.
func issue(t *testing.T, ca *certtest.CA, s certtest.Spec) tls.Certificate {
	t.Helper()
	c := ca.Issue(s)
	pair, err := tls.X509KeyPair(c.PEM, c.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// connection is one HTTP/1.1 connection. It is not net/http's client, because that asks again by itself.
type connection struct {
	net.Conn
	r *bufio.Reader
}

// plainTo opens a connection in clear text.
func plainTo(address string) (*connection, error) {
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return &connection{conn, bufio.NewReader(conn)}, nil
}

// state is that of TLS; zero where there is none.
func (c *connection) state() (st tls.ConnectionState) {
	if conn, ok := c.Conn.(*tls.Conn); ok {
		st = conn.ConnectionState()
	}
	return st
}

func (e *edgeLab) connect(c *tls.Config) (*connection, error) {
	raw, err := net.DialTimeout("tcp", e.address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return over(raw, c)
}

func over(raw net.Conn, c *tls.Config) (*connection, error) {
	conn := tls.Client(raw, c)
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return nil, err
	}
	if err := conn.Handshake(); err != nil {
		raw.Close()
		return nil, err
	}
	return &connection{conn, bufio.NewReader(conn)}, nil
}

// shown is the serial number of the certificate that the proxy has shown; nil for none.
func (c *connection) shown() *big.Int {
	if shown := c.state().PeerCertificates; len(shown) > 0 {
		return shown[0].SerialNumber
	}
	return nil
}

// ask asks and returns the status and the body.
func (c *connection) ask(headers ...string) (int, string, error) {
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return 0, "", err
	}
	if _, err := io.WriteString(c, strings.Join(append([]string{"GET / HTTP/1.1", "Host: pay.test"}, headers...), "\r\n")+"\r\n\r\n"); err != nil {
		return 0, "", err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}
