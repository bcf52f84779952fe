package control

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// Apply creates or updates every document, or none.
func (c *Controller) Apply(ctx context.Context, docs []*crossfadev1.Document, o Options) ([]*crossfadev1.Change, error) {
	return c.change(ctx, o, func(live *intent) ([]edit, error) { return planApply(live, docs, o.Force, c.now()) })
}

// planApply merges documents with what is live.
func planApply(live *intent, docs []*crossfadev1.Document, force bool, now time.Time) ([]edit, error) {
	var edits []edit
	var all policy.Errors
	seen := map[store.ObjectKey]int{}
	for i, doc := range docs {
		key, after, errs := mergeDocument(live, doc, force, now)
		all = append(all, inDocument(errs, i)...)
		if first, again := seen[key]; again {
			all = append(all, &policy.Error{
				Kind: policy.Invalid, Code: "duplicate_document", Field: "name", Value: key.Name, Document: i,
				Message: fmt.Sprintf("document %d is the same %s", first+1, key.Kind), Next: "keep one of them",
			})
		}
		seen[key] = i
		edits = append(edits, edit{key: key, after: after, action: ActionApply, start: startedBy(after)})
	}
	if len(docs) == 0 {
		all = append(all, &policy.Error{Kind: policy.Invalid, Code: "required", Field: "documents", Message: "at least one document is needed"})
	}
	return edits, all.Err()
}

func mergeDocument(live *intent, doc *crossfadev1.Document, force bool, now time.Time) (store.ObjectKey, *crossfadev1.Document, policy.Errors) {
	switch {
	case doc.GetService() != nil:
		key := store.ObjectKey{Kind: kindService, Name: doc.GetService().GetName()}
		if _, errs := policy.CompileService(doc.GetService()); len(errs) > 0 {
			return key, nil, errs
		}
		old := live.services.At(key.Name)
		var before *crossfadev1.Service
		if old != nil {
			before = old.doc
		}
		merged, errs := policy.Merge(before, doc.GetService())
		if len(errs) > 0 {
			return key, nil, errs
		}
		if old != nil && !force {
			if held := old.held(merged); held != nil {
				return key, nil, policy.Errors{held}
			}
		}
		return key, serviceDocument(merged), nil
	case doc.GetFleet() != nil:
		_, errs := policy.CompileFleet(doc.GetFleet())
		return store.ObjectKey{Kind: kindFleet, Name: doc.GetFleet().GetName()}, doc, errs
	case doc.GetMirror() != nil:
		merged, errs := mergeMirror(live, doc.GetMirror(), now)
		return store.ObjectKey{Kind: kindMirror, Name: doc.GetMirror().GetName()}, mirrorDocument(merged), errs
	case doc.GetRollout() != nil:
		merged, errs := mergeRollout(live, doc.GetRollout())
		return store.ObjectKey{Kind: kindRollout, Name: doc.GetRollout().GetName()}, rolloutDocument(merged), errs
	default:
		return store.ObjectKey{}, nil, policy.Errors{{Kind: policy.Invalid, Code: "empty_document", Field: "kind", Message: "a document is a Service, a Fleet, a Mirror or a Rollout"}}
	}
}

// held refuses an apply that would send traffic to where a rollback took it from.
func (s *service) held(after *crossfadev1.Service) *policy.Error {
	where := ""
	if in := policy.RaisesWhereRolledBack(s.doc, after); len(in) > 0 {
		where = " in fleet " + brief(in)
	} else if !s.rolledBack || !policy.RaisesTraffic(s.doc, after) {
		return nil
	}
	return &policy.Error{
		Kind: policy.Held, Code: "rolled_back", Field: "split", Value: s.compiled.Name,
		Message: "the service was rolled back" + where + ", and an apply may not send traffic to other origins again",
		Next:    "decide it with `shadowctl split set`, `pin add` or `undo`, or leave split and pins out of the document",
	}
}

