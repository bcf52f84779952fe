package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// silentFor is how much time without a request the guards learn of at once.
const silentFor = time.Second

// look takes one look, and does what follows from it.
func (w *walker) look() {
	now := time.Now()
	w.looked = now
	if w.pending == nil && w.saving.IsZero() {
		w.pending = w.first
	}
	w.sight = w.e.Control.See(w.plan, w.state.Phase == rollout.RollingBack && w.state.Want == nil)
	if w.sight.Gone {
		w.gone()
		return
	}
	w.observe(now)
	in := w.inputs(now)
	next, effects, err := rollout.Step(w.plan, w.state, in, w.e.Now())
	if w.rollBack(w.impatient(next, effects)) && in.Action != nil && err == nil && w.pending != nil {
		w.pending.back = true
	}
	if !w.saving.IsZero() {
		w.showUnstored(next)
		return
	}
	a := w.decided(err)
	if rollout.MustSave(w.stored, next) || w.lastWord(next) || w.altered {
		w.showUnstored(next)
		w.store(next, a)
		return
	}
	w.state = next
	w.unsaved = time.Time{} // a save that failed before is of a state that is no more
	if next.Phase != rollout.RollingBack || next.Want == nil {
		w.unset = time.Time{}
	}
	w.show(next)
	if a != nil {
		a.answer(nil) // it was done before
	}
	w.outbox.forget(next.Outbox)
	w.perform(effects)
	if now.Sub(w.kept) >= keepEvery {
		w.keep(now)
	}
}

// unstoredFor is how long a gradual rollback waits for the store.
const unstoredFor = 3 * time.Second

// impatient turns a gradual rollback, of which each weight has to be stored first, into one at once if the store does not take it: what fails is not left
// where it is because of a disk.
func (w *walker) impatient(next rollout.State, effects []rollout.Effect) []rollout.Effect {
	since := w.unsaved
	if since.IsZero() && next.Phase == rollout.RollingBack && next.Want != nil {
		since = w.unset
	}
	if next.Back == nil || !next.Back.Gradual || since.IsZero() || time.Since(since) < unstoredFor {
		return effects
	}
	return []rollout.Effect{{Kind: rollout.Rollback, ID: w.plan.BackID(next), Reason: "rollout " + w.name + ": " + next.Reason + " (at once, because the store does not take the steps)"}}
}

// decided takes the decision that came into a look. One that was refused gets its answer, and is none.
func (w *walker) decided(refused error) *act {
	a := w.pending
	w.pending = nil
	switch {
	case a == nil || refused == nil:
		return a
	case a == w.first:
		w.first = nil
	case a.back:
		refused = nil // everything went back for it while the store was busy, and is on its way back now
	}
	a.answer(refused)
	return nil
}

// lastWord says that the webhook has everything of a run that is over, and the store does not know that.
func (w *walker) lastWord(next rollout.State) bool {
	return next.Phase.Over() && len(next.Outbox) == 0 && len(w.stored.Outbox) > 0 && w.plan.Hook != ""
}

// gone is a look at a service that is no more.
func (w *walker) gone() {
	const why = "the service, or an origin of the plan, is no more"
	w.sight.Drift = why
	if a := w.pending; a != nil {
		w.pending = nil
		a.answer(&policy.Error{Kind: policy.Held, Code: "service_gone", Field: "service", Value: w.plan.Service, Message: why, Next: "apply it again, or delete the rollout"})
	}
	w.show(w.state)
}

// inputs is what one look sees.
func (w *walker) inputs(now time.Time) rollout.Inputs {
	s := &w.sight
	in := rollout.Inputs{
		Tick:  rollout.Tick{Clock: w.e.clock, At: w.observed, Age: now.Sub(w.begun), Requests: w.requests},
		Split: s.Split, Fleet: s.Fleet, Made: s.Made, Ready: s.Ready, Primary: s.Primary, Hooks: w.hook.answers(), Taken: w.outbox.taken(), Action: w.action(now),
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
		in.Ready = rollout.Ready{Why: unreported(silent)}
	}
	return in
}

func unreported(silent int) string {
	return fmt.Sprintf("no proxy reports what it does (%d are connected)", silent)
}

// action is what somebody has decided, or nobody waits for. While a state is being stored only an abort is looked at, for the rollback that follows from it.
func (w *walker) action(now time.Time) *rollout.Action {
	busy := !w.saving.IsZero()
	switch lease := w.doc.GetRun().GetLease().AsDuration(); {
	case w.pending != nil && (!busy || w.pending.Kind == rollout.Abort):
		return &w.pending.Action
	case w.pending != nil:
	case lease > 0 && !w.state.Phase.Over() && w.state.Phase != rollout.RollingBack && w.e.alone(w.name, w.begun, now) > lease:
		return &rollout.Action{ID: w.plan.ID + "/lease", Kind: rollout.Abort, Who: "crossfade", Reason: fmt.Sprintf("nobody has waited for its end for %s", lease)}
	}
	return nil
}

// observe reads what was counted since the last look, and has the guards judge it.
func (w *walker) observe(now time.Time) {
	if w.watch != nil && !slices.Equal(w.fleets, w.sight.Fleets) {
		w.watch.Close()
		w.watch = nil
	}
	if w.watch == nil {
		w.fleets = w.sight.Fleets
		w.watch = w.e.Traffic.Watch(w.plan.Service, w.fleets, w.plan.To, w.plan.From)
	}
	windows := w.watch.Read(now)
	to, from := windows[0], windows[1]
	reporting, silent := w.watch.Reporting(now)
	if reporting > 0 {
		w.observed += to.Length
	}
	w.requests += int64(to.Requests())
	if w.sight.Split.Weight != w.weight {
		w.weight, w.silent = w.sight.Split.Weight, 0
		for _, g := range w.guards {
			g.nextStep()
		}
	}
	// Latencies come with the statistics of the proxies, when load reports may have counted the requests already.
	counted := to.Requests()+from.Requests() > 0 || len(to.Latency)+len(from.Latency) > 0
	if reporting == 0 && !counted {
		for _, g := range w.guards {
			g.unreported(silent)
		}
		return
	}
	if !counted && w.silent+to.Length < silentFor {
		w.silent += to.Length
		return
	}
	w.judge(to, from, counted)
}

// judge gives windows to the guards. What was silent until now goes first, so that what was counted is not spread over it.
func (w *walker) judge(to, from guard.Window, counted bool) {
	before := w.silent
	w.silent = 0
	if !counted {
		to.Length, before = to.Length+before, 0
		from.Length = to.Length
	}
	for _, g := range w.guards {
		for _, p := range []guard.Pair{{Candidate: guard.Window{Length: before}, Control: guard.Window{Length: before}}, {Candidate: to, Control: from}} {
			p.Candidate.Length, p.Control.Length = min(p.Candidate.Length, guard.MaxWindowLength), min(p.Control.Length, guard.MaxWindowLength)
			if p.Candidate.Length > 0 {
				g.observe(p)
			}
		}
	}
}
