package translate

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	proxyprotocolv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/proxy_protocol/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// DefaultListenAddress is where a proxy listens whose node metadata names no address.
const DefaultListenAddress = "0.0.0.0"

// listenerTemplate is a listener without its address, which differs from proxy to proxy.
type listenerTemplate struct {
	name          string
	port          int
	manager       *anypb.Any // HttpConnectionManager
	proxyProtocol bool
	tls           *policy.ListenerTLS // nil: clear text
}

// Listeners renders the listeners for proxies that listen on address, sorted by name. The address is an IP address, from the node
// metadata crossfade.listen_address; "" is DefaultListenAddress. Where requests are copied, proxies whose metadata has a usable
// crossfade.experiment_address, see [ExperimentAddress], have the experiment listener there. Proxies with the same addresses can share
// the result.
func (st *Structure) Listeners(address, experiment string) []Resource {
	if address == "" {
		address = DefaultListenAddress
	}
	out := make([]Resource, 0, len(st.listeners)+1)
	if at, err := ExperimentAddress(experiment, st.comparators != ""); err == nil && at.IsValid() && st.experiments {
		out = append(out, resource(ExperimentListener, experimentListener(at, st.comparators)))
	}
	for _, t := range st.listeners {
		r := resource(t.name, t.listener(address))
		r.Files = t.tls != nil
		out = append(out, r)
	}
	return out
}

func (t listenerTemplate) listener(address string) *listenerv3.Listener {
	l := &listenerv3.Listener{
		Name:                          t.name,
		Address:                       socketAddress(address, t.port),
		TrafficDirection:              corev3.TrafficDirection_INBOUND, // what `drain_listeners?inboundonly` drains
		PerConnectionBufferLimitBytes: u32(bufferLimit),
		EnableReusePort:               yes(),
		FilterChains:                  t.chains(),
	}
	if t.proxyProtocol {
		l.ListenerFilters = []*listenerv3.ListenerFilter{{
			Name:       "envoy.filters.listener.proxy_protocol",
			ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: packed(&proxyprotocolv3.ProxyProtocol{})},
		}}
	}
	return l
}

// chains are what becomes of a connection; of a port that is served by TLS, beside that, what makes Envoy look at the files first.
func (t listenerTemplate) chains() []*listenerv3.FilterChain {
	serve := &listenerv3.FilterChain{Filters: []*listenerv3.Filter{{
		Name:       "envoy.filters.network.http_connection_manager",
		ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: t.manager},
	}}}
	if t.tls == nil {
		return []*listenerv3.FilterChain{serve}
	}
	serve.TransportSocket = toClients(t.tls, true)
	return []*listenerv3.FilterChain{serve, {
		Name:             checked,
		FilterChainMatch: &listenerv3.FilterChainMatch{DirectSourcePrefixRanges: []*corev3.CidrRange{nowhere()}},
		TransportSocket:  toClients(t.tls, false),
	}}
}

// nowhere is a range of addresses from which nobody comes.
func nowhere() *corev3.CidrRange {
	return &corev3.CidrRange{AddressPrefix: "255.255.255.255", PrefixLen: u32(32)}
}
