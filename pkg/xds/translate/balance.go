package translate

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	commonlbv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/common/v3"
	roundrobinv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/round_robin/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// mergeWindow is how long Envoy may hold a change of health that follows another. Its own is a second, for which an endpoint that drains would
// go on getting requests (on 1.37). As many first health checks as an origin has endpoints cost no more with it than with a second.
const mergeWindow = 50 * time.Millisecond

// balance says how requests go round the endpoints of an origin: each in turn, as behind an ALB. Least-request would favour an endpoint that
// fails fast.
func balance(c *clusterv3.Cluster, o *policy.Origin) {
	c.LbPolicy = clusterv3.Cluster_ROUND_ROBIN
	c.CommonLbConfig = &clusterv3.Cluster_CommonLbConfig{HealthyPanicThreshold: &typev3.Percent{Value: panicThreshold}, UpdateMergeWindow: dur(mergeWindow)}
	switch {
	case o.ZoneMinimum > 0:
		c.LoadBalancingPolicy = withinZone(o)
	case o.SlowStart > 0:
		c.LbConfig = &clusterv3.Cluster_RoundRobinLbConfig_{RoundRobinLbConfig: &clusterv3.Cluster_RoundRobinLbConfig{
			SlowStartConfig: &clusterv3.Cluster_SlowStartConfig{SlowStartWindow: dur(o.SlowStart)},
		}}
	}
}

// withinZone is the same, but requests stay in the zone of the proxy while at least ZoneMinimum endpoints are well there. With fewer, all
// zones share them, each endpoint alike. A proxy that knows no zone spreads them too.
//
// Only this form of the policy has a setting for that. It overrules LbPolicy; the panic threshold it takes from CommonLbConfig as well.
func withinZone(o *policy.Origin) *clusterv3.LoadBalancingPolicy {
	config := &roundrobinv3.RoundRobin{LocalityLbConfig: &commonlbv3.LocalityLbConfig{
		LocalityConfigSpecifier: &commonlbv3.LocalityLbConfig_ZoneAwareLbConfig_{ZoneAwareLbConfig: &commonlbv3.LocalityLbConfig_ZoneAwareLbConfig{
			MinClusterSize: wrapperspb.UInt64(1), // Envoy's own 6 would switch it off for small origins
			ForceLocalZone: &commonlbv3.LocalityLbConfig_ZoneAwareLbConfig_ForceLocalZone{MinSize: u32(o.ZoneMinimum)},
		}},
	}}
	if o.SlowStart > 0 {
		config.SlowStartConfig = &commonlbv3.SlowStartConfig{SlowStartWindow: dur(o.SlowStart)}
	}
	return &clusterv3.LoadBalancingPolicy{Policies: []*clusterv3.LoadBalancingPolicy_Policy{{TypedExtensionConfig: &corev3.TypedExtensionConfig{
		Name: "envoy.load_balancing_policies.round_robin", TypedConfig: packed(config),
	}}}}
}
