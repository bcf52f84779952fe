package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

const (
	lookEvery = 250 * time.Millisecond
	lookApart = 100 * time.Millisecond // at least, if all that is new are reports
	keepEvery = 5 * time.Second
	tellFor   = 24 * time.Hour // after the end, a webhook that takes nothing
	backAgain = time.Second    // a rollback that is not seen live is asked for again
)

// act is a decision on its way.
type act struct {
	rollout.Action
	reply chan<- error // holds one
}

// walker walks one run. Its fields are those of its goroutine, but for the channels.
type walker struct {
	e    *Engine
	name string
	plan *rollout.Plan

	ctx  context.Context
	stop context.CancelFunc
	done chan struct{}
	acts chan act
	news chan func() // what became of work in the background

	guards  []*watched
	mirrors []*mirrored
	queries []*queried
	watch   Watch
	outbox  *outbox

	doc      *crossfadev1.Rollout // as it is stored
	revision int64
	stored   rollout.State
	state    rollout.State // the same with later counts
	lost     string        // why it cannot go on
	sight    Sight         // the last one

	begun    time.Time
	looked   time.Time
	kept     time.Time
	observed time.Duration // in which proxies reported
	requests int64         // of To
	weight   policy.BasisPoints
	saving   bool
	save     retry
	splits   work // changes of the split
	hooks    work
	answers  map[string]rollout.HookAnswer // by the ID of the effect
	backs    map[string]time.Time          // when a rollback was asked for, by the ID of the effect
	shown    []*crossfadev1.RolloutNote    // the last ones
}

// newWalker makes the walker of a run; nil if there is nothing to walk any more.
func (e *Engine) newWalker(doc *crossfadev1.Rollout, revision int64) (*walker, error) {
	state, err := rollout.ReadWalk(doc)
	if err != nil {
		return nil, err
	}
	plan, guards, errs := rollout.ResumeRun(doc)
	if plan == nil {
		return nil, errs
	}
	if state.Phase.Over() && !rollout.Retaining(state) && (len(state.Outbox) == 0 || plan.Hook == "") {
		return nil, nil
	}
	w := &walker{
		e: e, name: doc.GetName(), plan: plan, doc: doc, revision: revision, stored: state, state: state, begun: time.Now(), kept: time.Now(),
		done: make(chan struct{}), acts: make(chan act), news: make(chan func(), 16), weight: state.Weight,
		answers: map[string]rollout.HookAnswer{}, backs: map[string]time.Time{},
	}
	w.ctx, w.stop = context.WithCancel(e.ctx)
	w.equip(guards)
	w.state = e.keep.read(w.name, state, w.guards)
	return w, nil
}

// equip gives a walker what its guards need.
func (w *walker) equip(guards []*guard.Guard) {
	for _, g := range guards {
		w.guards = append(w.guards, newWatched(g, w.plan))
	}
	for _, g := range w.plan.Guards {
		switch {
		case g.Mirror != "":
			w.mirrors = append(w.mirrors, &mirrored{name: g.Name, mirror: g.Mirror})
		case g.Query != nil:
			w.queries = append(w.queries, &queried{name: g.Name, query: g.Query})
		}
	}
}

// walk looks until the run is over, or the engine is closed.
func (w *walker) walk() {
	defer close(w.done)
	defer w.end()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	w.outbox = newOutbox(w)
	for {
		w.look(nil)
		if w.rests() {
			return
		}
		if !w.wait(tick.C) {
			return
		}
	}
}

// rests says that nothing is left to do.
func (w *walker) rests() bool {
	over := w.stored.Phase.Over() && !rollout.Retaining(w.stored) && !w.saving
	return over && (w.told() || time.Since(w.begun) > tellFor)
}

// told says that the webhook has everything, and the store knows that: it is not told again after a restart.
func (w *walker) told() bool {
	return len(w.state.Outbox) == 0 && (w.plan.Hook == "" || len(w.stored.Outbox) == 0)
}

// wait waits for a reason to look, and takes decisions. It says whether to go on.
func (w *walker) wait(tick <-chan time.Time) bool {
	acts := w.acts
	if w.saving || w.lost != "" {
		acts = nil // one after the other
	}
	var counted <-chan struct{}
	if w.watch != nil && time.Since(w.looked) >= lookApart {
		counted = w.watch.Changed()
	}
	select {
	case <-w.ctx.Done():
		return false
	case <-tick:
	case <-counted:
	case f := <-w.news:
		f()
	case a := <-acts:
		w.look(&a)
	}
	return true
}