// Diff says what an apply would change.
func (c *Controller) Diff(docs []*crossfadev1.Document) ([]*crossfadev1.Difference, error) {
	live := c.snapshot()
	edits, err := planApply(live, docs, true, c.now())
	if err != nil {
		return nil, err
	}
	d := &draft{live: live, edits: edits}
	if err := d.check(); err != nil {
		return nil, err
	}
	if err := c.checkRollouts(d, Options{}); err != nil {
		return nil, err
	}
	out := make([]*crossfadev1.Difference, 0, len(edits))
	for _, e := range d.edits {
		before := live.document(e.key)
		diff := &crossfadev1.Difference{Kind: e.key.Kind, Name: e.key.Name, Action: "update"}
		switch e.key.Kind {
		case kindService:
			diff.Fields = policy.Diff(before.GetService(), e.after.GetService())
		case kindFleet:
			diff.Fields = policy.Diff(before.GetFleet(), e.after.GetFleet())
		case kindMirror:
			diff.Fields = policy.Diff(withoutRun(before.GetMirror()), withoutRun(e.after.GetMirror()))
		case kindRollout:
			diff.Fields = policy.Diff(rollout.Asked(before.GetRollout()), rollout.Asked(e.after.GetRollout()))
		}
		switch {
		case before == nil:
			diff.Action = "create"
		case len(diff.Fields) == 0:
			diff.Action = "none"
		}
		out = append(out, diff)
	}
	return out, nil
}

// Delete removes a service, or the settings of a fleet.
func (c *Controller) Delete(ctx context.Context, kind, name string, o Options) (*crossfadev1.Change, error) {
	key, err := keyOf(kind, name)
	if err != nil {
		return nil, err
	}
	return one(c.change(ctx, o, func(live *intent) ([]edit, error) {
		if live.document(key) == nil {
			return nil, notFound(kind, name)
		}
		edits := []edit{{key: key, action: ActionDelete}}
		if s := live.services.At(name); kind == "service" && s.compiled.Mirror != nil {
			end := endOf(live.mirrors[s.compiled.Mirror.Name], c.now(), "service_gone", "the service was deleted")
			end.along = true
			edits = append(edits, end)
		}
		return edits, nil
	}))
}

func keyOf(kind, name string) (store.ObjectKey, error) {
	switch kind {
	case "service":
		return store.ObjectKey{Kind: kindService, Name: name}, nil
	case "fleet":
		return store.ObjectKey{Kind: kindFleet, Name: name}, nil
	case "mirror":
		return store.ObjectKey{Kind: kindMirror, Name: name}, nil
	case "rollout":
		return store.ObjectKey{Kind: kindRollout, Name: name}, nil
	}
	return store.ObjectKey{}, &policy.Error{Kind: policy.Invalid, Code: "unknown_kind", Field: "kind", Value: kind, Message: "kinds are service, fleet, mirror and rollout"}
}

func one(changes []*crossfadev1.Change, err error) (*crossfadev1.Change, error) {
	if err != nil {
		return nil, err
	}
	return changes[0], nil
}

// edit changes the document of one live service.
func (c *Controller) edit(ctx context.Context, service, action string, o Options, f func(*crossfadev1.Service) (*crossfadev1.Service, policy.Errors)) (*crossfadev1.Change, error) {
	return one(c.change(ctx, o, func(live *intent) ([]edit, error) {
		s, ok := live.services.Get(service)
		if !ok {
			return nil, notFound("service", service)
		}
		after, errs := f(s.doc)
		if len(errs) > 0 {
			return nil, errs
		}
		return []edit{{key: store.ObjectKey{Kind: kindService, Name: service}, after: serviceDocument(after), action: action}}, nil
	}))
}

// SetSplit changes weights, in basis points by origin.
func (c *Controller) SetSplit(ctx context.Context, service string, weights map[string]int32, o Options) (*crossfadev1.Change, error) {
	return c.edit(ctx, service, ActionSplit, o, func(doc *crossfadev1.Service) (*crossfadev1.Service, policy.Errors) {
		return policy.WithSplit(doc, weights)
	})
}

