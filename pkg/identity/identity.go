// Package identity says who a peer is by its certificate, and which names a rule means. It trusts what a handshake has verified, and nothing else.
package identity

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// MaxBytes bounds a name. A SPIFFE id has at most 2048 bytes.
const MaxBytes = 2048

const scheme = "spiffe"

// Of returns the name in a certificate: its SPIFFE id (the only URI among its alternative names, as the X.509-SVID standard has it), else its first DNS
// name, else its common name. Many authorities check the alternative names only: so a common name, or a DNS name, that looks like a SPIFFE id is
// refused, and so is a common name that looks like a DNS name.
func Of(c *x509.Certificate) (string, error) {
	name := c.Subject.CommonName
	switch {
	case len(c.URIs) > 1:
		return "", errors.New("the certificate has several URIs among its names, and a SPIFFE id stands alone")
	case len(c.URIs) == 1:
		if err := checkSPIFFE(c.URIs[0]); err != nil {
			return "", err
		}
		name = c.URIs[0].String()
	case len(c.DNSNames) > 0:
		name = c.DNSNames[0]
	case strings.Contains(name, ".") && !strings.Contains(name, "@"):
		return "", fmt.Errorf("the certificate's common name %q looks like a DNS name: it counts among the alternative names only", name)
	}
	switch {
	case len(c.URIs) == 0 && strings.ContainsAny(name, "/:"):
		return "", fmt.Errorf("the certificate's name %q is no DNS name: a SPIFFE id is a URI among the alternative names", name)
	case name == "":
		return "", errors.New("the certificate has no name: no SPIFFE id, no DNS name, no common name")
	case len(name) > MaxBytes:
		return "", fmt.Errorf("the certificate's name has %d bytes, at most %d are allowed", len(name), MaxBytes)
	case strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return "", errors.New("the certificate's name has spaces or control characters")
	}
	return name, nil
}

// checkSPIFFE refuses what is no SPIFFE id of a workload (https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md).
func checkSPIFFE(u *url.URL) error {
	text := u.String()
	switch {
	case u.Scheme != scheme:
		return fmt.Errorf("the certificate's URI %q is no SPIFFE id", text)
	case u.Host == "" || u.Port() != "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return fmt.Errorf("%q is no SPIFFE id: it is spiffe://TRUST-DOMAIN/PATH", text)
	}
	for segment := range strings.SplitSeq(strings.TrimPrefix(u.EscapedPath(), "/"), "/") {
		if segment == "" || segment == "." || segment == ".." || strings.Contains(segment, "%") {
			return fmt.Errorf("%q is no SPIFFE id of a workload: its path has an empty, relative or encoded segment", text)
		}
	}
	return nil
}

// Caller is who makes a call.
type Caller struct {
	Name string // empty: nobody has shown who it is
}

// Verified says whether a certificate showed who calls.
func (c Caller) Verified() bool { return c.Name != "" }

// FromContext returns who makes a gRPC call; the error says what is wrong with a certificate that was verified.
func FromContext(ctx context.Context) (Caller, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return Caller{}, nil
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return Caller{}, nil
	}
	name, err := Of(info.State.VerifiedChains[0][0])
	return Caller{Name: name}, err
}

// A Pattern is a name, or with "/*" at its end all names below: "spiffe://example.test/ci/*" means spiffe://example.test/ci/orders and
// spiffe://example.test/ci/a/b. With "*." at its beginning it means all DNS names below: "*.proxies.test".
type Pattern string

// Check says what is wrong with a pattern; nil: nothing.
func (p Pattern) Check() error {
	s := string(p)
	rest := strings.TrimSuffix(strings.TrimPrefix(s, "*."), "/*")
	switch {
	case s == "" || len(s) > MaxBytes || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return fmt.Errorf("a name has 1 to %d bytes, without spaces", MaxBytes)
	case strings.Contains(rest, "*") || rest == "":
		return errors.New(`a star stands for all names below: at the end as in "spiffe://example.test/ci/*", or at the beginning as in "*.proxies.test"`)
	case strings.HasSuffix(s, "/*") && !belowTrustDomain(s):
		return errors.New(`"/*" is for SPIFFE ids: spiffe://TRUST-DOMAIN/PATH/*`)
	case strings.HasPrefix(s, "*.") && strings.Contains(s, "/"):
		return errors.New(`"*." is for DNS names, without a path`)
	}
	return nil
}

// belowTrustDomain says whether a pattern of SPIFFE ids names a trust domain: "spiffe://*" would mean everybody in all of them.
func belowTrustDomain(s string) bool {
	rest, ok := strings.CutPrefix(s, scheme+"://")
	domain, _, path := strings.Cut(rest, "/")
	return ok && path && domain != ""
}

// Matches says whether a pattern means a name.
func (p Pattern) Matches(name string) bool {
	s := string(p)
	if below, ok := strings.CutSuffix(s, "*"); ok && strings.HasSuffix(below, "/") {
		return strings.HasPrefix(name, below) && len(name) > len(below)
	}
	if above, ok := strings.CutPrefix(s, "*"); ok {
		return strings.HasSuffix(name, above) && len(name) > len(above) && !strings.ContainsAny(name, "/@")
	}
	return s == name
}
