package server

import (
	"context"
	"fmt"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/control"
)

// Apply implements the contract.
func (a *API) Apply(ctx context.Context, r *crossfadev1.ApplyRequest) (*crossfadev1.ApplyResponse, error) {
	var p problems
	p.documents(r.GetDocuments())
	o, err := p.options(ctx, r)
	if err != nil {
		return nil, err
	}
	c, err := a.control.Apply(ctx, r.GetDocuments(), o)
	return &crossfadev1.ApplyResponse{Changes: c}, err
}

// Delete implements the contract.
func (a *API) Delete(ctx context.Context, r *crossfadev1.DeleteRequest) (*crossfadev1.DeleteResponse, error) {
	var p problems
	p.kind(r.GetKind())
	p.name("name", r.GetName())
	o, err := p.options(ctx, r)
	if err != nil {
		return nil, err
	}
	c, err := a.control.Delete(ctx, r.GetKind(), r.GetName(), o)
	return &crossfadev1.DeleteResponse{Change: c}, err
}

// SetSplit implements the contract.
func (a *API) SetSplit(ctx context.Context, r *crossfadev1.SetSplitRequest) (*crossfadev1.SetSplitResponse, error) {
	var p problems
	p.name("service", r.GetService())
	o, err := p.options(ctx, r)
	if err != nil {
		return nil, err
	}
	c, err := a.control.SetSplit(ctx, r.GetService(), r.GetWeights(), o)
	return &crossfadev1.SetSplitResponse{Change: c}, err
}

// PutPin implements the contract.
func (a *API) PutPin(ctx context.Context, r *crossfadev1.PutPinRequest) (*crossfadev1.PutPinResponse, error) {
	var p problems
	p.name("service", r.GetService())
	o, err := p.options(ctx, r)
	if err != nil {
		return nil, err
	}
	c, err := a.control.PutPin(ctx, r.GetService(), r.GetPin(), o)
	return &crossfadev1.PutPinResponse{Change: c}, err
}

// DeletePin implements the contract.
func (a *API) DeletePin(ctx context.Context, r *crossfadev1.DeletePinRequest) (*crossfadev1.DeletePinResponse, error) {
	var p problems
	p.name("service", r.GetService())
	p.name("name", r.GetName())
	o, err := p.options(ctx, r)
	if err != nil {
		return nil, err
	}
	c, err := a.control.DeletePin(ctx, r.GetService(), r.GetName(), o)
	return &crossfadev1.DeletePinResponse{Change: c}, err
}

// SetPrimary implements the contract.
func (a *API) SetPrimary(ctx context.Context, r *crossfadev1.SetPrimaryRequest) (*crossfadev1.SetPrimaryResponse, error) {
	var p problems
	p.name("service", r.GetService())
	p.name("origin", r.GetOrigin())
	o, err := p.options(ctx, r)
	if err != nil {
		return nil, err
	}
	c, err := a.control.SetPrimary(ctx, r.GetService(), r.GetOrigin(), o)
	return &crossfadev1.SetPrimaryResponse{Change: c}, err
}

// Undo implements the contract.
func (a *API) Undo(ctx context.Context, r *crossfadev1.UndoRequest) (*crossfadev1.UndoResponse, error) {
	var p problems
	p.name("service", r.GetService())
	if to := r.GetTo(); to < 0 {
		p.add("out_of_range", "to", fmt.Sprint(to), "must be a revision, or 0 for the one before the last")
	}
	o, err := p.options(ctx, r)
	if err != nil {
		return nil, err
	}
	c, err := a.control.Undo(ctx, r.GetService(), r.GetTo(), o)
	return &crossfadev1.UndoResponse{Change: c}, err
}

// Rollback implements the contract.
func (a *API) Rollback(ctx context.Context, r *crossfadev1.RollbackRequest) (*crossfadev1.RollbackResponse, error) {
	var p problems
	p.optionalName("service", r.GetService())
	p.optionalName("fleet", r.GetFleet())
	o, err := p.options(ctx, r)
	if err != nil {
		return nil, err
	}
	t := control.RollbackTarget{Service: r.GetService(), All: r.GetAll(), KeepPins: r.GetKeepPins(), Fleet: r.GetFleet()}
	c, err := a.control.Rollback(ctx, t, o)
	return &crossfadev1.RollbackResponse{Changes: c}, err
}

// changesOf returns the changes in an answer.
func changesOf(answer any) []*crossfadev1.Change {
	switch r := answer.(type) {
	case interface{ GetChanges() []*crossfadev1.Change }:
		return r.GetChanges()
	case interface{ GetChange() *crossfadev1.Change }:
		if c := r.GetChange(); c != nil {
			return []*crossfadev1.Change{c}
		}
	}
	return nil
}
