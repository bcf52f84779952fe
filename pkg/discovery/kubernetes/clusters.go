package kubernetes

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Clusters are those that a control plane knows, by name.
type Clusters struct {
	byName map[string]*Cluster
}

// Open prepares clusters; see [New]. If one cannot be prepared, or two have the same name, none is.
func Open(ctx context.Context, configs ...Config) (*Clusters, error) {
	cs := &Clusters{byName: map[string]*Cluster{}}
	for _, config := range configs {
		if config.Name == "" || cs.byName[config.Name] != nil {
			cs.Close()
			return nil, fmt.Errorf("cluster %q: each cluster needs a name of its own", config.Name)
		}
		c, err := New(ctx, config)
		if err != nil {
			cs.Close()
			return nil, err
		}
		cs.byName[config.Name] = c
	}
	return cs, nil
}

// Cluster returns a cluster; the error names those there are.
func (cs *Clusters) Cluster(name string) (*Cluster, error) {
	if c := cs.byName[name]; c != nil {
		return c, nil
	}
	e := &policy.Error{
		Kind: policy.NotFound, Code: "kubernetes_cluster_unknown", Field: "cluster", Value: name,
		Message: "no Kubernetes cluster is configured", Next: "configure it where xds-server is started",
	}
	if len(cs.byName) > 0 {
		e.Message = "no such Kubernetes cluster; there are: " + strings.Join(slices.Sorted(maps.Keys(cs.byName)), ", ")
	}
	return nil, e
}

// Close closes them all.
func (cs *Clusters) Close() {
	for _, c := range cs.byName {
		c.Close()
	}
}
