package server

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/grpc"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// ListEndpoints implements the contract.
func (a *API) ListEndpoints(ctx context.Context, r *crossfadev1.ListEndpointsRequest) (*crossfadev1.ListEndpointsResponse, error) {
	var p problems
	list := "endpoints\x00" + r.GetService() + "\x00" + r.GetOrigin()
	p.originOf(r.GetService(), r.GetOrigin())
	size, last := p.size(r.GetPageSize()), p.token(r.GetPageToken(), list)
	if err := p.Err(); err != nil {
		return nil, err
	}
	all, err := a.control.Endpoints(r.GetService(), r.GetOrigin())
	if err != nil {
		return nil, err
	}
	see := a.sight(ctx)
	all = seen(see, all, (*crossfadev1.Endpoint).GetService)
	key := func(e *crossfadev1.Endpoint) string {
		return e.GetService() + "\x00" + e.GetOrigin() + "\x00" + e.GetAddress()
	}
	slices.SortFunc(all, func(x, y *crossfadev1.Endpoint) int { return cmp.Compare(key(x), key(y)) })
	items, next := page(after(all, last, key), size, list, key)
	out := &crossfadev1.ListEndpointsResponse{Items: items, NextPageToken: next}
	if last == "" {
		out.Origins, err = a.control.Origins(r.GetService(), r.GetOrigin())
		out.Origins = seen(see, out.Origins, (*crossfadev1.OriginStatus).GetService)
	}
	return out, err
}

// originOf checks the names of a service and of an origin of it, which may be left out.
func (p *problems) originOf(service, origin string) {
	p.optionalName("service", service)
	p.optionalName("origin", origin)
	if origin != "" && service == "" {
		p.add("required", "service", "", "an origin has a name within its service only: name the service too")
	}
}

// WatchEndpoints implements the contract. A watcher that leaves events unread is cut off.
func (a *API) WatchEndpoints(r *crossfadev1.WatchEndpointsRequest, stream grpc.ServerStreamingServer[crossfadev1.WatchEndpointsResponse]) error {
	var p problems
	if p.originOf(r.GetService(), r.GetOrigin()); p.Err() != nil {
		return p.Err()
	}
	stall := time.NewTimer(a.watchStall)
	defer stall.Stop()
	see := a.sight(stream.Context())
	err := a.control.WatchEndpoints(stream.Context(), r.GetService(), r.GetOrigin(), func(e *crossfadev1.WatchEndpointsResponse) error {
		if service := cmp.Or(e.GetEndpoint().GetService(), e.GetOrigin().GetService()); !see.service(service) {
			return nil
		}
		return send(a, stream, e, stall)
	})
	if errors.Is(err, context.Canceled) && stream.Context().Err() == nil {
		return a.ended(nil) // the controller closes
	}
	return err
}

// AcceptEndpoints implements the contract.
func (a *API) AcceptEndpoints(ctx context.Context, r *crossfadev1.AcceptEndpointsRequest) (*crossfadev1.AcceptEndpointsResponse, error) {
	var p problems
	p.name("service", r.GetService())
	p.name("origin", r.GetOrigin())
	o, err := p.options(ctx, r)
	if err != nil {
		return nil, err
	}
	c, accepted, err := a.control.AcceptEndpoints(ctx, r.GetService(), r.GetOrigin(), o)
	return &crossfadev1.AcceptEndpointsResponse{Change: c, Accepted: accepted}, err
}
