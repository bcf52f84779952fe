package translate

import (
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// weightedClusters is the split of a service. Its weights are the safe ones, primary everything, and the live ones are read from runtime
// keys; with inline weights the live ones are written out and no key is read.
func weightedClusters(s *policy.Service, opts Options) *routev3.WeightedCluster {
	w := &routev3.WeightedCluster{}
	if !opts.InlineWeights {
		w.RuntimeKeyPrefix = policy.WeightKeyPrefix(s.Name)
	}
	if s.Split.Sticky != nil {
		w.RandomValueSpecifier = &routev3.WeightedCluster_UseHashPolicy{UseHashPolicy: yes()}
	}
	for _, origin := range order(s) {
		w.Clusters = append(w.Clusters, &routev3.WeightedCluster_ClusterWeight{
			Name:   policy.ClusterName(s.Name, origin),
			Weight: u32(int(structuralWeight(s, origin, opts))),
		})
	}
	return w
}

func structuralWeight(s *policy.Service, origin string, opts Options) policy.BasisPoints {
	switch {
	case opts.InlineWeights:
		return s.Split.Weights[origin]
	case origin == s.Primary:
		return policy.Whole
	default:
		return 0
	}
}

// order lays out the clusters of a split. A sticky request picks a fixed point in this row, so the row decides who moves when weights
// change. Two origins stand in the order written: raising one moves users only towards it. Of three, the written order is rotated so
// that the primary stands in the middle: [b primary c]. Then b and c each have an outer end of their own, and a change between
// the primary and one of them leaves the users of the other where they are; a third origin added at the end of the document takes the
// free end of the two that were there. A fourth and later ones follow; no fixed row can do for them what it does for three.
func order(s *policy.Service) []string {
	names := make([]string, len(s.Origins))
	for i, o := range s.Origins {
		names[i] = o.Name
	}
	if len(names) < 3 {
		return names
	}
	row := slices.Clone(names)
	if i := slices.Index(names[:3], s.Primary); i >= 0 {
		row[0], row[1], row[2] = names[(i+2)%3], names[i], names[(i+1)%3]
	}
	return row
}
