package translate

import (
	"strings"
	"unicode/utf8"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Files are read again only where they come as secrets, asked for by name: "pair|/etc/tls/tls.crt|/etc/tls/tls.key" and "ca|/etc/ssl/ca.pem". A
// name says all that is in its secret, so that secrets need not be kept, sent again or removed, and their order to other resources does not
// matter.
const (
	pairPrefix = "pair"
	caPrefix   = "ca"
	between    = "|"
)

// PairPrefix is what the names of secrets begin with that hold a certificate and its key. Statistics of Envoy have these names in them.
const PairPrefix = pairPrefix + between

// MaxSecretName bounds the name of a secret, in bytes: the longest has two paths, of which each byte may be escaped.
const MaxSecretName = 2*3*policy.MaxForeignBytes + 16

// Secret returns the secret of a name that listeners and clusters of this package ask for; ok is false for a name that they cannot ask for.
func Secret(name string) (r Resource, ok bool) {
	if len(name) > MaxSecretName || !utf8.ValidString(name) {
		return Resource{}, false
	}
	parts := strings.Split(name, between)
	for i, part := range parts[1:] {
		if parts[i+1] = unescape.Replace(part); parts[i+1] == "" {
			return Resource{}, false
		}
	}
	s := &tlsv3.Secret{Name: name}
	switch {
	case parts[0] == pairPrefix && len(parts) == 3:
		s.Type = &tlsv3.Secret_TlsCertificate{TlsCertificate: certificate(policy.KeyPair{CertificateFile: parts[1], KeyFile: parts[2]})}
	case parts[0] == caPrefix && len(parts) == 2:
		s.Type = &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: inFile(parts[1])}}
	default:
		return Resource{}, false
	}
	return resource(name, s), true
}

var (
	escape   = strings.NewReplacer("%", "%25", between, "%7C")
	unescape = strings.NewReplacer("%25", "%", "%7C", between)
)

func pairSecret(p policy.KeyPair) *tlsv3.SdsSecretConfig {
	return secretNamed(pairPrefix + between + escape.Replace(p.CertificateFile) + between + escape.Replace(p.KeyFile))
}

func caSecret(file string) *tlsv3.SdsSecretConfig {
	return secretNamed(caPrefix + between + escape.Replace(file))
}

func secretNamed(name string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: overADS()}
}

func certificate(p policy.KeyPair) *tlsv3.TlsCertificate {
	return &tlsv3.TlsCertificate{CertificateChain: inFile(p.CertificateFile), PrivateKey: inFile(p.KeyFile)}
}

func inFile(path string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: path}}
}
