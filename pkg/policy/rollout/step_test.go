package rollout

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

func TestAHealthyPlanWalksToItsEnd(t *testing.T) {
	r := newRig(t, plan(withHook))
	r.look()
	r.is(Progressing, 0) // the hook was asked
	r.in.Hooks["r1@7/step-1/before"] = HookAnswer{Why: "500"}
	r.pass()
	r.is(Progressing, 0)
	explains(t, r, "waits for the hook before step 1 of 3 (10%): 500")
	for _, id := range []string{"r1@7/step-1/before", "r1@7/step-2/before", "r1@7/step-3/before"} {
		r.in.Hooks[id] = HookAnswer{OK: true}
	}
	r.look()
	r.look()
	r.is(Baking, 1000)
	explains(t, r, "bakes at step 1 of 3 (10%), and needs 3s more of 3s with a pass, 20 more of 20 requests; then the gate before 50%")
	r.until(AwaitingGate, 2)
	r.is(AwaitingGate, 1000)
	explains(t, r, "stays at 10% until somebody with role approver other than ann approves step 2 of 3 (50%)")
	r.do(approval)
	r.until(Completed, 3)
	r.is(Completed, policy.Whole)
	if !Retaining(r.s) {
		t.Error("the old origin is not kept")
	}
	explains(t, r, "is complete; ecs is kept for 5s more, for a rollback")
	for range 5 {
		r.pass()
	}
	if Retaining(r.s) {
		t.Error("the old origin is kept for longer than asked")
	}
	if want := []string{"r1@7/step-1/set", "r1@7/step-2/set", "r1@7/step-3/set"}; !slices.Equal(r.sets, want) {
		t.Errorf("the split was set by %v, want %v", r.sets, want)
	}
	if r.told("step.after") != 3 || r.told("gate") != 1 || r.told("completed") != 1 || r.told("retention.over") != 1 {
		t.Errorf("told: %+v", r.seen)
	}
}

func explains(t *testing.T, r *rig, want string) {
	t.Helper()
	if got := Explain(r.p, r.s); got != want {
		t.Errorf("explains %q, want %q", got, want)
	}
}

func TestAFailureRollsBackAtOnce(t *testing.T) {
	r := newRig(t, plan())
	r.until(Baking, 1)
	r.fail()
	r.look()
	r.is(RollingBack, 0) // in the look that saw it
	r.in.Fleet.Proven, r.in.Fleet.Why = false, "p7 still has requests"
	r.look()
	explains(t, r, "ecs has everything; waits for the proof of the proxies: p7 still has requests")
	r.in.Fleet.Proven = true
	r.look()
	r.is(RolledBack, 0)
	if r.s.Reason != "the primary has everything: p7 still has requests" {
		t.Errorf("it ended without proof, and says %q", r.s.Reason)
	}
	if !strings.Contains(r.seen[len(r.seen)-2].Text, "5 % of 400, at most 0.5 %") {
		t.Errorf("the notes do not say why: %+v", r.seen)
	}
}

func TestAGradualRollbackGoesOverTheSteps(t *testing.T) {
	r := newRig(t, plan(onFailure(BackInStep)))
	r.until(AwaitingGate, 2)
	r.do(approval)
	r.until(Baking, 3)
	r.fail()
	r.look()
	r.is(RollingBack, 5000)
	r.look() // it is seen live, and rests for 2 s
	for _, want := range []policy.BasisPoints{5000, 1000, 1000, 0} {
		r.pass()
		r.is(RollingBack, want)
	}
	r.until(RolledBack, 3)
	if want := []string{"r1@7/step-2/back", "r1@7/step-1/back", "r1@7/back"}; !slices.Equal(r.sets[3:], want) {
		t.Errorf("went back by %v, want %v", r.sets[3:], want)
	}
}

