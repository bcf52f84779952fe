package server

import (
	"cmp"
	"context"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// mirrorPause is the least time between two reports of one watch: with many comparators there is something new all the time.
const mirrorPause = 200 * time.Millisecond

// StartMirror implements the contract.
func (a *API) StartMirror(ctx context.Context, r *crossfadev1.StartMirrorRequest) (*crossfadev1.StartMirrorResponse, error) {
	var p problems
	doc, name := r.GetMirror(), r.GetName()
	p.optionalName("name", name)
	if (doc == nil) == (name == "") {
		p.add("one_of", "mirror", name, "exactly one is needed: an experiment, or the name of one that has ended")
	}
	o, err := p.options(ctx, r)
	if err != nil {
		return nil, err
	}
	// Before the start: afterwards the origins' traffic has the experiment's own in it. An estimate that cannot be made stops nobody: what
	// is wrong with the experiment, the start says.
	estimate, as, err := a.control.EstimateMirror(doc, name)
	if r.GetDryRun() {
		return &crossfadev1.StartMirrorResponse{Estimate: estimate, Mirror: as}, err
	}
	c, as, err := a.control.StartMirror(ctx, doc, name, o)
	return &crossfadev1.StartMirrorResponse{Change: c, Estimate: estimate, Mirror: as}, err
}

// StopMirror implements the contract.
func (a *API) StopMirror(ctx context.Context, r *crossfadev1.StopMirrorRequest) (*crossfadev1.StopMirrorResponse, error) {
	var p problems
	p.name("name", r.GetName())
	o, err := p.options(ctx, r)
	if err != nil {
		return nil, err
	}
	c, err := a.control.StopMirror(ctx, r.GetName(), o)
	return &crossfadev1.StopMirrorResponse{Change: c}, err
}

// ListMirrors implements the contract.
func (a *API) ListMirrors(ctx context.Context, r *crossfadev1.ListMirrorsRequest) (*crossfadev1.ListMirrorsResponse, error) {
	var p problems
	list := "mirrors\x00" + r.GetService()
	p.optionalName("service", r.GetService())
	size, last := p.size(r.GetPageSize()), p.token(r.GetPageToken(), list)
	if err := p.Err(); err != nil {
		return nil, err
	}
	key := (*crossfadev1.MirrorStatus).GetMirror
	all := seen(a.sight(ctx), a.control.Mirrors(r.GetService()), (*crossfadev1.MirrorStatus).GetService)
	slices.SortFunc(all, func(x, y *crossfadev1.MirrorStatus) int { return cmp.Compare(key(x), key(y)) })
	items, next := page(after(all, last, key), size, list, key)
	return &crossfadev1.ListMirrorsResponse{Items: items, NextPageToken: next}, nil
}

// GetMirrorReport implements the contract.
func (a *API) GetMirrorReport(_ context.Context, r *crossfadev1.GetMirrorReportRequest) (*crossfadev1.GetMirrorReportResponse, error) {
	var p problems
	if p.name("name", r.GetName()); p.Err() != nil {
		return nil, p.Err()
	}
	report, err := a.control.MirrorReport(r.GetName())
	return &crossfadev1.GetMirrorReportResponse{Report: report}, err
}

// WatchMirror implements the contract. A watcher that leaves reports unread is cut off.
func (a *API) WatchMirror(r *crossfadev1.WatchMirrorRequest, stream grpc.ServerStreamingServer[crossfadev1.WatchMirrorResponse]) error {
	var p problems
	if p.name("name", r.GetName()); p.Err() != nil {
		return p.Err()
	}
	stall, pause := time.NewTimer(a.watchStall), time.NewTimer(0)
	defer stall.Stop()
	defer pause.Stop()
	var last *crossfadev1.MirrorReport
	for {
		changed := a.control.MirrorsChanged() // asked for before the report: what changes in between is not missed
		report, err := a.control.MirrorReport(r.GetName())
		if err != nil {
			return err
		}
		if last == nil || !proto.Equal(last, report) {
			if err := send(a, stream, &crossfadev1.WatchMirrorResponse{Time: timestamppb.Now(), Report: report}, stall); err != nil {
				return err
			}
			last = report
		}
		if report.GetState() == "ended" {
			return nil
		}
		if err := nextReport(stream.Context(), changed, pause); err != nil {
			return err
		}
	}
}

// nextReport waits until there may be something new, and for the pause.
func nextReport(ctx context.Context, changed <-chan struct{}, pause *time.Timer) error {
	pause.Reset(mirrorPause)
	select {
	case <-changed:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-pause.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
