package translate

import (
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	compositev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/composite/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// The other origin: what of a request that fails at its origin is tried at the other one. See docs/design/other-origin.md.

// eitherClusters are those whose first try goes to one origin and whose second try to the other, one for each origin. They have no endpoints of
// their own. How many second tries they may have under way is a lever, none until it arrives; everything else is bounded by the clusters
// that they lead to.
func eitherClusters(s *policy.Service) (out []Resource) {
	if s.Retries == nil || s.Retries.OtherOrigin == nil {
		return nil
	}
	for i := range s.Origins {
		first, second := &s.Origins[i], &s.Origins[1-i]
		name := policy.ClusterName(s.Name, first.Name)
		c := &clusterv3.Cluster{
			Name:                          policy.EitherClusterName(s.Name, first.Name),
			AltStatName:                   name + policy.EitherSuffix,
			ConnectTimeout:                dur(first.ConnectTimeout),
			LbPolicy:                      clusterv3.Cluster_CLUSTER_PROVIDED,
			PerConnectionBufferLimitBytes: u32(bufferLimit),
			CircuitBreakers:               &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{MaxRetries: u32(0)}}},
			TypedExtensionProtocolOptions: speaking(upstreamHTTP(first.Protocol)), // connections are made by it, whichever origin they go to
			Metadata:                      metadata(map[string]string{"service": s.Name, "origin": first.Name}),
			ClusterDiscoveryType: &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{
				Name: "envoy.clusters.composite",
				TypedConfig: packed(&compositev3.ClusterConfig{Clusters: []*compositev3.ClusterConfig_ClusterEntry{
					{Name: name}, {Name: policy.ClusterName(s.Name, second.Name)},
				}}),
			}},
		}
		out = append(out, resource(c.Name, c))
	}
	return out
}

// eitherRoutes is the variant of a route of the split, to stand before it, for requests that may be tried at the other origin, while the lever
// says so. It divides them by the same levers as the route does. Upgrades stay with the route: they are not answered, but last.
func eitherRoutes(s *policy.Service, live *routev3.Route, opts Options) []*routev3.Route {
	if s.Retries == nil || s.Retries.OtherOrigin == nil || opts.InlineWeights {
		return nil
	}
	r := proto.CloneOf(live)
	r.Match.Headers = append(r.Match.Headers, oneOf(":method", s.Retries.OtherOrigin.Methods), absent("upgrade"))
	r.Match.RuntimeFraction = &corev3.RuntimeFractionalPercent{
		DefaultValue: &typev3.FractionalPercent{Denominator: typev3.FractionalPercent_MILLION},
		RuntimeKey:   s.OtherOriginKey(),
	}
	action := r.GetRoute()
	w := action.GetWeightedClusters()
	w.RuntimeKeyPrefix = policy.WeightKeyRoot
	for i, origin := range order(s) {
		w.Clusters[i].Name = policy.EitherClusterName(s.Name, origin)
	}
	action.RetryPolicy = otherTry(s.Retries)
	return []*routev3.Route{r}
}

// otherTry is one try, soon: whom it goes to has failed nothing yet.
func otherTry(r *policy.Retries) *routev3.RetryPolicy {
	p := &routev3.RetryPolicy{
		RetryOn:      strings.Join(r.OtherOrigin.On, ","),
		NumRetries:   u32(1),
		RetryBackOff: &routev3.RetryPolicy_RetryBackOff{BaseInterval: dur(5 * time.Millisecond), MaxInterval: dur(5 * time.Millisecond)},
	}
	if r.PerTryTimeout > 0 {
		p.PerTryTimeout = dur(r.PerTryTimeout)
	}
	return p
}

// otherOriginLevers switch tries at the other origin on while both origins get traffic. The counts end those of requests that are under way as
// well: without them, one that was sent off before a rollback could still reach the origin that the rollback has left. The other way, from
// there to where everything goes, is open.
func otherOriginLevers(s *policy.Service) []Lever {
	if s.Retries == nil || s.Retries.OtherOrigin == nil {
		return nil
	}
	on := uint32(0)
	if s.OtherTries() {
		on = On
	}
	out := []Lever{{Key: s.OtherOriginKey(), Value: on, Fraction: true}}
	for i, o := range s.Origins {
		tries := uint32(0)
		if s.Split.Weights[s.Origins[1-i].Name] > 0 {
			tries = uint32(s.Retries.OtherOrigin.MaxConcurrent)
		}
		out = append(out, Lever{Key: policy.OtherTriesKey(s.Name, o.Name), Value: tries, Fraction: true, Count: true})
	}
	return out
}
