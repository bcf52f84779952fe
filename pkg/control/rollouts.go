package control

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/engine"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// Rollouts is who walks rollouts: an [engine.Engine].
type Rollouts interface {
	// Begin walks a run, or goes on with it; of one that is over it only knows how it ended.
	Begin(doc *crossfadev1.Rollout, revision int64)
	// BeginPaused is Begin for a run of a backup, which pauses before it does anything.
	BeginPaused(doc *crossfadev1.Rollout, revision int64)
	Forget(name string)
	Act(ctx context.Context, name string, a rollout.Action) (*crossfadev1.RolloutStatus, error)
	Status(name string) *crossfadev1.RolloutStatus
	Changed(name string) <-chan struct{}
	Attend(name string) (leave func())
	Close()
}

// plan is a live rollout, on its way or over.
type plan struct {
	doc      *crossfadev1.Rollout
	record   *crossfadev1.Revision
	over     bool // another may start on its service
	retained bool // the origin that it left is kept
}

// setRollout makes a rollout live, or removes it.
func (in *intent) setRollout(name string, doc *crossfadev1.Rollout, record *crossfadev1.Revision) {
	if doc == nil {
		delete(in.rollouts, name)
		return
	}
	p := &plan{doc: doc, record: record, over: rollout.Phase(doc.GetRun().GetState()).Over()}
	if state, err := rollout.ReadWalk(doc); err == nil {
		p.retained = rollout.Retaining(state)
	} else {
		p.over = true // nobody can walk it any more
	}
	in.rollouts[name] = p
}

// underway is the rollout that is on its way on a service, nil if none is.
func (in *intent) underway(service string) *plan {
	for _, p := range in.rollouts {
		if p.doc.GetService() == service && !p.over {
			return p
		}
	}
	return nil
}

// claims says whether a change sets a split for a rollout that was set by somebody else, so that it changes something though the weights may be equal.
func (in *intent) claims(key store.ObjectKey, o Options) bool {
	s := in.services.At(key.Name)
	return key.Kind == kindService && s != nil && o.Cause != "" && s.cause != o.Cause
}

// public is a revision without what only the engine reads.
func public(r *crossfadev1.Revision) *crossfadev1.Revision {
	if r.GetKind() != kindRollout {
		return r
	}
	out := proto.CloneOf(r)
	for _, doc := range []*crossfadev1.Document{out.GetBefore(), out.GetAfter()} {
		if run := doc.GetRollout().GetRun(); run != nil {
			run.Walk = nil
		}
	}
	return out
}

func rolloutDocument(r *crossfadev1.Rollout) *crossfadev1.Document {
	return &crossfadev1.Document{Object: &crossfadev1.Document_Rollout{Rollout: r}}
}

// beginning is what a rollout that starts is told beside its document.
type beginning struct {
	lease time.Duration // 0: it walks alone
}

// StartRollout starts a rollout: a new one, or one that is over, by its name alone as it was. With a lease it is aborted if nobody attends to it for so long.
func (c *Controller) StartRollout(ctx context.Context, doc *crossfadev1.Rollout, name string, lease time.Duration, o Options) (*crossfadev1.Change, *crossfadev1.RolloutStatus, error) {
	if o.Wait == crossfadev1.Wait_WAIT_UNSPECIFIED {
		o.Wait = crossfadev1.Wait_WAIT_NONE // no proxy hears of a start
	}
	change, err := one(c.change(ctx, o, func(live *intent) ([]edit, error) {
		next, err := planRollout(live, doc, name)
		if err != nil {
			return nil, err
		}
		return []edit{startEdit(next, lease)}, nil
	}))
	if err != nil {
		return nil, nil, err
	}
	status, err := c.Rollout(change.GetService())
	return change, status, err
}

func startEdit(doc *crossfadev1.Rollout, lease time.Duration) edit {
	return edit{key: rolloutKey(doc.GetName()), after: rolloutDocument(doc), action: ActionRolloutStart, start: &beginning{lease: lease}}
}

// CheckRollout says how a rollout would be that is started, with its timetable, or what stands in its way.
func (c *Controller) CheckRollout(doc *crossfadev1.Rollout, name string, o Options) (*crossfadev1.RolloutStatus, error) {
	live := c.snapshot()
	next, err := planRollout(live, doc, name)
	if err != nil {
		return nil, err
	}
	d := &draft{live: live, edits: []edit{startEdit(next, 0)}}
	if err := d.check(); err != nil {
		return nil, err
	}
	if err := c.checkRollouts(d, o); err != nil {
		return nil, err
	}
	return engine.StatusOf(d.edits[0].after.GetRollout()), nil
}

// planRollout is the document of a rollout that is to start.
func planRollout(live *intent, doc *crossfadev1.Rollout, name string) (*crossfadev1.Rollout, error) {
	switch {
	case (doc == nil) == (name == ""):
		return nil, &policy.Error{Kind: policy.Invalid, Code: "required", Field: "rollout", Message: "a document or the name of a rollout that is over is needed, one of them"}
	case doc == nil:
		p := live.rollouts[name]
		if p == nil {
			return nil, notFound("rollout", name)
		}
		doc = p.doc
	}
	if p := live.rollouts[doc.GetName()]; p != nil && !p.over {
		return nil, underway(p)
	}
	return rollout.Asked(doc), nil
}