// end leaves the walk where it is.
func (w *walker) end() {
	w.stop()
	w.outbox.close()
	if w.watch != nil {
		w.watch.Close()
	}
	w.e.Control.Done(w.plan.ID)
	if w.rests() {
		w.e.keep.remove(w.name)
	} else {
		w.e.keep.write(w.name, w.state, w.guards)
	}
	w.e.mu.Lock()
	defer w.e.mu.Unlock()
	if w.e.walkers[w.name] == w {
		delete(w.e.walkers, w.name)
	}
}

// look takes one look, and does what follows from it.
func (w *walker) look(a *act) {
	now := time.Now()
	w.looked = now
	sight := w.e.Control.See(w.plan, w.state.Phase == rollout.RollingBack && w.state.Want == nil)
	if sight.Gone {
		w.gone(a)
		return
	}
	w.observe(now, &sight)
	in := w.inputs(now, &sight, a)
	next, effects, err := rollout.Step(w.plan, w.state, in, w.e.Now())
	w.rollBack(effects)
	if a != nil && err != nil {
		a.reply <- err
		a = nil
	}
	w.sight = sight
	w.show(next, &sight)
	if w.saving {
		return
	}
	lastWord := next.Phase.Over() && len(next.Outbox) == 0 && len(w.stored.Outbox) > 0 && w.plan.Hook != ""
	if rollout.MustSave(w.stored, next) || lastWord {
		w.store(next, a)
		return
	}
	if a != nil {
		a.reply <- nil // it was done before
	}
	w.state = next
	w.outbox.forget(next.Outbox)
	w.perform(effects)
	if now.Sub(w.kept) >= keepEvery {
		w.kept = now
		w.e.keep.write(w.name, w.state, w.guards)
	}
}

// gone is a look at a service that is no more.
func (w *walker) gone(a *act) {
	const why = "the service, or an origin of the plan, is no more"
	if a != nil {
		a.reply <- &policy.Error{Kind: policy.Held, Code: "service_gone", Field: "service", Value: w.plan.Service, Message: why, Next: "apply it again, or delete the rollout"}
	}
	w.show(w.state, &Sight{Drift: why})
}

// inputs is what one look sees.
func (w *walker) inputs(now time.Time, sight *Sight, a *act) rollout.Inputs {
	in := rollout.Inputs{
		Tick:  rollout.Tick{Clock: w.e.clock, At: w.observed, Requests: w.requests},
		Split: sight.Split, Fleet: sight.Fleet, Made: sight.Made, Ready: sight.Ready, Primary: sight.Primary, Hooks: w.answers, Taken: w.outbox.taken(),
	}
	for _, g := range w.guards {
		in.Guards = append(in.Guards, g.verdict())
		if why := g.primaryFails(); why != "" && !in.Primary.Bad {
			in.Primary = rollout.Health{Bad: true, Why: w.plan.Primary + ": " + why}
		}
	}
	for _, m := range w.mirrors {
		in.Guards = append(in.Guards, m.verdict(w.e.Control, now))
	}
	for _, q := range w.queries {
		q.ask(w, now)
		in.Guards = append(in.Guards, q.verdict(now))
	}
	if reporting, silent := w.watch.Reporting(now); reporting == 0 && in.Ready.OK {
		in.Ready = rollout.Ready{Why: fmt.Sprintf("no proxy reports what it does (%d are connected)", silent)}
	}
	switch lease := w.doc.GetRun().GetLease().AsDuration(); {
	case a != nil:
		in.Action = &a.Action
	case lease > 0 && !w.state.Phase.Over() && w.state.Phase != rollout.RollingBack && w.e.alone(w.name, w.begun, now) > lease:
		in.Action = &rollout.Action{ID: w.plan.ID + "/lease", Kind: rollout.Abort, Who: "crossfade", Reason: fmt.Sprintf("nobody has waited for its end for %s", lease)}
	}
	return in
}

// observe reads what was counted since the last look, and has the guards judge it.
func (w *walker) observe(now time.Time, sight *Sight) {
	other := w.plan.From
	if w.watch == nil {
		w.watch = w.e.Traffic.Watch(w.plan.Service, sight.Fleets, w.plan.To, other)
	}
	windows := w.watch.Read(now)
	if reporting, _ := w.watch.Reporting(now); reporting > 0 {
		w.observed += windows[0].Length
	}
	w.requests += int64(windows[0].Requests())
	if sight.Split.Weight != w.weight {
		w.weight = sight.Split.Weight
		for _, g := range w.guards {
			g.nextStep()
		}
	}
	if windows[0].Length <= 0 {
		return
	}
	for i := range windows {
		windows[i].Length = min(windows[i].Length, guard.MaxWindowLength)
	}
	for _, g := range w.guards {
		g.observe(guard.Pair{Candidate: windows[0], Control: windows[1]})
	}
}

