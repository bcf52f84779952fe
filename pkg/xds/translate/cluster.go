package translate

import (
	"cmp"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	upstreamhttpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

const (
	// idleHTTP1 is how long an unused HTTP/1.1 connection to an origin is kept. It is below the keep-alive of every common server
	// (Node, uvicorn, Apache: 5 s), so that a request never meets a connection that the origin is just closing. ALB users have to raise
	// the application's keep-alive above 60 s for that; here nobody has to.
	idleHTTP1 = 4 * time.Second
	// idleHTTP2 is the same for HTTP/2, which says goodbye in an orderly way.
	idleHTTP2 = 5 * time.Minute
	// panicThreshold, in per cent: with no healthy endpoint at all, all are tried, as an ALB does. Envoy's own 50 would send requests
	// to three dead tasks of five.
	panicThreshold = 1
	// maxHeaders is the number of headers that a message may have. Envoy's own is 100.
	maxHeaders = 1000
	// bufferLimit bounds, in bytes, what one connection holds in memory in either direction.
	bufferLimit = 256 << 10
	// maxOriginStreams is the number of requests at once on one HTTP/2 connection to an origin; with more there is another connection.
	// Origins that allow fewer say so. Envoy's own.
	maxOriginStreams = 1024
)

// metadataKey is the namespace of what routes and clusters tell the access log about themselves.
const metadataKey = "crossfade"

func clusterResources(s *policy.Service) []Resource {
	out := make([]Resource, len(s.Origins), len(s.Origins)+2)
	for i := range s.Origins {
		out[i] = clusterResource(s, &s.Origins[i], policy.ClusterName(s.Name, s.Origins[i].Name))
	}
	out = append(out, eitherClusters(s)...)
	return append(out, shadowClusters(s)...)
}

func clusterResource(s *policy.Service, o *policy.Origin, name string) Resource {
	return ofOrigin(o, cluster(s, o, name))
}

func ofOrigin(o *policy.Origin, c *clusterv3.Cluster) Resource {
	r := resource(c.Name, c)
	r.EDS, r.Files = o.DNS == nil, c.TransportSocketMatches != nil
	return r
}

func cluster(s *policy.Service, o *policy.Origin, name string) *clusterv3.Cluster {
	c := &clusterv3.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{EdsConfig: overADS(), ServiceName: name},
		ConnectTimeout:       dur(o.ConnectTimeout),
		// An endpoint that discovery has dropped is gone, whatever its health check says.
		IgnoreHealthOnHostRemoval:     true,
		PerConnectionBufferLimitBytes: u32(bufferLimit),
		CircuitBreakers:               circuitBreakers(o.CircuitBreakers),
		UpstreamConnectionOptions:     keptAlive(),
		TypedExtensionProtocolOptions: speaking(upstreamHTTP(o.Protocol)),
		Metadata:                      metadata(map[string]string{"service": s.Name, "origin": o.Name}),
	}
	if o.HealthCheck != nil {
		c.HealthChecks = []*corev3.HealthCheck{healthCheck(s, o)}
	}
	if o.OutlierDetection != nil {
		c.OutlierDetection = outlierDetection(o.OutlierDetection)
	}
	balance(c, o)
	if o.TLS != nil {
		encrypt(c, o)
	}
	if o.DNS != nil {
		lookedUp(c, o.DNS)
	}
	return c
}

// keptAlive notices peers that vanished without a word.
func keptAlive() *clusterv3.UpstreamConnectionOptions {
	return &clusterv3.UpstreamConnectionOptions{TcpKeepalive: &corev3.TcpKeepalive{
		KeepaliveTime: u32(30), KeepaliveInterval: u32(10), KeepaliveProbes: u32(3), // seconds, seconds, count
	}}
}

func speaking(o *upstreamhttpv3.HttpProtocolOptions) map[string]*anypb.Any {
	return map[string]*anypb.Any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": packed(o)}
}

// overADS is a config source that asks on the aggregated stream and waits for the answer as long as it takes: a proxy never serves with a
// part of its configuration missing because an answer was slow.
func overADS() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		ResourceApiVersion:    corev3.ApiVersion_V3,
		InitialFetchTimeout:   dur(0),
	}
}

