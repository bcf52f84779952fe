package mtls

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/identity"
)

// A RevokedError says that a certificate is on a list of its authority.
type RevokedError struct{ Subject, Serial string }

// Error is a sentence.
func (e *RevokedError) Error() string {
	return fmt.Sprintf("the certificate of %s, serial %s, was revoked", e.Subject, e.Serial)
}

// Reasons for which a peer is refused: labels of metrics.
const (
	ReasonNone      = "no_certificate"
	ReasonExpired   = "expired"
	ReasonEarly     = "not_yet_valid"
	ReasonAuthority = "unknown_authority"
	ReasonUsage     = "wrong_usage"
	ReasonRevoked   = "revoked"
	ReasonPlain     = "not_tls"
	ReasonGone      = "gone" // the peer went away; port scans and health checks do
	ReasonOther     = "other"
)

// reasonOf gives the label of an error of a handshake.
func reasonOf(err error) string {
	text := err.Error()
	has := func(part string) bool { return strings.Contains(text, part) }
	// By their words: of an http.Server no more is known of them, and some have no type.
	switch {
	case has("was revoked"):
		return ReasonRevoked
	case has("has expired or is not yet valid") && has(" is before "):
		return ReasonEarly
	case has("has expired or is not yet valid"):
		return ReasonExpired
	case has("incompatible key usage"):
		return ReasonUsage
	case has("unknown authority"):
		return ReasonAuthority
	case has("does not look like a TLS handshake") || has("sent an HTTP request to an HTTPS server"):
		return ReasonPlain
	case has("didn't provide a certificate"):
		return ReasonNone
	case has("EOF") || has("reset by peer"):
		return ReasonGone
	}
	return ReasonOther
}

// accept looks for a chain of which nothing was revoked. The error is a *RevokedError.
func (m *material) accept(chains [][]*x509.Certificate) ([]*x509.Certificate, error) {
	err := errors.New("no certificate was verified")
	for _, chain := range chains {
		if err = m.revoked(chain); err == nil {
			return chain, nil
		}
	}
	return nil, err
}

// revoked says which certificate of a chain is on the list of its issuer.
func (m *material) revoked(chain []*x509.Certificate) error {
	for i := 0; i+1 < len(chain); i++ {
		c, issuer := chain[i], chain[i+1]
		named, signed := false, false
		for _, list := range m.lists {
			if !bytes.Equal(list.RawIssuer, issuer.RawSubject) {
				continue
			}
			named = true
			if list.CheckSignatureFrom(issuer) != nil {
				continue // of another authority of that name: an old key, or a new one
			}
			signed = true
			for _, e := range list.RevokedCertificateEntries {
				if e.SerialNumber.Cmp(c.SerialNumber) == 0 {
					return &RevokedError{nameOf(c), c.SerialNumber.Text(16)}
				}
			}
		}
		if named && !signed {
			return fmt.Errorf("whether the certificate of %s was revoked is not known: no list of %q is signed with the key of its issuer", nameOf(c), issuer.Subject)
		}
	}
	return nil
}

// again verifies a peer anew whose certificates were good once.
func (m *material) again(peer []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) error {
	between := x509.NewCertPool()
	for _, c := range peer[1:] {
		between.AddCert(c)
	}
	chains, err := peer[0].Verify(x509.VerifyOptions{Roots: m.roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
	if err != nil {
		return err
	}
	_, err = m.accept(chains)
	return err
}

// nameOf is how a certificate is called in sentences.
func nameOf(c *x509.Certificate) string {
	if name, err := identity.Of(c); err == nil {
		return name
	}
	return fmt.Sprintf("%q", c.Subject.String())
}
