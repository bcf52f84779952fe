package translate

import (
	"net/netip"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Secrets of a proxy itself, by which it knows the control plane and its comparators, and is known: each proxy has its own files, and all have these
// names for them, so that clusters and listeners are the same.
const (
	ProxyPair = "proxy"
	ProxyCA   = "proxy-ca"
)

// ProxyFiles are the files of a proxy, by node metadata.
type ProxyFiles struct{ Certificate, Key, CA string }

// Secret returns a secret of the proxy itself; ok is false for other names, and where the proxy names no such files.
func (f ProxyFiles) Secret(name string) (r Resource, ok bool) {
	switch {
	case name == ProxyPair && f.Certificate != "" && f.Key != "":
		pair := certificate(policy.KeyPair{CertificateFile: f.Certificate, KeyFile: f.Key})
		return resource(name, &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: pair}}), true
	case name == ProxyCA && f.CA != "":
		ca := &tlsv3.CertificateValidationContext{TrustedCa: inFile(f.CA)}
		return resource(name, &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_ValidationContext{ValidationContext: ca}}), true
	}
	return Resource{}, false
}

// toComparators is the transport socket by which a proxy and comparators of a name speak, from the proxy's side.
func toComparators(name string) *corev3.TransportSocket {
	return overTLS(&tlsv3.UpstreamTlsContext{CommonTlsContext: withComparators(name)})
}

// fromComparators is the same for the listener through which they ask.
func fromComparators(name string) *corev3.TransportSocket {
	return overTLS(&tlsv3.DownstreamTlsContext{CommonTlsContext: withComparators(name), RequireClientCertificate: yes()})
}

func withComparators(name string) *tlsv3.CommonTlsContext {
	kind := tlsv3.SubjectAltNameMatcher_DNS
	if _, err := netip.ParseAddr(name); err == nil {
		kind = tlsv3.SubjectAltNameMatcher_IP_ADDRESS
	} else if strings.HasPrefix(name, "spiffe://") {
		kind = tlsv3.SubjectAltNameMatcher_URI
	}
	return &tlsv3.CommonTlsContext{
		AlpnProtocols:                  []string{"http/1.1"},
		TlsParams:                      versions("1.3"),
		TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{secretNamed(ProxyPair)},
		ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			DefaultValidationContext: &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{{
				SanType: kind, Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: name}},
			}}},
			ValidationContextSdsSecretConfig: secretNamed(ProxyCA),
		}},
	}
}
