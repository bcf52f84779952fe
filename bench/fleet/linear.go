package main

import (
	"context"
	"fmt"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/delta/v3"
	"google.golang.org/grpc"

	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

const (
	runtimeType     = resource.RuntimeType
	virtualHostType = resource.VirtualHostType
)

// stock is what all systems of go-control-plane have in common: its delta server, in front of some cache.
type stock struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	server delta.Server
}

func newStock(c cache.ConfigWatcher) stock {
	return stock{server: delta.NewServer(context.Background(), c, nil)}
}

// DeltaAggregatedResources serves one stream, as go-control-plane's own server does.
func (s stock) DeltaAggregatedResources(stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	return s.server.DeltaStreamHandler(stream, resource.AnyType)
}

func (s stock) register(g *grpc.Server) { discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, s) }

func (s stock) run(ctx context.Context) { <-ctx.Done() }

func (s stock) acked(context.Context) error { return nil }

func (s stock) fold(context.Context) (bool, error) { return false, nil }

// message is the resource as a user of go-control-plane has it.
func message(r translate.Resource) (types.Resource, error) {
	m, err := r.Body.UnmarshalNew()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Name, err)
	}
	return m, nil
}

// messages are all resources of a state, by type and name.
func (w workload) messages(at state) (map[string]map[string]types.Resource, error) {
	out := map[string]map[string]types.Resource{}
	for _, r := range w.resources(at) {
		m, err := message(r)
		if err != nil {
			return nil, err
		}
		if out[r.Body.TypeUrl] == nil {
			out[r.Body.TypeUrl] = map[string]types.Resource{}
		}
		out[r.Body.TypeUrl][r.Name] = m
	}
	return out, nil
}

// linearCaches is a LinearCache for each type behind MuxCache.
type linearCaches struct {
	stock
	workload workload
	inRoutes bool
	caches   map[string]*cache.LinearCache
	at       change
	next     []named
}

// named is a message that a cache takes.
type named struct {
	typeURL, name string
	message       types.Resource
}

func newLinear(w workload, inRoutes bool) (*linearCaches, error) {
	s := &linearCaches{workload: w, inRoutes: inRoutes, caches: map[string]*cache.LinearCache{}}
	initial, err := w.messages(state{InRoutes: inRoutes})
	if err != nil {
		return nil, err
	}
	mux := &cache.MuxCache{
		Classify:      func(r *cache.Request) string { return r.GetTypeUrl() },
		ClassifyDelta: func(r *cache.DeltaRequest) string { return r.GetTypeUrl() },
		Caches:        map[string]cache.Cache{},
	}
	for typeURL, resources := range initial {
		s.caches[typeURL] = cache.NewLinearCache(typeURL, cache.WithInitialResources(resources))
		mux.Caches[typeURL] = s.caches[typeURL]
	}
	s.stock = newStock(mux)
	return s, nil
}

func (s *linearCaches) prepare(to change) (typeURL, name string) {
	carrier := s.workload.topLayer(0, to.Flip)
	if s.inRoutes {
		carrier = s.workload.virtualHost(to.Flip)
	}
	resources := []translate.Resource{carrier}
	if to.Marked != s.at.Marked {
		resources = []translate.Resource{s.workload.marked(to.Marked), carrier}
	}
	s.at, s.next = to, nil
	for _, r := range resources {
		m, err := message(r)
		if err != nil {
			panic(err) // it was made just now
		}
		s.next = append(s.next, named{r.Body.TypeUrl, r.Name, m})
	}
	return carrier.Body.TypeUrl, carrier.Name
}

func (s *linearCaches) publish() {
	for _, r := range s.next {
		if err := s.caches[r.typeURL].UpdateResource(r.name, r.message); err != nil {
			panic(err) // only nil resources and those that cannot be marshalled
		}
	}
}
