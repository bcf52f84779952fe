package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/loopback"
)

// secureName is in the certificate that proxies and origins show.
const secureName = "secure.test"

// secret is a certificate that is its own authority.
type secret struct {
	pair      tls.Certificate
	pool      *x509.CertPool
	cert, key string // files
}

func newSecret(dir string) (s secret, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return s, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: secureName}, DNSNames: []string{secureName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return s, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return s, err
	}
	certPEM, keyPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	s.cert, s.key, s.pool = filepath.Join(dir, "secure.pem"), filepath.Join(dir, "secure.key"), x509.NewCertPool()
	s.pool.AppendCertsFromPEM(certPEM)
	if s.pair, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		return s, err
	}
	return s, errors.Join(os.WriteFile(s.cert, certPEM, 0o600), os.WriteFile(s.key, keyPEM, 0o600))
}

// relay takes connections and hands their bytes on, so that the load and the origins need not know TLS. What it costs is nobody's who is measured.
type relay struct {
	listener net.Listener
	dial     func() (net.Conn, error)
	serving  sync.WaitGroup
	mu       sync.Mutex
	open     map[net.Conn]bool // nil once closed
}

// intoTLS is a relay from clear text to TLS at an address.
func (s secret) intoTLS(to string) (*relay, error) {
	config := &tls.Config{RootCAs: s.pool, ServerName: secureName, NextProtos: []string{"http/1.1"}}
	return startRelay(nil, func() (net.Conn, error) { return tls.Dial("tcp", to, config) })
}

// outOfTLS is a relay from TLS to clear text at an address.
func (s secret) outOfTLS(to string) (*relay, error) {
	config := &tls.Config{Certificates: []tls.Certificate{s.pair}, NextProtos: []string{"http/1.1"}}
	return startRelay(config, func() (net.Conn, error) { return net.Dial("tcp", to) })
}

// startRelay listens, in clear text if there is no configuration of TLS.
func startRelay(secure *tls.Config, dial func() (net.Conn, error)) (*relay, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(loopback.Host(), "0"))
	if err != nil {
		return nil, err
	}
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	r := &relay{listener: l, dial: dial, open: map[net.Conn]bool{}}
	r.serving.Go(r.serve)
	return r, nil
}

func (r *relay) address() string { return r.listener.Addr().String() }

func (r *relay) serve() {
	for {
		c, err := r.listener.Accept()
		if err != nil {
			return // it was closed
		}
		r.serving.Go(func() { r.hand(c) })
	}
}

// hand joins a connection with one of its own until either ends. One that cannot be made shows as a failed request.
func (r *relay) hand(c net.Conn) {
	defer r.forget(c)
	if !r.remember(c) {
		return
	}
	to, err := r.dial()
	if err != nil {
		return
	}
	defer r.forget(to)
	if !r.remember(to) {
		return
	}
	r.serving.Go(func() {
		_, _ = io.Copy(c, to)
		r.forget(c)
	})
	_, _ = io.Copy(to, c)
}

func (r *relay) remember(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		return false
	}
	r.open[c] = true
	return true
}

func (r *relay) forget(c net.Conn) {
	r.mu.Lock()
	delete(r.open, c)
	r.mu.Unlock()
	_ = c.Close()
}

func (r *relay) close() {
	_ = r.listener.Close()
	r.mu.Lock()
	open := r.open
	r.open = nil
	r.mu.Unlock()
	for c := range open {
		_ = c.Close()
	}
	r.serving.Wait()
}
