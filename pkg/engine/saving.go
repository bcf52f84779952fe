package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// store makes a state durable, beside the looks. A decision is tried at once, and once: whoever made it hears what became of it. The first one is
// tried until it is stored, as nobody does.
func (w *walker) store(next rollout.State, a *act) {
	if w.unsaved.IsZero() {
		w.unsaved = time.Now()
	}
	if (a == nil || a == w.first) && !w.save.due() {
		return
	}
	doc := rollout.WithState(w.doc, next)
	revision, s := w.revision, w.sayOf(next, a)
	w.saving = time.Now()
	w.background(func(ctx context.Context) func() {
		revision, err := w.e.Control.Save(ctx, doc, revision, s)
		return func() { w.wasStored(next, doc, revision, err, a) }
	})
}

// sayOf is what the history says of a state.
func (w *walker) sayOf(next rollout.State, a *act) Saving {
	if a == nil {
		return Saving{Action: "rollout " + doing[next.Phase], Who: w.who(), Verified: w.plan.StarterName != "", Reason: next.Reason}
	}
	s := Saving{Action: "rollout " + string(a.Kind), Who: a.Who, Verified: a.Name != "", Reason: a.Reason}
	if s.Reason == "" {
		s.Reason = next.Reason
	}
	return s
}

// doing are the words for the history, by the phase that a rollout went to.
var doing = map[rollout.Phase]string{
	rollout.Pending: "wait", rollout.Progressing: "step", rollout.Baking: "bake", rollout.AwaitingGate: "gate", rollout.Paused: "pause", rollout.Frozen: "freeze",
	rollout.RollingBack: "back", rollout.RolledBack: "rolled back", rollout.Completed: "complete", rollout.Aborted: "aborted",
}

func (w *walker) wasStored(next rollout.State, doc *crossfadev1.Rollout, revision int64, err error, a *act) {
	w.saving = time.Time{}
	w.save.note(err)
	var coded *policy.Error
	switch {
	case err == nil:
		if next.Phase != w.stored.Phase || next.Step != w.stored.Step {
			w.e.Log.Info("a rollout goes on", "rollout", w.name, "service", w.plan.Service, "state", next.Phase, "step", next.Step+1, "reason", next.Reason)
		}
		w.unsaved, w.altered = time.Time{}, false
		if a == w.first {
			w.first = nil
		}
		w.stored, w.state, w.doc, w.revision = next, next, doc, revision
		w.kept = time.Time{} // what was kept is of another state
		w.show(next)         // before somebody is told that it is so
	case errors.As(err, &coded) && (coded.Kind == policy.Conflict || coded.Kind == policy.NotFound):
		w.lost = "somebody else has written this rollout: " + sentence(err)
		w.show(w.state)
		w.e.Log.Error("a rollout was changed by somebody else, so it is not walked any more", "rollout", w.name, "error", err)
		w.stop()
	case w.ctx.Err() != nil: // the engine is closed
	default:
		w.e.Log.Warn("where a rollout is cannot be stored; nothing goes on until it can, but for a rollback", "rollout", w.name, "error", err)
	}
	if a != nil {
		a.answer(w.unstored(err, a))
	}
}

// unstored is why a decision was not stored, for whoever made it.
func (w *walker) unstored(err error, a *act) error {
	if err == nil {
		return nil
	}
	out := &policy.Error{Kind: policy.Unavailable, Code: "not_stored", Field: "name", Value: w.name, Message: "the decision could not be stored: " + err.Error(), Next: "try again"}
	if coded := (*policy.Error)(nil); errors.As(err, &coded) {
		out = new(*coded)
	}
	if a.back {
		out.Message = fmt.Sprintf("everything was sent back to %s, but why could not be stored: %s", w.plan.Primary, out.Message)
	}
	return out
}

// keep puts what was observed into a file, beside the looks: that disk may hang, too.
func (w *walker) keep(now time.Time) {
	if w.keeping || w.e.keep.dir == "" {
		return
	}
	w.keeping, w.kept = true, now
	k := w.keepable()
	w.background(func(context.Context) func() {
		w.e.keep.write(w.name, k)
		return func() { w.keeping = false }
	})
}

// sentence is an error for people; of none it is empty.
func sentence(err error) string {
	if err == nil {
		return ""
	}
	var coded *policy.Error
	if errors.As(err, &coded) {
		return strings.TrimSuffix(coded.Message+"; "+coded.Next, "; ")
	}
	return err.Error()
}
