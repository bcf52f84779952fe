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

// stock is what one gets from go-control-plane without own code: a LinearCache for each type, its MuxCache, its delta server.
type stock struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	workload workload
	inRoutes bool
	server   delta.Server
	caches   map[string]*cache.LinearCache

	typeURL, name string
	next          types.Resource
}

func newLinear(w workload, inRoutes bool) (*stock, error) {
	s := &stock{workload: w, inRoutes: inRoutes, caches: map[string]*cache.LinearCache{}}
	initial := map[string]map[string]types.Resource{}
	for _, r := range w.resources(state{InRoutes: inRoutes}) {
		m, err := message(r)
		if err != nil {
			return nil, err
		}
		if initial[r.Body.TypeUrl] == nil {
			initial[r.Body.TypeUrl] = map[string]types.Resource{}
		}
		initial[r.Body.TypeUrl][r.Name] = m
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
	s.server = delta.NewServer(context.Background(), mux, nil)
	return s, nil
}

// message is the resource as a user of go-control-plane has it.
func message(r translate.Resource) (types.Resource, error) {
	m, err := r.Body.UnmarshalNew()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Name, err)
	}
	return m, nil
}

func (s *stock) register(g *grpc.Server) { discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, s) }

// DeltaAggregatedResources serves one stream, as go-control-plane's own server does.
func (s *stock) DeltaAggregatedResources(stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	return s.server.DeltaStreamHandler(stream, resource.AnyType)
}

func (s *stock) run(ctx context.Context) { <-ctx.Done() }

func (s *stock) prepare(n flip) (typeURL, name string) {
	r := s.workload.topLayer(0, n)
	if s.inRoutes {
		r = s.workload.virtualHost(n)
	}
	m, err := message(r)
	if err != nil {
		panic(err) // it was made just now
	}
	s.typeURL, s.name, s.next = r.Body.TypeUrl, r.Name, m
	return s.typeURL, s.name
}

func (s *stock) publish() {
	if err := s.caches[s.typeURL].UpdateResource(s.name, s.next); err != nil {
		panic(err) // only nil resources and those that cannot be marshalled
	}
}

func (s *stock) acked(context.Context) error { return nil }

func (s *stock) fold(context.Context) (bool, error) { return false, nil }