func circuitBreakers(b policy.CircuitBreakers) *clusterv3.CircuitBreakers {
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxConnections:     u32(b.MaxConnections),
		MaxPendingRequests: u32(b.MaxPendingRequests),
		MaxRequests:        u32(b.MaxRequests),
		MaxRetries:         u32(b.MaxRetries),
	}}}
}

func upstreamHTTP(p policy.Protocol) *upstreamhttpv3.HttpProtocolOptions {
	common := &corev3.HttpProtocolOptions{MaxHeadersCount: u32(maxHeaders)}
	explicit := &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig{}
	if p == policy.HTTP2 {
		common.IdleTimeout = dur(idleHTTP2)
		explicit.ProtocolConfig = &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
			Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
				AllowConnect:         true, // for WebSocket
				MaxConcurrentStreams: u32(maxOriginStreams),
				// A stream holds what a connection of HTTP/1.1 does, and a connection has room for all of them: clients that do not read
				// never hold up others. With Envoy's own, 16 MiB of 24, two of them stop all that share the connection.
				InitialStreamWindowSize:                 u32(bufferLimit),
				InitialConnectionWindowSize:             u32(maxOriginStreams * bufferLimit),
				OverrideStreamErrorOnInvalidHttpMessage: yes(), // a malformed message ends itself, not the others of its connection
			},
		}
	} else {
		common.IdleTimeout = dur(idleHTTP1)
		explicit.ProtocolConfig = &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{
			HttpProtocolOptions: &corev3.Http1ProtocolOptions{EnableTrailers: true, HeaderKeyFormat: keepCase()},
		}
	}
	return &upstreamhttpv3.HttpProtocolOptions{
		CommonHttpProtocolOptions: common,
		UpstreamProtocolOptions:   &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: explicit},
	}
}

func healthCheck(s *policy.Service, o *policy.Origin) *corev3.HealthCheck {
	h := o.HealthCheck
	check := &corev3.HealthCheck_HttpHealthCheck{Host: cmp.Or(h.Host, exactHost(s)), Path: h.Path}
	if o.Protocol == policy.HTTP2 {
		check.CodecClientType = typev3.CodecClientType_HTTP2
	}
	for _, r := range h.ExpectedStatuses {
		check.ExpectedStatuses = append(check.ExpectedStatuses, &typev3.Int64Range{Start: int64(r.From), End: int64(r.To) + 1})
	}
	return &corev3.HealthCheck{
		Interval: dur(h.Interval),
		// An origin at 0 % is checked as often as one in use: it must be known to be well before it gets traffic.
		NoTrafficInterval:  dur(h.Interval),
		Timeout:            dur(h.Timeout),
		UnhealthyThreshold: u32(h.UnhealthyThreshold),
		HealthyThreshold:   u32(h.HealthyThreshold),
		HealthChecker:      &corev3.HealthCheck_HttpHealthCheck_{HttpHealthCheck: check},
	}
}

// exactHost is the first host of a service that is a name, for health checks that name none. Envoy would send the cluster's name, which
// is no valid host and which some servers refuse. A service of wildcards only gets its own name.
func exactHost(s *policy.Service) string {
	for _, h := range s.Hosts {
		if !strings.HasPrefix(h, anyHost) {
			return h
		}
	}
	return s.Name
}

func outlierDetection(d *policy.OutlierDetection) *clusterv3.OutlierDetection {
	return &clusterv3.OutlierDetection{
		Consecutive_5Xx:          u32(d.ConsecutiveFailures),
		EnforcingConsecutive_5Xx: u32(100),
		Interval:                 dur(d.Interval),
		BaseEjectionTime:         dur(d.BaseEjectionTime),
		MaxEjectionPercent:       u32(d.MaxEjectionPercent),
		// Only what the user asked for: no ejection by comparison with the other endpoints.
		EnforcingSuccessRate:               u32(0),
		EnforcingConsecutiveGatewayFailure: u32(0),
	}
}

// metadata makes the metadata that the access log and error bodies read.
func metadata(fields map[string]string) *corev3.Metadata {
	st := &structpb.Struct{Fields: make(map[string]*structpb.Value, len(fields))}
	for k, v := range fields {
		st.Fields[k] = structpb.NewStringValue(v)
	}
	return &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{metadataKey: st}}
}
