package rollout

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// world is what a rollout moves, with everything that can go wrong. What it does depends on its source of chance alone.
type world struct {
	t      *testing.T
	rng    *rand.Rand
	p      *Plan
	now    func() time.Time
	stored State
	mem    State

	live     Split
	fleet    Fleet
	done     map[string]int64 // revisions, by the IDs of effects that were performed
	flying   []Effect         // on their way, over crashes
	hooks    map[string]HookAnswer
	taken    []string
	clock    int
	at       time.Duration
	requests int64
	verdicts []GuardVerdict
	primary  bool    // unhealthy
	foreign  int     // changes by others
	mood     float64 // how often things go wrong, up to 1
	calm     bool    // nothing goes wrong any more, and users are sensible

	approved map[int]bool
	ended    map[int]bool          // steps that were promoted
	baked    map[int]time.Duration // per step, what was there to be counted
	sets     map[int][]string      // IDs that were performed, by step
	reasons  map[string]bool       // of transitions and notes, stored or not
	story    []func() string
}

func newWorld(t *testing.T, rng *rand.Rand, p *Plan, now func() time.Time) *world {
	w := &world{
		t: t, rng: rng, p: p, now: now, mood: []float64{0.02, 0.1, 0.3, 1}[rng.IntN(4)], done: map[string]int64{}, hooks: map[string]HookAnswer{}, approved: map[int]bool{}, ended: map[int]bool{},
		baked: map[int]time.Duration{}, sets: map[int][]string{}, reasons: map[string]bool{},
	}
	w.live = Split{Cause: "apply-3", Revision: 3}
	w.fleet = Fleet{Cause: w.live.Cause, Applied: true, Proven: true}
	w.stored = Start(p, w.live, now())
	w.mem = w.stored
	w.verdicts = []GuardVerdict{{"err", Pass, ""}, {"rel", Pass, ""}}
	return w
}

func (w *world) chance(p float64) bool { return !w.calm && w.rng.Float64() < p*w.mood }

func (w *world) failf(format string, args ...any) {
	w.t.Helper()
	var last []string
	for _, line := range w.story[max(0, len(w.story)-40):] {
		last = append(last, line())
	}
	w.t.Fatalf("%s\nthe last of what happened:\n  %s", fmt.Sprintf(format, args...), strings.Join(last, "\n  "))
}

func (w *world) say(format string, args ...any) {
	w.story = append(w.story, func() string { return fmt.Sprintf(format, args...) })
}

// turn is a second.
func (w *world) turn() {
	if w.chance(0.03) {
		w.crash()
	}
	w.outside()
	in := w.inputs()
	before := w.mem
	now := w.now()
	after, effects, err := Step(w.p, before, in, now)
	w.check(before, after, in, effects, err)
	w.nothingLost(before, after, in, now)
	if w.chance(0.03) { // killed before it was stored; a rollback may be out already
		w.perform(effects, func(e Effect) bool { return e.Kind == Rollback })
		w.crash()
		return
	}
	w.mem = after
	if MustSave(w.stored, after) || w.rng.IntN(5) == 0 {
		w.store(after, in, err)
	}
	if w.chance(0.03) {
		w.crash()
		return
	}
	w.perform(effects, func(Effect) bool { return true })
}

func (w *world) store(s State, in Inputs, err error) {
	if s.Step < w.stored.Step {
		w.failf("went from step %d back to %d", w.stored.Step, s.Step)
	}
	if a := in.Action; a != nil && err == nil {
		w.approved[w.mem.Step] = w.approved[w.mem.Step] || a.Kind == Approve
		if a.Kind == Promote {
			w.ended[w.stored.Step] = true
		}
	}
	w.stored = reread(w.t, s)
}

// outside is what happens by itself and by people.
func (w *world) outside() {
	if w.chance(0.08) {
		words := []Verdict{Pass, Pass, Pass, Pass, Inconclusive, Error, Fail, ""}
		w.verdicts[w.rng.IntN(2)].Verdict = words[w.rng.IntN(len(words))]
	}
	if w.chance(0.02) || w.mem.Phase == RollingBack && w.chance(0.1) {
		w.primary = !w.primary
	}
	keeps := !w.calm && Retaining(w.mem) && w.rng.IntN(20) == 0
	if w.chance(0.015) || w.mem.Phase == RollingBack && w.chance(0.03) || keeps {
		w.foreign++
		w.change(Split{Weight: policy.BasisPoints(w.rng.IntN(10_001)), Cause: fmt.Sprintf("hand-%d", w.foreign), By: "carl"})
	}
	if w.chance(0.005) || keeps && w.rng.IntN(2) == 0 {
		w.foreign++
		w.change(Split{Weight: w.p.home(), Cause: fmt.Sprintf("hand-%d", w.foreign), Rollback: true, By: "carl"})
	}
	if w.calm || w.rng.IntN(3) == 0 {
		w.fleet.Applied, w.fleet.Proven, w.fleet.Refused = true, true, ""
	} else if w.chance(0.02) {
		w.fleet.Refused = "no such cluster"
	}
	w.fly()
}

// fly lets effects through that were on their way, some twice, some never.
func (w *world) fly() {
	var later []Effect
	for _, e := range w.flying {
		switch {
		case w.chance(0.3):
			later = append(later, e)
		case w.chance(0.2): // lost
		default:
			w.carryOut(e)
			if w.chance(0.2) {
				later = append(later, e)
			}
		}
	}
	w.flying = later
}

