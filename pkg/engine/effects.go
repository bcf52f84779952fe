package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// backAgain is when a rollback that is not seen live is asked for again.
const backAgain = time.Second

// setting is the change of the split that is on its way; one at a time.
type setting struct {
	busy bool
	id   string
	retry
}

// calling is the question to the webhook before a step.
type calling struct {
	setting
	answer *rollout.HookAnswer // nil: none yet
}

func (c *calling) answers() map[string]rollout.HookAnswer {
	if c.answer == nil {
		return nil
	}
	return map[string]rollout.HookAnswer{c.id: *c.answer}
}

// returning is the last rollback that was asked for.
type returning struct {
	id  string
	at  time.Time
	err error
}

// rollBack has a rollback done at once, before anything is stored. It says whether there is one.
func (w *walker) rollBack(effects []rollout.Effect) (is bool) {
	for _, f := range effects {
		if f.Kind != rollout.Rollback {
			continue
		}
		is = true
		if w.back.id == f.ID && time.Since(w.back.at) < backAgain {
			continue
		}
		w.back = returning{id: f.ID, at: time.Now(), err: w.e.Control.RollBack(w.change(f))}
		if err := w.back.err; err != nil {
			w.e.Log.Error("a rollout could not roll back; it tries again", "rollout", w.name, "service", w.plan.Service, "error", err)
		}
	}
	return is
}

func (w *walker) change(f rollout.Effect) Change {
	return Change{Plan: w.plan, ID: f.ID, Weight: int32(f.Weight), Expect: f.Expect, Who: w.who(), Reason: f.Reason}
}

func (w *walker) who() string {
	if w.plan.Starter == "" {
		return "rollout " + w.name
	}
	return fmt.Sprintf("rollout %s (started by %s)", w.name, w.plan.Starter)
}

// perform has the rest done, without waiting for it.
func (w *walker) perform(effects []rollout.Effect) {
	if !w.hook.busy && !slices.ContainsFunc(effects, func(f rollout.Effect) bool { return f.Kind == rollout.CallHook }) {
		w.hook = calling{} // what it answered is used, or no longer asked: a step that is begun again asks again
	}
	for _, f := range effects {
		switch f.Kind {
		case rollout.SetSplit:
			w.setSplit(f)
		case rollout.CallHook:
			w.callHook(f)
		case rollout.Tell:
			w.outbox.put(f.Note)
		}
	}
}

// free says whether an effect may be begun: nothing else is on its way, and it did not fail a moment ago.
func (s *setting) free(id string) bool {
	if s.busy {
		return false
	}
	if s.id != id {
		*s = setting{id: id}
	}
	return s.due()
}

func (w *walker) setSplit(f rollout.Effect) {
	if _, live := w.sight.Made[w.split.id]; live && w.split.id != f.ID {
		w.split.busy = false // it only waits for acknowledgements, which a step back must not: a proxy may hang
	}
	if !w.split.free(f.ID) {
		return
	}
	w.split.busy = true
	begun := time.Now()
	ch := w.change(f)
	ch.Back = w.state.Phase == rollout.RollingBack
	w.background(func(ctx context.Context) func() {
		err := w.e.Control.SetSplit(ctx, ch)
		return func() {
			if w.split.id != f.ID {
				return // another one is on its way since
			}
			w.split.busy = false
			if w.split.note(err); err == nil {
				w.split.after = time.Now().Add(backAgain)
			} else if e := (*policy.Error)(nil); ch.Back && w.unset.IsZero() && errors.As(err, &e) && e.Kind == policy.Unavailable {
				w.unset = begun
			}
		}
	})
}

func (w *walker) callHook(f rollout.Effect) {
	c := &w.hook
	if !c.busy && c.id != f.ID {
		c.answer = nil
	}
	if !c.free(f.ID) || c.answer != nil && c.answer.OK {
		return
	}
	c.busy = true
	e := Event{
		ID: f.ID, Type: "step.before", Subject: w.plan.Service, Time: w.e.Now(), Rollout: w.e.told(w.name),
		Text: fmt.Sprintf("step %d of %d would set %s to %s", f.Step, len(w.plan.Steps), w.plan.To, policy.FormatWeight(f.Weight)),
	}
	w.background(func(ctx context.Context) func() {
		err := w.e.tell(ctx, w.plan.Hook, e)
		return func() {
			c.busy = false
			c.noteWithin(err, firstAsk, lastAsk)
			c.answer = &rollout.HookAnswer{OK: err == nil, Why: sentence(err)}
		}
	})
}

// hookTimeout is how long one try may take.
const hookTimeout = 30 * time.Second

// tell posts one event to a webhook.
func (e *Engine) tell(ctx context.Context, url string, event Event) error {
	if e.Hooks == nil {
		return errors.New("the server's settings have no webhooks any more")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, hookTimeout, fmt.Errorf("it did not answer within %s", hookTimeout))
	defer cancel()
	return e.Hooks.Ask(ctx, url, event)
}
