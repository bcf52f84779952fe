package translate

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	commondnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/common/dns/v3"
	dnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	caresv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/network/dns_resolver/cares/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// How often a name is looked up: when its answer runs out; where no answer came, sooner at first. Failures and silence leave what was known;
// an answer that there are no addresses ends strict endpoints at once, see docs/design/endpoints.md.
const (
	dnsWithoutTTL = time.Second // also after an answer that runs out at once, and after one without addresses
	dnsRetryFirst = 500 * time.Millisecond
	dnsRetryLast  = 5 * time.Second
)

// How long one look-up may take: a second, then about two. A proxy that starts waits for the first look-up of each name before it asks for
// any endpoints: silent DNS servers hold it for 6 s, and with Envoy's own four tries from five seconds on it would be 100 s. The cluster tries
// again by itself.
const (
	dnsTimeout = 1 // seconds; doubled for each further try
	dnsTries   = 2 // of each server
)

// lookedUp makes a cluster find its endpoints by DNS, each proxy by itself: it goes on while the control plane is down.
func lookedUp(c *clusterv3.Cluster, d *policy.DNSName) {
	config := &dnsv3.DnsCluster{
		DnsRefreshRate:        dur(dnsWithoutTTL),
		DnsFailureRefreshRate: &dnsv3.DnsCluster_RefreshRate{BaseInterval: dur(dnsRetryFirst), MaxInterval: dur(dnsRetryLast)},
		RespectDnsTtl:         true,
		DnsLookupFamily:       commondnsv3.DnsLookupFamily_V4_PREFERRED,
		// A logical name is one endpoint whatever its addresses: a new answer is for new connections.
		AllAddressesInSingleEndpoint: d.Logical,
	}
	cares := &caresv3.CaresDnsResolverConfig{QueryTimeoutSeconds: wrapperspb.UInt64(dnsTimeout), QueryTries: u32(dnsTries)}
	if len(d.Resolvers) > 0 {
		cares.DnsResolverOptions = &corev3.DnsResolverOptions{NoDefaultSearchDomain: true}
	}
	for _, r := range d.Resolvers {
		cares.Resolvers = append(cares.Resolvers, socketAddress(r.Addr().String(), int(r.Port())))
	}
	config.TypedDnsResolverConfig = &corev3.TypedExtensionConfig{Name: "envoy.network.dns_resolver.cares", TypedConfig: packed(cares)}
	c.ClusterDiscoveryType = &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{
		Name: "envoy.cluster.dns", TypedConfig: packed(config),
	}}
	c.EdsClusterConfig = nil
	c.LoadAssignment = &endpointv3.ClusterLoadAssignment{
		ClusterName: c.Name,
		Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: socketAddress(d.Host, d.Port)}},
		}}}},
	}
}
