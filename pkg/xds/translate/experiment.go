package translate

import (
	"fmt"
	"net/netip"

	mutationrulesv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	earlymutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// ExperimentListener is the name of the listener through which comparators ask origins again, and the prefix of its statistics.
const ExperimentListener = "experiment"

// HeaderFailed is on an answer of the experiment listener that no origin gave: Envoy's response flags say why there is none, "UF" for
// example. Origins cannot set it.
const HeaderFailed = "x-cf-failed"

// ExperimentAddress reads the node metadata crossfade.experiment_address, IP:PORT; empty is none, and an invalid AddrPort. Without TLS only loopback is
// allowed: whoever reaches the listener can ask origins past all that stands in front of a proxy.
func ExperimentAddress(metadata string, secure bool) (netip.AddrPort, error) {
	if metadata == "" {
		return netip.AddrPort{}, nil
	}
	at, err := netip.ParseAddrPort(metadata)
	switch {
	case err != nil || at.Addr().Zone() != "" || at.Port() == 0:
		return netip.AddrPort{}, fmt.Errorf("%.64q: IP:PORT is needed, IPv6 in brackets", metadata)
	case at.Addr().IsUnspecified():
		return netip.AddrPort{}, fmt.Errorf("%s: comparators need an address to ask at", at)
	case !secure && !at.Addr().Unmap().IsLoopback():
		return netip.AddrPort{}, fmt.Errorf("%s: others could reach this address: without TLS only loopback addresses are served", at)
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), nil
}

// experimentListener hands requests of comparators (of all that reach it, or by TLS of those of a name) to the one cluster that they name, as they are, once.
func experimentListener(at netip.AddrPort, secure string) *listenerv3.Listener {
	l := listenerTemplate{port: int(at.Port()), name: ExperimentListener, manager: packed(experimentManager())}.listener(at.Addr().String())
	if secure != "" {
		l.FilterChains[0].TransportSocket = fromComparators(secure)
	}
	return l
}

// experimentManager speaks HTTP like the other listeners, but is no edge: requests come from there, and have gone through one.
func experimentManager() *hcmv3.HttpConnectionManager {
	m := connectionManager(&policy.Fleet{}, "")
	m.StatPrefix = ExperimentListener
	m.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: experimentRoutes()}
	m.UseRemoteAddress, m.AppendXForwardedPort = no(), false
	m.UpgradeConfigs = nil
	m.HttpFilters = []*hcmv3.HttpFilter{router()}
	m.EarlyHeaderMutationExtensions = []*corev3.TypedExtensionConfig{{
		Name:        "envoy.http.early_header_mutation.header_mutation",
		TypedConfig: packed(&earlymutationv3.HeaderMutation{Mutations: []*mutationrulesv3.HeaderMutation{removeHeaders("x-envoy-")}}),
	}}
	// Of Envoy's own answers only the cause counts.
	m.LocalReplyConfig = &hcmv3.LocalReplyConfig{Mappers: []*hcmv3.ResponseMapper{{
		Filter:       anyStatus(),
		HeadersToAdd: []*corev3.HeaderValueOption{overwrite(HeaderFailed, "%RESPONSE_FLAGS%"), sayWho()},
	}}}
	m.AccessLog = nil // comparators count
	return m
}

// sayWho tells comparators which proxy answers, so that they trust no other that has its address. Origins cannot set it.
func sayWho() *corev3.HeaderValueOption { return overwrite(policy.HeaderVia, nodeID) }

// experimentRoutes lead to clusters of running mirrors alone: live ones have no "@" in their name.
func experimentRoutes() *routev3.RouteConfiguration {
	return &routev3.RouteConfiguration{
		Name: ExperimentListener,
		VirtualHosts: []*routev3.VirtualHost{{Name: ExperimentListener, Domains: []string{anyHost}, Routes: []*routev3.Route{{
			Match: &routev3.RouteMatch{
				PathSpecifier: prefixMatch("/").PathSpecifier,
				Headers: []*routev3.HeaderMatcher{{
					Name:                 policy.HeaderTarget,
					HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: fullRegex(`[^@]+@shadow`)},
				}},
			},
			Action: &routev3.Route_Route{Route: &routev3.RouteAction{
				ClusterSpecifier: &routev3.RouteAction_ClusterHeader{ClusterHeader: policy.HeaderTarget},
				Timeout:          dur(0), // the comparator's
			}},
		}}}},
		RequestHeadersToRemove:  []string{policy.HeaderTarget, policy.HeaderMirror, policy.HeaderProxy, policy.HeaderSent, keyHeader},
		ResponseHeadersToRemove: []string{HeaderFailed},
		ResponseHeadersToAdd:    []*corev3.HeaderValueOption{sayWho()},
	}
}
