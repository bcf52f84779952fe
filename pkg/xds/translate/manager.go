package translate

import (
	"time"

	mutationrulesv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	earlymutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	preservecasev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/header_formatters/preserve_case/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// StatPrefix is the prefix of the listener statistics, "http.ingress."; all ports share it.
const StatPrefix = "ingress"

const (
	// idleClient is how long a client's connection may be unused. It is above the longest idle timeout an ALB can be set to (4,000 s):
	// whatever stands in front closes first, so that no request meets a connection that we are just closing.
	idleClient = 70 * time.Minute
	// idleRequest is an ALB's idle timeout; it holds until a route is chosen, then the service's own does.
	idleRequest = 60 * time.Second
	// maxRequestHeadersKB leaves room above what an ALB lets through (64 KiB) for what it adds itself.
	maxRequestHeadersKB = 96
	// maxStreams is the number of requests at once on one HTTP/2 connection of a client: an ALB's.
	maxStreams = 128
	// streamWindow bounds, in bytes, what is held for one HTTP/2 stream of a client in either direction. Envoy's own 16 MiB would be held
	// for each answer that a client does not read.
	streamWindow = 1 << 20
	// noHost is the host of HTTP/1.0 requests that name none. No service can have it; such requests go to the host "*".
	noHost = "no-host.invalid"
)

// connectionManager is how a listener speaks HTTP: so that neither clients nor applications can tell it from an ALB, as far as that goes.
// docs/design/alb.md lists what is the same, what differs, and why.
func connectionManager(fleet *policy.Fleet, routeName string) *hcmv3.HttpConnectionManager {
	return &hcmv3.HttpConnectionManager{
		CodecType:  hcmv3.HttpConnectionManager_AUTO, // HTTP/1.0, HTTP/1.1 and cleartext HTTP/2 on one port
		StatPrefix: StatPrefix,
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
			RouteConfigName: routeName, ConfigSource: overADS(),
		}},
		HttpFilters: []*hcmv3.HttpFilter{timer(), router()},

		// Who the client is: the direct peer, or as many hops further back as the fleet trusts. x-forwarded-for, -proto and -port are
		// set as an ALB sets them.
		UseRemoteAddress:      yes(),
		XffNumTrustedHops:     uint32(fleet.TrustedHops),
		AppendXForwardedPort:  true,
		InternalAddressConfig: nobody(),

		// Nothing added, nothing replaced.
		EarlyHeaderMutationExtensions: []*corev3.TypedExtensionConfig{edgeHeaders()},
		ServerHeaderTransformation:    hcmv3.HttpConnectionManager_PASS_THROUGH,
		GenerateRequestId:             no(),
		PreserveExternalRequestId:     true,
		ForwardClientCertDetails:      hcmv3.HttpConnectionManager_ALWAYS_FORWARD_ONLY,
		NormalizePath:                 no(),
		MergeSlashes:                  false,
		PathWithEscapedSlashesAction:  hcmv3.HttpConnectionManager_KEEP_UNCHANGED,
		UpgradeConfigs:                []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket"}},
		HttpProtocolOptions:           http1(),
		Http2ProtocolOptions:          http2(),

		// Limits.
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{
			IdleTimeout:                  dur(idleClient),
			MaxHeadersCount:              u32(maxHeaders),
			HeadersWithUnderscoresAction: corev3.HttpProtocolOptions_ALLOW,
		},
		MaxRequestHeadersKb:   u32(maxRequestHeadersKB),
		StreamIdleTimeout:     dur(idleRequest),
		RequestHeadersTimeout: dur(idleRequest),

		LocalReplyConfig: localReplies(),
		AccessLog:        accessLog(),
	}
}

// nobody makes no client internal, which Envoy would take every private address for: none may steer retries, timeouts or tracing.
func nobody() *hcmv3.HttpConnectionManager_InternalAddressConfig {
	return &hcmv3.HttpConnectionManager_InternalAddressConfig{CidrRanges: []*corev3.CidrRange{nowhere()}}
}

func router() *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{
		Name:       "envoy.filters.http.router",
		ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: packed(&routerv3.Router{SuppressEnvoyHeaders: true})},
	}
}

// edgeHeaders removes what only we and Envoy may say, before anything reads it, and gives the request its fresh key. x-shadow stays: a
// request that is marked with it, by anyone, must not be mirrored again.
func edgeHeaders() *corev3.TypedExtensionConfig {
	return &corev3.TypedExtensionConfig{
		Name: "envoy.http.early_header_mutation.header_mutation",
		TypedConfig: packed(&earlymutationv3.HeaderMutation{Mutations: []*mutationrulesv3.HeaderMutation{
			removeHeaders("x-cf-"),
			removeHeaders("x-envoy-"),
			setHeader(keyHeader, freshKey),
		}}),
	}
}

func removeHeaders(prefix string) *mutationrulesv3.HeaderMutation {
	return &mutationrulesv3.HeaderMutation{Action: &mutationrulesv3.HeaderMutation_RemoveOnMatch_{
		RemoveOnMatch: &mutationrulesv3.HeaderMutation_RemoveOnMatch{
			KeyMatcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: prefix}},
		},
	}}
}

// setHeader sets a header to what a format of Envoy's makes, whatever was there.
func setHeader(name, format string) *mutationrulesv3.HeaderMutation {
	return &mutationrulesv3.HeaderMutation{Action: &mutationrulesv3.HeaderMutation_Append{Append: overwrite(name, format)}}
}

func overwrite(name, format string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: name, Value: format},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

// http2 has room on a connection for every stream of it to fill its window: one that stands still never holds up another.
func http2() *corev3.Http2ProtocolOptions {
	return &corev3.Http2ProtocolOptions{
		MaxConcurrentStreams:                    u32(maxStreams),
		InitialStreamWindowSize:                 u32(streamWindow),
		InitialConnectionWindowSize:             u32(maxStreams * streamWindow),
		OverrideStreamErrorOnInvalidHttpMessage: yes(),
	}
}

func http1() *corev3.Http1ProtocolOptions {
	return &corev3.Http1ProtocolOptions{
		AcceptHttp_10:         true,
		DefaultHostForHttp_10: noHost,
		EnableTrailers:        true,
		HeaderKeyFormat:       keepCase(),
		// An offer to change to TLS is passed over; without this it is answered 403. Envoy passes over h2c by itself.
		IgnoreHttp_11Upgrade: []*matcherv3.StringMatcher{{
			MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: "tls/"}, IgnoreCase: true,
		}},
	}
}

// keepCase hands HTTP/1.1 header names on as they were written, and writes those that Envoy adds like X-Forwarded-For.
func keepCase() *corev3.Http1ProtocolOptions_HeaderKeyFormat {
	return &corev3.Http1ProtocolOptions_HeaderKeyFormat{HeaderFormat: &corev3.Http1ProtocolOptions_HeaderKeyFormat_StatefulFormatter{
		StatefulFormatter: &corev3.TypedExtensionConfig{
			Name: "envoy.http.stateful_header_formatters.preserve_case",
			TypedConfig: packed(&preservecasev3.PreserveCaseFormatterConfig{
				ForwardReasonPhrase:         true,
				FormatterTypeOnEnvoyHeaders: preservecasev3.PreserveCaseFormatterConfig_PROPER_CASE,
			}),
		},
	}}
}
