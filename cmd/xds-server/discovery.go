package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/discovery/cloudmap"
	"github.com/crossfade-proxy/crossfade/pkg/discovery/ecs"
	"github.com/crossfade-proxy/crossfade/pkg/discovery/kubernetes"
	"github.com/crossfade-proxy/crossfade/pkg/discovery/tracker"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// finders are the places where endpoints are found. Each asks nobody before an origin wants it.
type finders struct {
	region   string // of origins that name none
	mapping  mapping
	ecs      *ecs.Client
	cloudMap *cloudmap.Source
	clusters map[string]*cluster
}

// cluster is a Kubernetes cluster that is opened when it is first wanted, and tried again if that fails: its kubeconfig may come later, and the
// others do not wait for it.
type cluster struct {
	config kubernetes.Config

	mu     sync.Mutex
	opened *kubernetes.Cluster
}

func openFinders(ctx context.Context, c *config, log *slog.Logger) (*finders, error) {
	a := c.sources.aws
	f := &finders{region: cmp.Or(a.region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")), clusters: map[string]*cluster{}}
	f.mapping, _ = parseMapping(c.mapAddresses) // checked with the settings
	var err error
	if f.ecs, err = ecs.New(ctx, ecs.Config{Poll: a.poll, Endpoint: a.endpoint, Log: log}); err != nil {
		return nil, wrap("look for tasks of ECS", err)
	}
	f.cloudMap = cloudmap.New(cloudmap.Config{Poll: a.poll, Endpoint: a.endpoint, Log: log})
	for _, config := range c.sources.clusters {
		config.Log = log
		k := &cluster{config: config}
		f.clusters[config.Name] = k
		if _, err := k.open(ctx); err != nil {
			log.Error("a Kubernetes cluster cannot be opened; it is tried again when an origin wants it", "error", err)
		}
	}
	return f, nil
}

// open returns the cluster.
func (k *cluster) open(ctx context.Context) (*kubernetes.Cluster, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.opened == nil {
		opened, err := kubernetes.New(ctx, k.config)
		if err != nil {
			return nil, &policy.Error{Kind: policy.Unavailable, Code: "kubernetes_config", Message: err.Error(), Next: "correct the section kubernetes of the server's settings file"}
		}
		k.opened = opened
	}
	return k.opened, nil
}

func (k *cluster) watch(t kubernetes.Target) tracker.Watch {
	return func(ctx context.Context, tell func(discovery.Look)) error {
		opened, err := k.open(ctx)
		if err != nil {
			return err
		}
		return opened.Watch(ctx, t, tell)
	}
}

// watch returns what watches the endpoints of an origin.
func (f *finders) watch(o *policy.Origin) (tracker.Watch, error) {
	var w tracker.Watch
	var err error
	switch {
	case o.ECS != nil:
		w, err = f.watchECS(o.ECS)
	case o.CloudMap != nil:
		w, err = f.watchCloudMap(o.CloudMap)
	case o.Kubernetes != nil:
		w, err = f.watchKubernetes(o.Kubernetes)
	default:
		err = fmt.Errorf("the endpoints of a %s origin are not discovered", o.SourceKind())
	}
	if err != nil {
		return nil, err
	}
	return f.mapping.watch(w), nil
}

// regionOf is the region of an origin: its own, or that of the settings.
func (f *finders) regionOf(written string) (string, error) {
	if region := cmp.Or(written, f.region); region != "" {
		return region, nil
	}
	return "", &policy.Error{
		Kind: policy.Invalid, Code: "aws_region_missing", Field: "region", Message: "neither the origin nor the server's settings name an AWS region",
		Next: "write region, or aws: {region: …} in the server's settings file",
	}
}

func (f *finders) watchECS(s *policy.ECSService) (tracker.Watch, error) {
	region, err := f.regionOf(s.Region)
	if err != nil {
		return nil, err
	}
	t := ecs.Target{Region: region, Cluster: s.Cluster, Service: s.Service, Group: s.Group, Container: s.Container, Port: s.Port}
	if err := t.Check(); err != nil {
		return nil, err
	}
	return func(ctx context.Context, tell func(discovery.Look)) error { return f.ecs.Watch(ctx, t, tell) }, nil
}

func (f *finders) watchCloudMap(s *policy.CloudMapService) (tracker.Watch, error) {
	region, err := f.regionOf(s.Region)
	if err != nil {
		return nil, err
	}
	t := cloudmap.Target{Region: region, Namespace: s.Namespace, Service: s.Service, Port: s.Port}
	if err := t.Check(); err != nil {
		return nil, err
	}
	return func(ctx context.Context, tell func(discovery.Look)) error { return f.cloudMap.Watch(ctx, t, tell) }, nil
}

func (f *finders) watchKubernetes(s *policy.KubernetesService) (tracker.Watch, error) {
	k := f.clusters[s.Cluster]
	if k == nil {
		e := &policy.Error{
			Kind: policy.NotFound, Code: "kubernetes_cluster_unknown", Field: "cluster", Value: s.Cluster,
			Message: "the server knows no Kubernetes cluster", Next: "name it in the section kubernetes of the server's settings file",
		}
		if len(f.clusters) > 0 {
			e.Message = "the server knows no such Kubernetes cluster; it knows " + strings.Join(slices.Sorted(maps.Keys(f.clusters)), ", ")
		}
		return nil, e
	}
	t := kubernetes.Target{Namespace: s.Namespace, Service: s.Service, Port: s.Port}
	if err := t.Check(); err != nil {
		return nil, err
	}
	return k.watch(t), nil
}

// calls are how often AWS was asked, by action.
func (f *finders) calls() map[string]int64 {
	out := map[string]int64{}
	for _, calls := range []map[string]int64{f.ecs.Calls(), f.cloudMap.Calls()} {
		for action, n := range calls {
			out[action] += n
		}
	}
	return out
}

// close ends all watches.
func (f *finders) close() {
	f.ecs.Close()
	f.cloudMap.Close()
	for _, k := range f.clusters {
		k.mu.Lock()
		if k.opened != nil {
			k.opened.Close()
		}
		k.mu.Unlock()
	}
}
