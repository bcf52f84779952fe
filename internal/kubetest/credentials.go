package kubetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Admin is the user who may do anything.
const Admin = "admin"

// User is somebody whom the API server knows, by a token.
type User struct {
	Name   string
	Groups []string
}

// token is the token of a user.
func token(name string) string { return "token-of-" + name }

// AccountsKey is the key, in PEM, with which the server signs the tokens of service accounts.
func (s *Server) AccountsKey() []byte {
	s.t.Helper()
	text, err := os.ReadFile(s.path("accounts.key"))
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

// writeTokens writes the file of tokens.
func writeTokens(path string, users []User) error {
	var b strings.Builder
	for _, u := range append([]User{{Name: Admin, Groups: []string{"system:masters"}}}, users...) {
		fmt.Fprintf(&b, "%s,%s,%s,%q\n", token(u.Name), u.Name, u.Name, strings.Join(u.Groups, ","))
	}
	return os.WriteFile(path, []byte(b.String()), 0o600)
}

// writeKeys makes a certificate authority, a certificate of it for host, and the key of service accounts, in dir.
func writeKeys(dir, host string) error {
	now := time.Now()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kubetest"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "kube-apiserver"}, IPAddresses: []net.IP{net.ParseIP(host)},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := writeCertificate(filepath.Join(dir, "ca.crt"), authority, authority, authorityKey, authorityKey); err != nil {
		return err
	}
	if err := writeCertificate(filepath.Join(dir, "tls.crt"), server, authority, serverKey, authorityKey); err != nil {
		return err
	}
	accounts, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := writeKey(filepath.Join(dir, "accounts.key"), accounts); err != nil {
		return err
	}
	return writeKey(filepath.Join(dir, "tls.key"), serverKey)
}

func writeCertificate(path string, c, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) error {
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, parentKey)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}
