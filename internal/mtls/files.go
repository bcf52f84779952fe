package mtls

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// maxFile bounds a file, in bytes. Lists of a big authority are that long.
const maxFile = 16 << 20

// Files are the paths of what a process shows and believes, all in PEM.
type Files struct {
	Cert string // its certificate, then those between it and its authority
	Key  string
	CA   string // authorities of peers, one or more
	CRL  string // lists of revoked certificates, one or more; empty: none
}

// paths are those that are given, in the order in which they are read.
func (f Files) paths() []string {
	out := []string{f.Cert, f.Key, f.CA}
	if f.CRL != "" {
		out = append(out, f.CRL)
	}
	return out
}

// A FileError says which file is bad.
type FileError struct {
	Path string
	Err  error
}

// Error is a sentence without what to do.
func (e *FileError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e *FileError) Unwrap() error { return e.Err }

// material is what the files hold. Immutable.
type material struct {
	cert  tls.Certificate
	roots *x509.CertPool
	known []*x509.Certificate // the roots
	lists []*x509.RevocationList
	ends  map[string]time.Time // when what is in a file expires first, by path
}

// load reads the files. The error is a *FileError.
func load(f Files, now time.Time) (*material, error) {
	m := &material{ends: map[string]time.Time{}}
	if err := m.loadPair(f, now); err != nil {
		return nil, err
	}
	if err := m.loadAuthorities(f.CA); err != nil {
		return nil, &FileError{f.CA, err}
	}
	if f.CRL != "" {
		if err := m.loadLists(f.CRL); err != nil {
			return nil, &FileError{f.CRL, err}
		}
	}
	return m, nil
}

func (m *material) loadPair(f Files, now time.Time) error {
	cert, err := read(f.Cert)
	if err != nil {
		return &FileError{f.Cert, err}
	}
	key, err := read(f.Key)
	if err != nil {
		return &FileError{f.Key, err}
	}
	chain, err := certificates(cert)
	if err != nil {
		return &FileError{f.Cert, err}
	}
	switch leaf := chain[0]; {
	case now.After(leaf.NotAfter):
		return &FileError{f.Cert, fmt.Errorf("the certificate expired at %s", leaf.NotAfter.Format(time.RFC3339))}
	case now.Before(leaf.NotBefore):
		return &FileError{f.Cert, fmt.Errorf("the certificate is good from %s on", leaf.NotBefore.Format(time.RFC3339))}
	}
	if m.cert, err = tls.X509KeyPair(cert, key); err != nil {
		return &FileError{f.Key, fmt.Errorf("with %s: %w", f.Cert, plain(err))} // the certificate alone is good
	}
	m.ends[f.Cert] = earliest(chain)
	return nil
}

func (m *material) loadAuthorities(path string) error {
	data, err := read(path)
	if err != nil {
		return err
	}
	if m.known, err = certificates(data); err != nil {
		return err
	}
	m.roots = x509.NewCertPool()
	for _, c := range m.known {
		if !c.IsCA {
			return fmt.Errorf("the certificate of %q is not one of an authority", c.Subject)
		}
		m.roots.AddCert(c)
	}
	m.ends[path] = earliest(m.known)
	return nil
}

// deltaList marks a list that only tells what has changed since another (RFC 5280, 5.2.4).
var deltaList = []int{2, 5, 29, 27}

func (m *material) loadLists(path string) error {
	data, err := read(path)
	if err != nil {
		return err
	}
	err = blocks(data, "X509 CRL", func(der []byte) error {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return plain(err)
		}
		for _, e := range list.Extensions {
			if e.Id.Equal(deltaList) {
				return errors.New("holds a delta list; a full one is needed")
			}
		}
		if named := issuers(list, m.known); len(named) > 0 && !slices.ContainsFunc(named, func(c *x509.Certificate) bool { return list.CheckSignatureFrom(c) == nil }) {
			return fmt.Errorf("the list of %q is not signed by it", list.Issuer)
		}
		m.lists = append(m.lists, list)
		if next := list.NextUpdate; !next.IsZero() && (m.ends[path].IsZero() || next.Before(m.ends[path])) {
			m.ends[path] = next
		}
		return nil
	})
	return err
}

// unlisted are the authorities of which there is no list.
func (m *material) unlisted() (out []*x509.Certificate) {
	for _, c := range m.known {
		if !slices.ContainsFunc(m.lists, func(l *x509.RevocationList) bool { return bytes.Equal(l.RawIssuer, c.RawSubject) }) {
			out = append(out, c)
		}
	}
	return out
}

// follows refuses what would take back revocations of before: the list is gone of an authority that was not taken out, or of one below those, which no
// file here names.
func (m *material) follows(before *material) error {
	for _, l := range before.lists {
		there := slices.ContainsFunc(m.lists, func(x *x509.RevocationList) bool { return bytes.Equal(x.RawIssuer, l.RawIssuer) })
		takenOut := len(issuers(l, before.known)) > 0 && len(issuers(l, m.known)) == 0
		if !there && !takenOut {
			return fmt.Errorf("the list of %q is gone, and what it has revoked would count again: put it back, or take the authority out; "+
				"a restart takes the file as it is", l.Issuer)
		}
	}
	return nil
}

// issuers are the certificates that a list names as its issuer.
func issuers(list *x509.RevocationList, all []*x509.Certificate) (out []*x509.Certificate) {
	for _, c := range all {
		if bytes.Equal(c.RawSubject, list.RawIssuer) {
			out = append(out, c)
		}
	}
	return out
}

// read reads a file of at most [maxFile] bytes.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, reason(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, reason(err)
	case len(data) > maxFile:
		return nil, fmt.Errorf("has more than %d MiB", maxFile>>20)
	}
	return data, nil
}

// reason is what went wrong with a file, without its name.
func reason(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("cannot be read: %w", path.Err)
	}
	return err
}

// plain is an error of the libraries in words that do not name them.
func plain(err error) error {
	text := err.Error()
	for _, prefix := range []string{"tls: ", "x509: "} {
		if len(text) > len(prefix) && text[:len(prefix)] == prefix {
			return errors.New(text[len(prefix):])
		}
	}
	return err
}

// certificates reads all certificates of a file, at least one.
func certificates(data []byte) (out []*x509.Certificate, err error) {
	err = blocks(data, "CERTIFICATE", func(der []byte) error {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return plain(err)
		}
		out = append(out, c)
		return nil
	})
	return out, err
}

// blocks gives each block of PEM of a kind to take; there must be one.
func blocks(data []byte, kind string, take func(der []byte) error) error {
	n := 0
	for {
		var b *pem.Block
		if b, data = pem.Decode(data); b == nil {
			break
		}
		if b.Type != kind {
			continue
		}
		n++
		if err := take(b.Bytes); err != nil {
			return err
		}
	}
	if n == 0 {
		return fmt.Errorf("holds no PEM block %q", kind)
	}
	return nil
}

// earliest is when the first of some certificates expires.
func earliest(all []*x509.Certificate) time.Time {
	return slices.MinFunc(all, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) }).NotAfter
}