func (w *world) perform(effects []Effect, which func(Effect) bool) {
	for _, e := range effects {
		if which(e) {
			w.flying = append(w.flying, e)
		}
	}
	if len(w.flying) > 64 {
		w.flying = w.flying[:64]
	}
	if w.calm {
		w.fly()
	}
}

func (w *world) carryOut(e Effect) {
	switch e.Kind {
	case Tell:
		w.taken = append(w.taken, e.ID)
	case CallHook:
		w.hooks[e.ID] = HookAnswer{OK: w.calm || w.hooks[e.ID].OK || w.rng.IntN(3) == 0, Why: "500"}
	case SetSplit, Rollback:
		if w.done[e.ID] > 0 || e.Kind == SetSplit && e.Expect != w.live.Revision {
			return
		}
		w.done[e.ID] = w.live.Revision + 1
		w.allowed(e)
		w.change(Split{Weight: e.Weight, Cause: e.ID, Rollback: e.Kind == Rollback, By: "rollout"})
	}
}

func (w *world) change(s Split) {
	s.Revision = w.live.Revision + 1
	w.live = s
	w.fleet = Fleet{Cause: s.Cause}
	w.say("live: %+v", s)
}

// allowed holds a change that goes live against the plan.
func (w *world) allowed(e Effect) {
	if !strings.Contains(e.ID, "/set") {
		if e.Weight > 0 && w.p.Failure() != BackInStep || e.Weight > w.p.Steps[w.stored.Step].Weight {
			w.failf("a rollback set %d", e.Weight)
		}
		return
	}
	i := e.Step - 1
	if i > w.stored.Step || e.Weight != w.p.Steps[i].Weight {
		w.failf("the split was set to %d for step %d, while at step %d", e.Weight, i, w.stored.Step)
	}
	for k := range i + 1 {
		if w.p.Steps[k].Gate != nil && !w.approved[k] {
			w.failf("step %d was set, though nobody approved step %d", i, k)
		}
		if w.p.Hook != "" && !w.hooks[w.p.hookID(k)].OK {
			w.failf("step %d was set, though the hook before step %d did not agree", i, k)
		}
		if k < i && len(w.sets[k]) == 0 {
			w.failf("step %d was set before step %d", i, k)
		}
		if k < i && !w.ended[k] && w.baked[k] < w.p.Steps[k].Bake {
			w.failf("step %d was set after step %d had baked for %s", i, k, w.baked[k])
		}
	}
	w.sets[i] = append(w.sets[i], e.ID)
	if len(w.sets[i]) > 1+w.foreign {
		w.failf("step %d was done again: %v, with %d changes by others", i, w.sets[i], w.foreign)
	}
}

func (w *world) inputs() Inputs {
	d := time.Second
	if w.chance(0.02) {
		d = time.Duration(w.rng.IntN(4000)) * time.Second // asleep
	}
	w.at += d
	w.requests += int64(w.rng.IntN(30))
	in := Inputs{
		Tick: Tick{Clock: fmt.Sprint(w.clock), At: w.at, Requests: w.requests}, Split: w.live, Made: w.done, Fleet: w.fleet, Guards: slices.Clone(w.verdicts),
		Ready: Ready{OK: w.calm || w.rng.IntN(3) > 0}, Hooks: w.hooks, Taken: w.taken, Primary: Health{Bad: w.primary},
	}
	if w.chance(0.1) {
		in.Split = Split{}
	}
	if w.chance(0.1) {
		in.Fleet = Fleet{}
	}
	if w.chance(0.1) {
		in.Guards = nil
	}
	in.Action = w.user()
	return in
}

// user is what somebody asks now: anything, or while it is calm what gets a rollout on.
func (w *world) user() *Action {
	if w.calm {
		if (w.mem.Phase == Progressing || w.mem.Phase == Pending) && !w.mem.Begun && w.verdicts[0].Verdict == Fail {
			return &Action{Kind: Abort, Who: "bob"} // it would wait for ever
		}
		sensible := map[Phase]ActionKind{Paused: Resume, Frozen: Abort, AwaitingGate: Approve}
		if kind, ok := sensible[w.mem.Phase]; ok {
			if kind == Resume && w.verdicts[0].Verdict == Fail {
				kind = Abort
			}
			return &Action{Kind: kind, Who: "bob", Roles: []string{"approver"}}
		}
		return nil
	}
	last := w.mem.Phase == Baking && w.mem.Step == len(w.p.Steps)-1
	if w.rng.Float64() > 0.02+0.15*w.mood && !(last && w.rng.IntN(10) == 0) {
		return nil
	}
	kinds := []ActionKind{Pause, Pause, Pause, Resume, Resume, Resume, Approve, Approve, Reject, Promote, Abort}
	a := &Action{Kind: kinds[w.rng.IntN(len(kinds))], ID: fmt.Sprint("key-", w.rng.IntN(1000)), Who: []string{"ann", "bob"}[w.rng.IntN(2)]}
	if a.Kind == Abort && w.mem.Phase != RollingBack && w.rng.IntN(4) > 0 {
		return nil
	}
	if w.rng.IntN(3) > 0 {
		a.Roles = []string{"approver"}
	}
	if w.mem.Phase == RollingBack && w.rng.IntN(2) == 0 {
		a.Kind = Pause
	}
	if last && w.rng.IntN(2) == 0 {
		a.Kind = Promote
	}
	a.Step = w.rng.IntN(len(w.p.Steps) + 1)
	return a
}
