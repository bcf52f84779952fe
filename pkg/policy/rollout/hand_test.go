package rollout

import (
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

func TestASplitByHandPausesAndResumesByANewID(t *testing.T) {
	r := newRig(t, plan())
	r.until(Baking, 1)
	r.set(Split{Weight: 3000, Cause: "split-9", By: "carl"})
	r.look()
	r.is(Paused, 3000)
	if !strings.Contains(r.s.Reason, "carl, to 30% (revision 9)") {
		t.Errorf("says %q", r.s.Reason)
	}
	r.fail()
	r.pass()
	r.is(Paused, 3000) // whoever has set it has it
	r.pass()
	if r.told("alarm") != 1 {
		t.Errorf("told of the failure %d times, want once", r.told("alarm"))
	}
	r.recover()
	r.do(Action{Kind: Resume, Who: "ann"})
	r.look()
	r.is(Baking, 1000)
	if last := r.sets[len(r.sets)-1]; last != "r1@7/step-1/set-2" {
		t.Errorf("set by %s: a key that was used would change nothing", last)
	}
}

func TestARollbackByHandWins(t *testing.T) {
	for _, phase := range []Phase{Baking, AwaitingGate, Completed} {
		r := newRig(t, plan(func(p *Plan) { p.Retention = time.Hour }))
		r.until(Baking, 1)
		if phase != Baking {
			r.until(AwaitingGate, 2)
		}
		if phase == Completed {
			r.do(approval)
			r.until(Completed, 3)
		}
		r.set(Split{Cause: "rollback-9", Rollback: true, By: "carl"})
		r.look()
		r.is(RolledBack, 0)
	}
}

func TestARollbackIsAskedForUntilItIsSeen(t *testing.T) {
	r := newRig(t, plan())
	r.until(Baking, 1)
	r.fail()
	s := r.s
	for range 3 {
		var effects []Effect
		var err error
		if s, effects, err = Step(r.p, s, r.in, began); err != nil || len(effects) == 0 || effects[0].Kind != Rollback || effects[0].ID != "r1@7/back" {
			t.Fatalf("%v %+v", err, effects)
		}
		r.set(Split{Weight: 2000, Cause: "split-9"}) // raced, and lost
	}
	// It was live, and was changed before anybody looked: that is not undone.
	r.in.Made = map[string]int64{"r1@7/back": r.in.Split.Revision - 1}
	if s, _, _ = Step(r.p, s, r.in, began); s.Phase != RolledBack || !strings.Contains(s.Reason, "since then") {
		t.Errorf("%s: %s", s.Phase, s.Reason)
	}
}

func TestARollbackThatWasPushedBeforeACrashIsFollowed(t *testing.T) {
	r := newRig(t, plan())
	r.until(Baking, 1)
	r.set(Split{Cause: "r1@7/back", Rollback: true, By: "rollout r1"}) // the state was not stored
	r.look()
	r.is(RolledBack, 0)
}

func TestARaiseThatComesThroughLateIsTakenBack(t *testing.T) {
	for _, f := range []OnFailure{BackAtOnce, BackInStep} {
		r := newRig(t, plan(onFailure(f), func(p *Plan) { p.Steps[1].Gate = nil }))
		r.until(Baking, 1)
		for r.s.Step == 0 {
			r.in.Tick.At += time.Second
			r.in.Tick.Requests += 10
			s, _, err := Step(r.p, r.s, r.in, began) // what is to be done is on its way
			if err != nil {
				t.Fatal(err)
			}
			r.s = s
		}
		r.fail()
		s, _, err := Step(r.p, r.s, r.in, began)
		if r.s = s; err != nil || s.Phase != RollingBack {
			t.Fatal(s.Phase, err)
		}
		r.set(Split{Weight: 5000, Cause: "r1@7/step-2/set"})
		r.until(RolledBack, 2)
		r.is(RolledBack, 0)

		// And once more after it was seen to be back.
		r.s.Phase, r.s.Back = RollingBack, &Back{Final: RolledBack}
		r.set(Split{Weight: 5000, Cause: "r1@7/step-2/set"})
		r.look()
		r.look()
		r.is(RolledBack, 0)
		if last := r.sets[len(r.sets)-1]; last != "r1@7/back-2" {
			t.Errorf("went back by %s: a key that was used would change nothing", last)
		}
	}
}

func TestARollbackByHandOfAPlanToThePrimary(t *testing.T) {
	r := newRig(t, plan(reversed))
	r.until(Baking, 1)
	r.set(Split{Weight: policy.Whole, Cause: "rollback-9", Rollback: true, By: "carl"})
	r.look()
	r.is(RolledBack, policy.Whole)
}