// TestAGradualRollbackWaitsForNoProxyForLong: be it that one does not take the weight, or that nobody reports and no observed time passes.
func TestAGradualRollbackWaitsForNoProxyForLong(t *testing.T) {
	for name, observed := range map[string]time.Duration{"one does not take it": time.Second, "nobody reports": 0} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, plan(onFailure(BackInStep)))
			r.until(AwaitingGate, 2)
			r.do(approval)
			r.until(Baking, 3)
			r.fail()
			r.look()
			r.look() // 50 % is seen live
			for _, want := range []policy.BasisPoints{5000, 1000} {
				r.in.Fleet.Applied, r.in.Fleet.Why = false, "1 of 12 proxies do not have it"
				for range 17 {
					r.is(RollingBack, want)
					r.in.Tick.Age += time.Second
					r.in.Tick.At += observed
					r.look()
				}
				r.look() // what it did is seen
			}
			r.is(RolledBack, 0)
		})
	}
}

func TestAnUnhealthyPrimaryFreezes(t *testing.T) {
	r := newRig(t, plan())
	r.until(Baking, 1)
	r.fail()
	r.in.Primary = Health{Bad: true, Why: "ecs answers 30 % with errors"}
	r.look()
	r.is(Frozen, 1000)
	if last := r.last[len(r.last)-1]; last.Kind != Tell || !last.Note.Alarm {
		t.Errorf("nobody is called: %+v", r.last)
	}
	refused(t, r, Action{Kind: Resume, Who: "bob"}, policy.Held, "primary_unhealthy")
	refused(t, r, Action{Kind: Abort, Who: "bob"}, policy.Held, "primary_unhealthy")
	r.set(Split{Cause: "rollback-9", Rollback: true, By: "bob"}) // who knows better can
	r.look()
	r.is(RolledBack, 0)
}

func TestAPlanToThePrimaryFreezes(t *testing.T) {
	r := newRig(t, plan(reversed))
	r.until(Baking, 1)
	r.fail()
	r.look()
	r.is(Frozen, 1000)
	refused(t, r, Action{Kind: Resume}, policy.Held, "guards_failing")
	r.recover()
	r.do(Action{Kind: Resume, Who: "bob"})
	r.is(Baking, 1000)
	if r.s.Bake != 0 {
		t.Errorf("bakes on from %s after a failure", r.s.Bake)
	}
	r.do(Action{Kind: Abort, Who: "bob"})
	r.is(Aborted, 1000) // its traffic is not taken from the primary
}

func TestNoTrafficHoldsTheStep(t *testing.T) {
	for _, v := range []Verdict{Inconclusive, Error, "", "pass"} {
		r := newRig(t, plan())
		r.until(Baking, 1)
		r.in.Guards[0] = GuardVerdict{"err", v, "no requests"}
		for range 100 {
			r.pass()
		}
		r.is(Baking, 1000)
		if r.s.Bake != 0 {
			t.Errorf("%q counts as a pass for %s", v, r.s.Bake)
		}
		if !strings.Contains(Explain(r.p, r.s), "guard err: no requests") {
			t.Errorf("does not say why: %s", Explain(r.p, r.s))
		}
	}
}

func TestARelativeGuardDoesNotHoldWhereTheOtherOriginHasNothing(t *testing.T) {
	r := newRig(t, plan())
	r.until(AwaitingGate, 2)
	r.do(approval)
	r.until(Baking, 3)
	r.in.Guards[1].Verdict = Inconclusive
	r.until(Completed, 3)
}

func TestTimeIsCountedFromTicks(t *testing.T) {
	r := newRig(t, plan())
	r.until(Baking, 1)
	bake := r.s.Bake
	for _, tick := range []Tick{
		{Clock: "a", At: r.in.Tick.At - time.Hour},                  // went back
		{Clock: "b", At: 5 * time.Hour, Requests: 1e6},              // a restart
		{Clock: "b", At: 5 * time.Hour, Requests: 2e6}, {}, {At: 5}, // no time
	} {
		r.in.Tick = tick
		r.look()
	}
	if r.s.Bake != bake || r.s.Requests > 20 {
		t.Errorf("counted %s and %d requests", r.s.Bake-bake, r.s.Requests)
	}
	p := plan(func(p *Plan) { p.Steps[0].Bake = time.Hour })
	r = newRig(t, p)
	r.until(Baking, 1)
	bake = r.s.Bake
	r.in.Tick.At += 30 * time.Minute // asleep
	if r.look(); r.s.Bake != bake+MaxTick {
		t.Errorf("half an hour that nobody watched counts as %s", r.s.Bake-bake)
	}
}