func underway(p *plan) *policy.Error {
	name := p.doc.GetName()
	return &policy.Error{
		Kind: policy.Held, Code: "rollout_underway", Field: "name", Value: name,
		Message: "it is on its way (" + p.doc.GetRun().GetState() + "), and a plan does not change while it is walked", Next: "end it with `shadowctl rollout abort " + name + "` first, or choose another name",
	}
}

// mergeRollout is what an apply makes of a document: what is on its way stays as it is, and what is over starts anew only if it says something new.
func mergeRollout(live *intent, doc *crossfadev1.Rollout) (*crossfadev1.Rollout, policy.Errors) {
	if _, errs := rollout.Compile(doc); len(errs) > 0 {
		return nil, errs
	}
	old := live.rollouts[doc.GetName()]
	switch {
	case old == nil:
	case rollout.SameRollout(old.doc, doc):
		return old.doc, nil
	case !old.over:
		return nil, policy.Errors{underway(old)}
	}
	return rollout.Asked(doc), nil
}

// startedBy says that an apply starts a rollout: its document has no run then.
func startedBy(after *crossfadev1.Document) *beginning {
	if r := after.GetRollout(); r != nil && r.GetRun() == nil {
		return &beginning{}
	}
	return nil
}

// ActOnRollout takes somebody's decision: "pause", "resume", "approve", "reject", "abort" or "promote". Of a gate, step may say which is meant, from 1.
func (c *Controller) ActOnRollout(ctx context.Context, name, action string, step int, o Options) (*crossfadev1.RolloutStatus, error) {
	p := c.snapshot().rollouts[name]
	switch {
	case p == nil:
		return nil, notFound("rollout", name)
	case c.rollouts == nil:
		return nil, noRollouts()
	case o.Expect != 0 && o.Expect != p.record.GetRevision():
		return nil, conflict(rolloutKey(name), o.Expect, p.record.GetRevision())
	}
	return c.rollouts.Act(ctx, name, rollout.Action{ID: o.Key, Request: hex.EncodeToString(o.Digest[:min(8, len(o.Digest))]), Kind: rollout.ActionKind(action), Who: o.Who, Name: o.Name, Step: step, Reason: o.Reason})
}

func noRollouts() *policy.Error {
	return &policy.Error{Kind: policy.Unavailable, Code: "no_rollouts", Field: "kind", Value: policy.KindRollout, Message: "this server walks no rollouts"}
}

// Rollouts returns how the rollouts of a service are, of all if none is named, by name.
func (c *Controller) Rollouts(service string) []*crossfadev1.RolloutStatus {
	var out []*crossfadev1.RolloutStatus
	for name, p := range c.snapshot().rollouts {
		if service == "" || p.doc.GetService() == service {
			out = append(out, c.rolloutStatus(name, p))
		}
	}
	slices.SortFunc(out, func(a, b *crossfadev1.RolloutStatus) int { return strings.Compare(a.GetName(), b.GetName()) })
	return out
}

// Rollout returns how a rollout is.
func (c *Controller) Rollout(name string) (*crossfadev1.RolloutStatus, error) {
	p := c.snapshot().rollouts[name]
	if p == nil {
		return nil, notFound("rollout", name)
	}
	return c.rolloutStatus(name, p), nil
}

func (c *Controller) rolloutStatus(name string, p *plan) *crossfadev1.RolloutStatus {
	if c.rollouts != nil {
		if st := c.rollouts.Status(name); st != nil {
			return st
		}
	}
	return engine.StatusOf(p.doc)
}

// RolloutChanged is closed when a rollout is otherwise than it was. Get it anew then.
func (c *Controller) RolloutChanged(name string) <-chan struct{} {
	if c.rollouts == nil {
		return nil
	}
	return c.rollouts.Changed(name)
}

// AttendRollout says that somebody waits for the end of a rollout, until leave is called.
func (c *Controller) AttendRollout(name string) (leave func()) {
	if c.rollouts == nil {
		return func() {}
	}
	return c.rollouts.Attend(name)
}

// beginRollouts has the rollouts of a change walked that started, and forgets those that were deleted.
func (c *Controller) beginRollouts(ch *change) {
	if ch == nil || c.rollouts == nil {
		return
	}
	for _, e := range ch.edits {
		switch {
		case e.key.Kind != kindRollout || e.action == "none":
		case e.after == nil:
			c.rollouts.Forget(e.key.Name)
		case e.start != nil:
			c.rollouts.Begin(e.after.GetRollout(), e.record.GetRevision())
		}
	}
}

// resumeRollouts goes on with what the store holds: at start.
func (c *Controller) resumeRollouts() {
	if c.rollouts == nil {
		return
	}
	begin := c.rollouts.Begin
	if c.restored {
		begin = c.rollouts.BeginPaused
	}
	for _, p := range c.snapshot().rollouts {
		begin(p.doc, p.record.GetRevision())
	}
}
