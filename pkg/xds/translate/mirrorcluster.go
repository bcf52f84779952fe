package translate

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	upstreamhttpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// What copies may take of one proxy: little beside live requests.
var (
	shadowBreakers     = policy.CircuitBreakers{MaxConnections: 64, MaxPendingRequests: 64, MaxRequests: 128}
	comparatorBreakers = policy.CircuitBreakers{MaxConnections: 64, MaxPendingRequests: 64, MaxRequests: 64}
)

// comparatorPulse is how often proxies ask a comparator whether copies are welcome, and how long it may take to say so: one that is frozen
// gets copies for up to twice that.
const comparatorPulse = time.Second

// copyDuration is how long a comparator has to take a copy. It is all that ends one which it does not take: Envoy closes no connection with a
// request on it because a health check fails, and until the copy ends, a long upload that it is made of is held. A copy that is older than
// that is not asked anyway.
const copyDuration = 2 * time.Second

// copyBuffer is how much of a copy, in bytes, a connection to a comparator may hold: more than gRPC's longest message (4 MiB), so that not even the
// upload that a frozen comparator meets first is held. Requests by HTTP are at most policy.MaxMirrorBody long, so only calls of gRPC methods that
// were named can take as much, on each of 64 connections, for copyDuration.
const copyBuffer = 5 << 20

// comparatorHost is the host that health checks ask for. Envoy would send the cluster's name, which is none.
const comparatorHost = "comparator"

// shadowClusters are those through which the origins of a running mirror are asked again: like the live ones, so that the conditions are the
// same, but with breakers of their own, so that copies never take a connection from a live request.
func shadowClusters(s *policy.Service) (out []Resource) {
	if s.Mirror == nil {
		return nil
	}
	for _, o := range s.Origins {
		if o.Name == s.Mirror.Control || o.Name == s.Mirror.Candidate {
			o.CircuitBreakers = shadowBreakers
			out = append(out, shadowCluster(s, &o))
		}
	}
	return out
}

// Health checks of shadow clusters find what those of the live clusters find: they double what every endpoint is asked, for nothing that live
// requests gain. So they are rarer.
const (
	shadowCheckFactor   = 3
	shortestShadowCheck = 10 * time.Second
)

// shadowCluster is one of them, of an origin that has its breakers.
func shadowCluster(s *policy.Service, o *policy.Origin) Resource {
	c := cluster(s, o, policy.ShadowClusterName(s.Name, o.Name))
	for _, check := range c.HealthChecks {
		check.Interval = dur(max(shadowCheckFactor*o.HealthCheck.Interval, shortestShadowCheck))
		check.NoTrafficInterval = check.Interval
		check.UnhealthyInterval = dur(o.HealthCheck.Interval) // one that is back must not be missing here for longer than it is live
	}
	return ofOrigin(o, c)
}

// comparatorCluster is where copies go, in clear text or to comparators of a name, by TLS. With no comparator that is well, they are dropped at once.
func comparatorCluster(secure string) Resource {
	c := &clusterv3.Cluster{
		Name:                          policy.ComparatorCluster,
		ClusterDiscoveryType:          &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:              &clusterv3.Cluster_EdsClusterConfig{EdsConfig: overADS(), ServiceName: policy.ComparatorCluster},
		ConnectTimeout:                dur(comparatorPulse),
		IgnoreHealthOnHostRemoval:     true,
		PerConnectionBufferLimitBytes: u32(copyBuffer),
		CircuitBreakers:               circuitBreakers(comparatorBreakers),
		UpstreamConnectionOptions:     keptAlive(),
		TypedExtensionProtocolOptions: speaking(toComparator()),
		CommonLbConfig:                &clusterv3.Cluster_CommonLbConfig{HealthyPanicThreshold: &typev3.Percent{}, UpdateMergeWindow: dur(mergeWindow)},
		HealthChecks: []*corev3.HealthCheck{{
			Interval: dur(comparatorPulse), NoTrafficInterval: dur(comparatorPulse), Timeout: dur(comparatorPulse),
			UnhealthyThreshold: u32(1), HealthyThreshold: u32(1),
			HealthChecker: &corev3.HealthCheck_HttpHealthCheck_{HttpHealthCheck: &corev3.HealthCheck_HttpHealthCheck{
				Host: comparatorHost, Path: policy.ComparatorReadyPath,
			}},
		}},
	}
	if secure != "" {
		c.TransportSocket = toComparators(secure)
	}
	r := resource(policy.ComparatorCluster, c)
	r.EDS = true
	return r
}

func toComparator() *upstreamhttpv3.HttpProtocolOptions {
	h := upstreamHTTP(policy.HTTP1)
	h.CommonHttpProtocolOptions.MaxStreamDuration = dur(copyDuration)
	return h
}
