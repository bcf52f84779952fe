package translate

import (
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Files come twice. What is used gets them as secrets, which Envoy reads again when they change; but a secret whose files are missing or do not
// fit is found out only when the cluster or listener has been taken, and in use, or waited for. So both have a part beside that nothing can
// reach, with the files named outright: Envoy reads them before it takes the whole, and refuses it in words that name the file.
//
// The authorities of the machine, more than a hundred, would cost memory and time for each origin. So one cluster reads them for all.

// checked is the name of such a part.
const checked = "files"

// encrypt makes a cluster speak TLS to its endpoints.
func encrypt(c *clusterv3.Cluster, o *policy.Origin) {
	c.TransportSocket = toOrigin(o, true)
	files := *o
	secure := *o.TLS
	secure.SkipVerify = secure.SkipVerify || ofMachine(o)
	if files.TLS = &secure; secure.SkipVerify && secure.Show == nil {
		return
	}
	c.TransportSocketMatches = []*clusterv3.Cluster_TransportSocketMatch{{
		Name:            checked,
		Match:           &structpb.Struct{Fields: map[string]*structpb.Value{"crossfade.never": structpb.NewBoolValue(true)}}, // no endpoint has it
		TransportSocket: toOrigin(&files, false),
	}}
}

// ofMachine says whether an origin is verified by the authorities of the proxy's machine.
func ofMachine(o *policy.Origin) bool {
	return o.TLS != nil && !o.TLS.SkipVerify && o.TLS.CAFile == policy.DefaultCAFile
}

// authoritiesName is the name of the cluster that reads the authorities of the machine, and does nothing else. No origin can have it.
const authoritiesName = "@authorities"

// authorities returns that cluster, if any of the services needs it.
func authorities(services []*policy.Service) []Resource {
	needed := slices.ContainsFunc(services, func(s *policy.Service) bool {
		return slices.ContainsFunc(s.Origins, func(o policy.Origin) bool { return ofMachine(&o) })
	})
	if !needed {
		return nil
	}
	common := &tlsv3.CommonTlsContext{}
	verifying(common, false, policy.DefaultCAFile, &tlsv3.CertificateValidationContext{})
	r := resource(authoritiesName, &clusterv3.Cluster{
		Name:                 authoritiesName,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		TransportSocket:      overTLS(&tlsv3.UpstreamTlsContext{Sni: "authorities.invalid", CommonTlsContext: common}),
	})
	r.Files = true
	return []Resource{r}
}

// toOrigin is the transport socket that speaks TLS to the endpoints of an origin; watched says how it gets its files.
func toOrigin(o *policy.Origin, watched bool) *corev3.TransportSocket {
	common := &tlsv3.CommonTlsContext{AlpnProtocols: []string{"http/1.1"}, TlsParams: versions(policy.DefaultTLSVersion)}
	if o.Protocol == policy.HTTP2 {
		common.AlpnProtocols = []string{"h2"}
	}
	if o.TLS.Show != nil {
		showing(common, watched, *o.TLS.Show)
	}
	if !o.TLS.SkipVerify {
		verifying(common, watched, o.TLS.CAFile, &tlsv3.CertificateValidationContext{
			MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{{
				SanType: tlsv3.SubjectAltNameMatcher_DNS,
				Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: o.TLS.ServerName}},
			}},
		})
	}
	return overTLS(&tlsv3.UpstreamTlsContext{Sni: o.TLS.ServerName, CommonTlsContext: common})
}

// toClients is the transport socket by which a port is served.
func toClients(t *policy.ListenerTLS, watched bool) *corev3.TransportSocket {
	common := &tlsv3.CommonTlsContext{AlpnProtocols: []string{"h2", "http/1.1"}, TlsParams: versions(t.MinVersion)}
	showing(common, watched, t.Certificates...)
	d := &tlsv3.DownstreamTlsContext{CommonTlsContext: common, RequireClientCertificate: no()}
	if t.ClientCAFile != "" {
		d.RequireClientCertificate = yes()
		verifying(common, watched, t.ClientCAFile, &tlsv3.CertificateValidationContext{})
	}
	return overTLS(d)
}

// showing makes a context show certificates.
func showing(common *tlsv3.CommonTlsContext, watched bool, pairs ...policy.KeyPair) {
	for _, p := range pairs {
		if watched {
			common.TlsCertificateSdsSecretConfigs = append(common.TlsCertificateSdsSecretConfigs, pairSecret(p))
		} else {
			common.TlsCertificates = append(common.TlsCertificates, certificate(p))
		}
	}
}

// verifying makes a context verify the peer by authorities in a file, and by what else is in rules, which it takes.
func verifying(common *tlsv3.CommonTlsContext, watched bool, caFile string, rules *tlsv3.CertificateValidationContext) {
	if !watched {
		rules.TrustedCa = inFile(caFile)
		common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: rules}
		return
	}
	common.ValidationContextType = &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
		DefaultValidationContext: rules, ValidationContextSdsSecretConfig: caSecret(caFile),
	}}
}

func versions(lowest string) *tlsv3.TlsParameters {
	p := &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2, TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3}
	if lowest == "1.3" {
		p.TlsMinimumProtocolVersion = tlsv3.TlsParameters_TLSv1_3
	}
	return p
}

func overTLS(context proto.Message) *corev3.TransportSocket {
	return &corev3.TransportSocket{Name: "envoy.transport_sockets.tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: packed(context)}}
}

// sayWhose tells applications in x-forwarded-client-cert whose certificate a client has shown, in place of what clients wrote there.
func sayWhose(m *hcmv3.HttpConnectionManager) {
	m.ForwardClientCertDetails = hcmv3.HttpConnectionManager_SANITIZE_SET
	m.SetCurrentClientCertDetails = &hcmv3.HttpConnectionManager_SetCurrentClientCertDetails{Subject: yes(), Uri: true, Dns: true}
}