// rollBack has rollbacks done at once, before anything is stored.
func (w *walker) rollBack(effects []rollout.Effect) {
	for _, f := range effects {
		if f.Kind != rollout.Rollback {
			continue
		}
		if at, asked := w.backs[f.ID]; asked && time.Since(at) < backAgain {
			continue
		}
		w.backs[f.ID] = time.Now()
		if err := w.e.Control.RollBack(w.change(f)); err != nil {
			w.e.Log.Error("a rollout could not roll back; it tries again", "rollout", w.name, "service", w.plan.Service, "error", err)
		}
	}
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
	for _, f := range effects {
		switch f.Kind {
		case rollout.SetSplit:
			w.splits.do(w, f.ID, func(ctx context.Context) error { return w.e.Control.SetSplit(ctx, w.change(f)) }, nil)
		case rollout.CallHook:
			w.callHook(f)
		case rollout.Tell:
			w.outbox.put(f.Note)
		}
	}
}

func (w *walker) callHook(f rollout.Effect) {
	e := Event{
		ID: f.ID, Type: "step.before", Subject: w.plan.Service, Time: w.e.Now(), Rollout: w.e.Status(w.name),
		Text: fmt.Sprintf("step %d of %d would set %s to %s", f.Step, len(w.plan.Steps), w.plan.To, policy.FormatWeight(f.Weight)),
	}
	w.hooks.do(w, f.ID, func(ctx context.Context) error {
		if w.e.Hooks == nil {
			return errors.New("the server's settings have no webhooks any more")
		}
		return w.e.Hooks.Ask(ctx, w.plan.Hook, e)
	}, func(err error) {
		w.answers[f.ID] = rollout.HookAnswer{OK: err == nil, Why: sentence(err)}
	})
}

// store makes a state durable, beside the looks.
func (w *walker) store(next rollout.State, a *act) {
	if a == nil && !w.save.due() {
		return
	}
	doc := rollout.WithState(w.doc, next)
	s := Saving{Action: "rollout " + doing[next.Phase], Who: w.who(), Reason: next.Reason}
	if a != nil {
		s = Saving{Action: "rollout " + string(a.Kind), Who: a.Who, Reason: a.Reason}
		if s.Reason == "" {
			s.Reason = next.Reason
		}
	}
	w.saving = true
	w.background(func(ctx context.Context) func() {
		revision, err := w.e.Control.Save(ctx, doc, w.revision, s)
		return func() { w.wasStored(next, doc, revision, err, a) }
	})
}

func (w *walker) wasStored(next rollout.State, doc *crossfadev1.Rollout, revision int64, err error, a *act) {
	w.saving = false
	w.save.note(err)
	if a != nil {
		defer func() { a.reply <- err }()
	}
	var coded *policy.Error
	switch {
	case err == nil:
		w.stored, w.state, w.doc, w.revision = next, next, doc, revision
		w.show(next, &w.sight) // before somebody is told that it is so
		w.e.keep.write(w.name, w.state, w.guards)
	case errors.As(err, &coded) && (coded.Kind == policy.Conflict || coded.Kind == policy.NotFound):
		w.lost = "somebody else has written this rollout: " + sentence(err)
		w.show(w.state, &w.sight)
		w.e.Log.Error("a rollout was changed by another server, so this one leaves it", "rollout", w.name, "error", err)
		w.stop()
	default:
		w.e.Log.Warn("where a rollout is cannot be stored; nothing goes on until it can, but for a rollback", "rollout", w.name, "error", err)
	}
}

// doing are the words for the history, by the phase that a rollout went to.
var doing = map[rollout.Phase]string{
	rollout.Pending: "wait", rollout.Progressing: "step", rollout.Baking: "bake", rollout.AwaitingGate: "gate", rollout.Paused: "pause", rollout.Frozen: "freeze",
	rollout.RollingBack: "back", rollout.RolledBack: "rolled back", rollout.Completed: "complete", rollout.Aborted: "aborted",
}

// background does work beside the looks. What it returns is called by the walker.
func (w *walker) background(f func(ctx context.Context) func()) {
	w.e.work.Go(func() {
		then := f(w.ctx)
		select {
		case w.news <- then:
		case <-w.done:
		}
	})
}

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
