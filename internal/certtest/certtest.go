// Package certtest makes authorities and certificates for tests.
package certtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// CA is an authority.
type CA struct {
	t       testing.TB
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
	serial  atomic.Int64
	PEM     []byte // its certificate
	revoked []x509.RevocationListEntry
}

// Spec says what is in a certificate. The zero value is good for an hour, for servers and clients, and has no name.
type Spec struct {
	Name      string             // common name
	SPIFFE    string             // the only URI
	DNS       []string           // names
	IPs       []string           // addresses
	NotBefore time.Duration      // from now; default −1 h
	NotAfter  time.Duration      // from now; default 1 h; negative: expired
	Usages    []x509.ExtKeyUsage // default: servers and clients
}

// Cert is a certificate with its key.
type Cert struct {
	Serial   *big.Int
	PEM, Key []byte
}

// New makes an authority.
func New(t testing.TB, name string) *CA {
	t.Helper()
	c := &CA{t: t, key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &c.key.PublicKey, c.key)
	if err != nil {
		t.Fatal(err)
	}
	if c.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	c.PEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return c
}

// Issue signs a certificate.
func (c *CA) Issue(s Spec) Cert {
	c.t.Helper()
	if s.NotBefore == 0 {
		s.NotBefore = -time.Hour
	}
	if s.NotAfter == 0 {
		s.NotAfter = time.Hour
	}
	key := newKey(c.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(100 + c.serial.Add(1)), Subject: pkix.Name{CommonName: s.Name}, DNSNames: s.DNS,
		NotBefore: time.Now().Add(min(s.NotBefore, s.NotAfter-time.Minute)), NotAfter: time.Now().Add(s.NotAfter),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if s.Usages != nil {
		template.ExtKeyUsage = s.Usages
	}
	if s.SPIFFE != "" {
		u, err := url.Parse(s.SPIFFE)
		if err != nil {
			c.t.Fatal(err)
		}
		template.URIs = []*url.URL{u}
	}
	for _, ip := range s.IPs {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(ip))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, &key.PublicKey, c.key)
	if err != nil {
		c.t.Fatal(err)
	}
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		c.t.Fatal(err)
	}
	return Cert{
		Serial: template.SerialNumber,
		PEM:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k}),
	}
}

// Revoke makes the list of all certificates that were revoked, in PEM.
func (c *CA) Revoke(certs ...Cert) []byte {
	c.t.Helper()
	for _, x := range certs {
		c.revoked = append(c.revoked, x509.RevocationListEntry{SerialNumber: x.Serial, RevocationTime: time.Now().Add(-time.Minute)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(c.serial.Add(1)), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour), RevokedCertificateEntries: c.revoked,
	}, c.cert, c.key)
	if err != nil {
		c.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// Files are the paths of a certificate, its key and the authority.
type Files struct{ Cert, Key, CA string }

// Write puts a certificate, its key and an authority into a directory. Over files that are there, each is replaced whole.
func (c *CA) Write(dir, name string, x Cert) Files {
	c.t.Helper()
	f := Files{Cert: filepath.Join(dir, name+".pem"), Key: filepath.Join(dir, name+".key"), CA: filepath.Join(dir, name+".ca.pem")}
	for path, data := range map[string][]byte{f.Cert: x.PEM, f.Key: x.Key, f.CA: c.PEM} {
		Replace(c.t, path, data)
	}
	return f
}

// Replace puts data into a file at once, as those who rotate certificates do.
func Replace(t testing.TB, path string, data []byte) {
	t.Helper()
	next := path + ".new"
	if err := os.WriteFile(next, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