func TestOldNewsOfTheFleetAndOfTheSplitAreNotBelieved(t *testing.T) {
	r := newRig(t, plan())
	r.look()
	r.look()
	r.is(Baking, 1000)
	r.in.Fleet = Fleet{Cause: "apply", Applied: true}
	r.pass()
	if r.s.Bake != 0 {
		t.Error("bakes by proxies that have another split")
	}
	r.in.Split = Split{Cause: "apply", Revision: 7}
	r.look()
	r.is(Baking, 0)
}

func TestARefusalByAProxyPauses(t *testing.T) {
	r := newRig(t, plan())
	r.look()
	r.in.Fleet.Applied, r.in.Fleet.Refused = false, "unknown cluster"
	r.look()
	r.is(Paused, 1000)
	if r.s.Reason != "a proxy refused the split: unknown cluster" {
		t.Errorf("says %q", r.s.Reason)
	}
}

func TestAFullOutboxLosesTheOldestAndCountsIt(t *testing.T) {
	r := newRig(t, plan())
	r.until(AwaitingGate, 2)
	s := r.s
	for i := range 200 {
		in := r.in
		in.Action = &Action{Kind: []ActionKind{Pause, Resume}[i%2], Who: "ann"}
		s, _, _ = Step(r.p, s, in, began)
	}
	if len(s.Outbox) != MaxOutbox || s.Dropped != 200-MaxOutbox || s.Outbox[MaxOutbox-1].ID != r.p.noteID(s.Notes) {
		t.Errorf("%d notes, %d dropped", len(s.Outbox), s.Dropped)
	}
}

func TestAStateOfAnotherPlanIsNotTouched(t *testing.T) {
	r := newRig(t, plan())
	for _, change := range []func(*State){
		func(s *State) { s.Plan = "r2@1" }, func(s *State) { s.Version = 9 }, func(s *State) { s.Phase = "Odd" }, func(s *State) { s.Step = 3 }, func(s *State) { s.Step = -1 },
	} {
		s := r.s
		change(&s)
		if after, effects, err := Step(r.p, s, r.in, began); err == nil || len(effects) > 0 || after.Phase != s.Phase {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func TestStepLeavesItsArgumentAlone(t *testing.T) {
	r := newRig(t, plan(onFailure(BackInStep)))
	r.until(AwaitingGate, 2)
	r.do(approval)
	r.until(Baking, 2)
	r.fail()
	r.look()
	before, text := r.s, reread(t, r.s)
	r.in.Taken = []string{r.s.Outbox[0].ID}
	for range 5 {
		r.in.Tick.At += time.Second
		_, _, _ = Step(r.p, before, r.in, began.Add(time.Hour))
	}
	if MustSave(before, text) || before.Back.Rest != text.Back.Rest {
		t.Errorf("%+v became %+v", text, before)
	}
}

func TestAShareFromBeforeThePlanIsNotThePlans(t *testing.T) {
	r := newRig(t, plan(func(p *Plan) { p.Steps[0].Gate = &Gate{Role: "approver"} }))
	r.set(Split{Weight: 500, Cause: "split-8"})
	r.s = Start(r.p, r.in.Split, began)
	r.look()
	r.fail()
	r.pass()
	r.is(AwaitingGate, 500)
	r.do(Action{Kind: Abort, Who: "ann"})
	r.is(Aborted, 500)
}

func TestReasonsOfRevisionsHoldTheVerdict(t *testing.T) {
	r := newRig(t, plan(func(p *Plan) { p.Steps[1].Gate = nil }))
	var reasons []string
	for r.s.Phase != Completed {
		r.pass()
		for _, e := range r.last {
			if e.Kind == SetSplit {
				reasons = append(reasons, e.Reason)
			}
		}
	}
	if want := "rollout r1: the step begins: the step passed: all guards pass (err 0 %; rel 1.0)"; len(reasons) != 3 || reasons[1] != want {
		t.Errorf("%q, want %q", reasons, want)
	}
}
