package server

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// Diff implements the contract.
func (a *API) Diff(_ context.Context, r *crossfadev1.DiffRequest) (*crossfadev1.DiffResponse, error) {
	var p problems
	if p.documents(r.GetDocuments()); p.Err() != nil {
		return nil, p.Err()
	}
	d, err := a.control.Diff(r.GetDocuments())
	return &crossfadev1.DiffResponse{Differences: d}, err
}

// Get implements the contract.
func (a *API) Get(_ context.Context, r *crossfadev1.GetRequest) (*crossfadev1.GetResponse, error) {
	var p problems
	p.kind(r.GetKind())
	if p.name("name", r.GetName()); p.Err() != nil {
		return nil, p.Err()
	}
	doc, status, err := a.control.Get(r.GetKind(), r.GetName())
	return &crossfadev1.GetResponse{Document: doc, Status: status}, err
}

// List implements the contract.
func (a *API) List(ctx context.Context, r *crossfadev1.ListRequest) (*crossfadev1.ListResponse, error) {
	var p problems
	list := "services\x00" + r.GetFleet()
	p.optionalName("fleet", r.GetFleet())
	size, last := p.size(r.GetPageSize()), p.token(r.GetPageToken(), list)
	if err := p.Err(); err != nil {
		return nil, err
	}
	key := (*crossfadev1.ServiceStatus).GetName
	all := after(seen(a.sight(ctx), a.control.List(r.GetFleet()), key), last, key)
	items, next := page(all, size, list, key)
	return &crossfadev1.ListResponse{Items: items, NextPageToken: next}, nil
}

// ListProxies implements the contract.
func (a *API) ListProxies(ctx context.Context, r *crossfadev1.ListProxiesRequest) (*crossfadev1.ListProxiesResponse, error) {
	var p problems
	list := "proxies\x00" + r.GetFleet()
	p.optionalName("fleet", r.GetFleet())
	size, last := p.size(r.GetPageSize()), p.token(r.GetPageToken(), list)
	if err := p.Err(); err != nil {
		return nil, err
	}
	key := func(x *crossfadev1.Proxy) string { return x.GetFleet() + "\x00" + x.GetProxy() }
	all := a.control.Proxies(r.GetFleet())
	slices.SortFunc(all, func(x, y *crossfadev1.Proxy) int { return cmp.Compare(key(x), key(y)) })
	see := a.sight(ctx)
	for i, p := range all {
		all[i] = see.proxy(p)
	}
	items, next := page(after(all, last, key), size, list, key)
	out := &crossfadev1.ListProxiesResponse{Items: items, NextPageToken: next}
	if last == "" {
		out.Origins = seen(see, a.control.Troubled(r.GetFleet()), (*crossfadev1.OriginStatus).GetService)
	}
	return out, nil
}

// ExplainRoute implements the contract.
func (a *API) ExplainRoute(ctx context.Context, r *crossfadev1.ExplainRouteRequest) (*crossfadev1.ExplainRouteResponse, error) {
	var p problems
	p.documents(r.GetDocuments())
	p.optionalName("fleet", r.GetFleet())
	if port := r.GetPort(); port < 0 || port > 65535 {
		p.add("out_of_range", "port", fmt.Sprint(port), "must be 1 to 65535, or 0 for 10000")
	}
	if err := p.Err(); err != nil {
		return nil, err
	}
	out, err := a.control.Explain(r)
	if see := a.sight(ctx); err != nil || see.all() || out.GetService() != "" && see.service(out.GetService()) {
		return out, err
	}
	// Whether there is none, or one that the caller may not see, is not told.
	return &crossfadev1.ExplainRouteResponse{Steps: []string{"no service that you may see gets this request"}}, nil
}

// GetServerInfo implements the contract.
func (a *API) GetServerInfo(context.Context, *crossfadev1.GetServerInfoRequest) (*crossfadev1.GetServerInfoResponse, error) {
	return &crossfadev1.GetServerInfoResponse{
		Version: a.info.Version, Commit: a.info.Commit, Addresses: a.info.Addresses, Started: timestamppb.New(a.info.Started),
		Revision: a.control.Revision(),
	}, nil
}

// after returns the items behind the one where the last page ended. Items are in the order of their keys.
func after[M any](items []M, last string, key func(M) string) []M {
	if last == "" {
		return items
	}
	i, found := slices.BinarySearchFunc(items, last, func(m M, last string) int { return cmp.Compare(key(m), last) })
	if found {
		i++
	}
	return items[i:]
}
