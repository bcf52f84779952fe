package rollout

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

var began = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// plan is one of three steps, the second behind a gate.
func plan(change ...func(*Plan)) *Plan {
	p := &Plan{
		ID: "r1@7", Name: "r1", Service: "orders", From: "ecs", To: "eks", Primary: "ecs", Starter: "ann",
		Steps: []PlanStep{
			{Weight: 1000, Bake: 3 * time.Second, MinRequests: 20},
			{Weight: 5000, Bake: 3 * time.Second, Gate: &Gate{Role: "approver", NotStarter: true}},
			{Weight: policy.Whole, Bake: 3 * time.Second},
		},
		Guards:    []PlanGuard{{Name: "err", Window: time.Second}, {Name: "rel", Relative: true, Against: "ecs", Window: time.Second}},
		BackPause: 2 * time.Second, Retention: 5 * time.Second,
	}
	for _, c := range change {
		c(p)
	}
	return p
}

func reversed(p *Plan) {
	p.From, p.To = "eks", "ecs"
	p.Guards[1].Against = "eks"
}

func withHook(p *Plan) { p.Hook = "https://hooks.test/x" }

func onFailure(f OnFailure) func(*Plan) { return func(p *Plan) { p.OnFailure = f } }

// rig is a plan and a world in which effects are performed at once and well. Inputs can be changed between looks.
type rig struct {
	t    *testing.T
	p    *Plan
	s    State
	in   Inputs
	last []Effect
	seen []Note
	sets []string // IDs of changes of the split
}

func newRig(t *testing.T, p *Plan) *rig {
	t.Helper()
	r := &rig{t: t, p: p}
	r.in = Inputs{
		Tick: Tick{Clock: "a", At: time.Second}, Split: Split{Cause: "apply", Revision: 7}, Ready: Ready{OK: true},
		Guards: []GuardVerdict{{"err", Pass, "0 %"}, {"rel", Pass, "1.0"}}, Hooks: map[string]HookAnswer{},
	}
	r.s = Start(p, r.in.Split, began)
	return r
}

// look steps once, stores, and performs what is asked.
func (r *rig) look() {
	r.t.Helper()
	if err := r.try(nil); err != nil {
		r.t.Fatal(err)
	}
}

// do is a look with an action that has to be taken.
func (r *rig) do(a Action) {
	r.t.Helper()
	if err := r.try(&a); err != nil {
		r.t.Fatalf("%s while %s: %v", a.Kind, r.s.Phase, err)
	}
}

func (r *rig) try(a *Action) error {
	r.t.Helper()
	r.in.Action = a
	s, effects, err := Step(r.p, r.s, r.in, began)
	r.in.Action, r.in.Taken = nil, nil
	r.s, r.last = reread(r.t, s), effects
	for _, e := range effects {
		r.perform(e)
	}
	return err
}

func (r *rig) perform(e Effect) {
	switch e.Kind {
	case SetSplit, Rollback:
		r.sets = append(r.sets, e.ID)
		r.set(Split{Weight: e.Weight, Cause: e.ID, Rollback: e.Kind == Rollback, By: "rollout r1"})
	case Tell:
		r.seen = append(r.seen, e.Note)
		r.in.Taken = append(r.in.Taken, e.ID)
	}
}

// set makes a split live, and all proxies have it.
func (r *rig) set(s Split) {
	s.Revision = r.in.Split.Revision + 1
	r.in.Split = s
	r.in.Fleet = Fleet{Cause: s.Cause, Applied: true, Proven: true}
}

// pass lets a second pass.
func (r *rig) pass() {
	r.t.Helper()
	r.in.Tick.At += time.Second
	r.in.Tick.Requests += 10
	r.look()
}

// until lets time pass until a phase is there.
func (r *rig) until(phase Phase, step int) {
	r.t.Helper()
	for range 60 {
		if r.s.Phase == phase && r.s.Step+1 == step {
			return
		}
		r.pass()
	}
	r.t.Fatalf("is %s at step %d, not %s at step %d: %s", r.s.Phase, r.s.Step+1, phase, step, Explain(r.p, r.s))
}

// reread stores a state and reads it back.
func reread(t *testing.T, s State) State {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var out State
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func (r *rig) fail()    { r.in.Guards[0] = GuardVerdict{"err", Fail, "5 % of 400, at most 0.5 %"} }
func (r *rig) recover() { r.in.Guards[0] = GuardVerdict{"err", Pass, "0 %"} }
func (r *rig) is(phase Phase, weight policy.BasisPoints) {
	r.t.Helper()
	if r.s.Phase != phase || r.in.Split.Weight != weight {
		r.t.Fatalf("is %s at %d, want %s at %d: %s", r.s.Phase, r.in.Split.Weight, phase, weight, Explain(r.p, r.s))
	}
}

func (r *rig) told(event string) (n int) {
	for _, note := range r.seen {
		if note.Event == event {
			n++
		}
	}
	return n
}

var approval = Action{Kind: Approve, Who: "bob", Roles: []string{"approver"}}
