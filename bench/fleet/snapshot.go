package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// snapshots is a SnapshotCache with a snapshot for each proxy. All proxies share one that is made anew at each change: so it is
// made, and its versions hashed, once and not for each of them, which is the least that its users can do.
type snapshots struct {
	stock
	workload  workload
	clients   int
	cache     cache.SnapshotCache
	resources map[resource.Type][]types.Resource
	at        change
	top       types.Resource // what comes
}

func newSnapshots(w workload, clients int) (*snapshots, error) {
	initial, err := w.messages(state{})
	if err != nil {
		return nil, err
	}
	s := &snapshots{workload: w, clients: clients, cache: cache.NewSnapshotCache(true, cache.IDHash{}, nil), resources: map[resource.Type][]types.Resource{}}
	for typeURL, resources := range initial {
		s.resources[typeURL] = slices.Collect(maps.Values(resources))
	}
	s.stock = newStock(s.cache)
	return s, s.set()
}

func (s *snapshots) prepare(to change) (typeURL, name string) {
	r := s.workload.topLayer(0, to.Flip)
	m, err := message(r)
	if err != nil {
		panic(err) // it was made just now
	}
	s.at, s.top = to, m
	return r.Body.TypeUrl, r.Name
}

func (s *snapshots) publish() {
	runtimes := s.resources[resource.RuntimeType]
	i := slices.IndexFunc(runtimes, func(r types.Resource) bool { return cache.GetResourceName(r) == cache.GetResourceName(s.top) })
	runtimes[i] = s.top
	if err := s.set(); err != nil {
		panic(err) // only resources without a type, and those that cannot be marshalled
	}
}

// set makes a snapshot of all resources and gives it to every proxy.
func (s *snapshots) set() error {
	snapshot, err := cache.NewSnapshot(fmt.Sprint(s.at.Flip), s.resources)
	if err != nil {
		return err
	}
	for i := range s.clients {
		if err := s.cache.SetSnapshot(context.Background(), clientID(i, false), snapshot); err != nil {
			return err
		}
	}
	return nil
}