// PutPin adds a pin or replaces the one of its name.
func (c *Controller) PutPin(ctx context.Context, service string, pin *crossfadev1.Pin, o Options) (*crossfadev1.Change, error) {
	return c.edit(ctx, service, ActionPinAdd, o, func(doc *crossfadev1.Service) (*crossfadev1.Service, policy.Errors) {
		return policy.WithPin(doc, pin)
	})
}

// DeletePin removes a pin.
func (c *Controller) DeletePin(ctx context.Context, service, name string, o Options) (*crossfadev1.Change, error) {
	return c.edit(ctx, service, ActionPinRemove, o, func(doc *crossfadev1.Service) (*crossfadev1.Service, policy.Errors) {
		return policy.WithoutPin(doc, name)
	})
}

// SetPrimary changes where a rollback goes.
func (c *Controller) SetPrimary(ctx context.Context, service, origin string, o Options) (*crossfadev1.Change, error) {
	return c.edit(ctx, service, ActionSetPrimary, o, func(doc *crossfadev1.Service) (*crossfadev1.Service, policy.Errors) {
		return policy.WithPrimary(doc, origin, o.Force)
	})
}

// Undo returns a service to what it was after a revision of its own; to 0 is the one before the last.
func (c *Controller) Undo(ctx context.Context, service string, to int64, o Options) (*crossfadev1.Change, error) {
	return one(c.change(ctx, o, func(*intent) ([]edit, error) {
		target, err := c.undoTarget(ctx, service, to) // while nothing else is written
		if err != nil {
			return nil, err
		}
		return []edit{{key: store.ObjectKey{Kind: kindService, Name: service}, after: target, action: ActionUndo}}, nil
	}))
}

// lastChange returns the last revision of an object that changed its intent, if there is one. A change that was taken back is none, nor is what
// took it back.
func (c *Controller) lastChange(ctx context.Context, key store.ObjectKey) ([]*crossfadev1.Revision, error) {
	var revert *crossfadev1.Revision // the one after, if it is one
	for r, err := range c.revisions(ctx, key, 20) {
		if err != nil {
			return nil, err
		}
		takenBack := revert != nil && proto.Equal(r.GetAfter(), revert.GetBefore())
		if revert = nil; r.GetAction() == ActionRevert && !takenBack {
			revert = r
		} else if r.GetAction() != ActionAccept && !takenBack {
			return []*crossfadev1.Revision{r}, nil
		}
	}
	return nil, nil
}

// undoTarget finds the document to return to.
func (c *Controller) undoTarget(ctx context.Context, service string, to int64) (*crossfadev1.Document, error) {
	key := store.ObjectKey{Kind: kindService, Name: service}
	if to == 0 {
		last, err := c.lastChange(ctx, key)
		switch {
		case err != nil:
			return nil, storeError(err)
		case len(last) == 0:
			return nil, notFound("service", service)
		case last[0].GetBefore() == nil:
			return nil, &policy.Error{
				Kind: policy.Invalid, Code: "nothing_before", Field: "service", Value: service,
				Message: fmt.Sprintf("revision %d created the service: there is nothing before it", last[0].GetRevision()), Next: "`shadowctl delete service " + service + "` removes it",
			}
		}
		return last[0].GetBefore(), nil
	}
	r, err := c.store.Revision(ctx, to)
	switch {
	case err != nil:
		return nil, &policy.Error{Kind: policy.NotFound, Code: "unknown_revision", Field: "to", Value: fmt.Sprint(to), Message: "there is no such revision", Next: "`shadowctl history " + service + "` lists them"}
	case store.KeyOfRevision(r) != key:
		return nil, &policy.Error{Kind: policy.Invalid, Code: "other_service", Field: "to", Value: fmt.Sprint(to), Message: "that revision is of something else", Next: "`shadowctl history " + service + "` lists those of " + service}
	case r.GetAfter() == nil:
		return nil, &policy.Error{Kind: policy.Invalid, Code: "deleted", Field: "to", Value: fmt.Sprint(to), Message: "that revision deleted the service", Next: "name the one before it"}
	}
	return r.GetAfter(), nil
}
