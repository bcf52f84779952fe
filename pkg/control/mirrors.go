package control

import (
	"cmp"
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// mirror is a live experiment, running or ended.
type mirror struct {
	doc      *crossfadev1.Mirror
	compiled *policy.Mirror // as it is written; the service holds it as it runs
	record   *crossfadev1.Revision
	unread   error // why compiled is no more than a name
}

func mirrorDocument(m *crossfadev1.Mirror) *crossfadev1.Document {
	return &crossfadev1.Document{Object: &crossfadev1.Document_Mirror{Mirror: m}}
}

// halted tells a mirror that was started and asks nobody since a rollback.
func halted(m *policy.Mirror) bool { return m != nil && m.Share == 0 }

// silenced says whether the mirror of a service asks nobody since rollbacks, in all fleets at once or one after the other.
func silenced(s *policy.Service) bool {
	return s.Mirror != nil && !slices.ContainsFunc(s.Fleets, func(fleet string) bool { return !halted(s.In(fleet).Mirror) })
}

// StartMirror starts an experiment: a new one, or one that has ended, by its name alone as it was.
func (c *Controller) StartMirror(ctx context.Context, doc *crossfadev1.Mirror, name string, o Options) (*crossfadev1.Change, *crossfadev1.Mirror, error) {
	var started *crossfadev1.Mirror
	change, err := one(c.change(ctx, o, func(live *intent) ([]edit, error) {
		next, err := planStart(live, doc, name, c.now())
		if err != nil {
			return nil, err
		}
		started = next
		return []edit{{key: store.ObjectKey{Kind: kindMirror, Name: next.GetName()}, after: mirrorDocument(next), action: ActionMirrorStart}}, nil
	}))
	if err == nil && started == nil { // the answer to an earlier call with the same key
		if m := c.snapshot().mirrors[change.GetService()]; m != nil {
			started = m.doc
		}
	}
	return change, started, err
}

func planStart(live *intent, doc *crossfadev1.Mirror, name string, now time.Time) (*crossfadev1.Mirror, error) {
	switch {
	case (doc == nil) == (name == ""):
		return nil, &policy.Error{Kind: policy.Invalid, Code: "required", Field: "mirror", Message: "a document or the name of a mirror that has ended is needed, one of them"}
	case doc == nil:
		m := live.mirrors[name]
		if m == nil {
			return nil, notFound("mirror", name)
		}
		doc = m.doc
	default:
		if _, errs := policy.CompileMirror(doc); len(errs) > 0 {
			return nil, errs
		}
	}
	if m := live.mirrors[doc.GetName()]; m != nil && m.compiled.Running() {
		return nil, alreadyRuns(doc.GetName())
	}
	return policy.RunMirror(doc, newStamp(), now), nil
}

func alreadyRuns(name string) *policy.Error {
	return &policy.Error{
		Kind: policy.Held, Code: "mirror_running", Field: "name", Value: name,
		Message: "it runs, and what it counts would not fit together after a change", Next: "end it with `shadowctl mirror stop " + name + "` first, or choose another name",
	}
}

// EstimateMirror says what an experiment would ask, and what stands in its way.
func (c *Controller) EstimateMirror(doc *crossfadev1.Mirror, name string) (*crossfadev1.MirrorEstimate, *crossfadev1.Mirror, error) {
	live := c.snapshot()
	next, err := planStart(live, doc, name, c.now())
	if err != nil {
		return nil, nil, err
	}
	d := &draft{live: live, edits: []edit{{key: store.ObjectKey{Kind: kindMirror, Name: next.GetName()}, after: mirrorDocument(next), action: ActionMirrorStart}}}
	if err := d.check(); err != nil {
		return nil, nil, err
	}
	if err := c.checkMirrorRules(d); err != nil {
		return nil, nil, err
	}
	return c.experiments.Estimate(d.derived[next.GetService()].Mirror), next, nil
}

// mergeMirror is what an apply makes of a document: what runs stays as it is, and what has ended starts anew only if it says something new.
func mergeMirror(live *intent, doc *crossfadev1.Mirror, now time.Time) (*crossfadev1.Mirror, policy.Errors) {
	if _, errs := policy.CompileMirror(doc); len(errs) > 0 {
		return nil, errs
	}
	old := live.mirrors[doc.GetName()]
	if old != nil && doc.GetControl() == "" { // it was written in when that was started
		doc = proto.CloneOf(doc)
		doc.Control = old.doc.GetControl()
	}
	switch {
	case old == nil:
	case policy.SameMirror(old.doc, doc):
		return old.doc, nil
	case old.compiled.Running():
		return nil, policy.Errors{alreadyRuns(doc.GetName())}
	}
	return policy.RunMirror(doc, newStamp(), now), nil
}

// StopMirror ends an experiment. One that has ended stays as it is.
func (c *Controller) StopMirror(ctx context.Context, name string, o Options) (*crossfadev1.Change, error) {
	by := cmp.Or(o.Who, "somebody")
	return one(c.change(ctx, o, func(live *intent) ([]edit, error) {
		m := live.mirrors[name]
		if m == nil {
			return nil, notFound("mirror", name)
		}
		return []edit{endOf(m, c.now(), "stopped", "stopped by "+by)}, nil
	}))
}

// Mirrors returns the experiments of a service, of all if none is named, by name.
func (c *Controller) Mirrors(service string) []*crossfadev1.MirrorStatus {
	if c.experiments == nil {
		return nil
	}
	return c.experiments.Statuses(service)
}

// MirrorReport says what an experiment found.
func (c *Controller) MirrorReport(name string) (*crossfadev1.MirrorReport, error) {
	if c.experiments != nil {
		if r, ok := c.experiments.Report(name); ok {
			return r, nil
		}
	}
	return nil, notFound("mirror", name)
}

// MirrorsChanged is closed when a report has changed. Get it anew then.
func (c *Controller) MirrorsChanged() <-chan struct{} {
	if c.experiments == nil {
		return nil
	}
	return c.experiments.Changed()
}

func withoutRun(m *crossfadev1.Mirror) *crossfadev1.Mirror {
	if m.GetRun() == nil {
		return m
	}
	out := proto.CloneOf(m)
	out.Run = nil
	return out
}
