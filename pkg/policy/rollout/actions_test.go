package rollout

import (
	"errors"
	"testing"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

func refused(t *testing.T, r *rig, a Action, kind policy.Kind, code string) {
	t.Helper()
	before := r.s.Phase
	var e *policy.Error
	if err := r.try(&a); !errors.As(err, &e) || e.Kind != kind || e.Code != code || e.Message == "" || e.Next == "" {
		t.Errorf("%s while %s: %#v, want %s %s", a.Kind, before, err, kind, code)
	}
}

func TestActionsThatAreRefused(t *testing.T) {
	r := newRig(t, plan())
	refused(t, r, Action{Kind: "jump"}, policy.Invalid, "action_unknown")
	r.until(AwaitingGate, 2)
	refused(t, r, Action{Kind: Approve, Who: "bob"}, policy.Denied, "role_needed")
	refused(t, r, Action{Kind: Approve, Who: "ann", Roles: []string{"approver"}}, policy.Denied, "approver_is_starter")
	refused(t, r, Action{Kind: Approve, Who: "bob", Roles: []string{"approver"}, Step: 3}, policy.Conflict, "gate_moved")
	refused(t, r, Action{Kind: Promote}, policy.Held, "action_not_now")
	refused(t, r, Action{Kind: Resume}, policy.Held, "action_not_now")
	r.do(Action{Kind: Reject, Who: "bob", Roles: []string{"approver"}, Reason: "not on a Friday"})
	r.is(Paused, 1000)
	if r.s.Reason != "not approved by bob: not on a Friday" {
		t.Errorf("says %q", r.s.Reason)
	}
	refused(t, r, approval, policy.Held, "action_not_now")
	r.do(Action{Kind: Resume, Who: "ann"})
	r.is(AwaitingGate, 1000)
	r.do(Action{Kind: Abort, Who: "ann"})
	r.look()
	r.is(Aborted, 0)
	refused(t, r, approval, policy.Held, "rollout_over")
}

func TestTheSameActionAgainDoesNothing(t *testing.T) {
	r := newRig(t, plan())
	r.until(Baking, 1)
	r.do(Action{ID: "k1", Kind: Promote, Who: "ann"})
	r.do(Action{ID: "k1", Kind: Promote, Who: "ann"})
	r.is(AwaitingGate, 1000)
}

func TestAnAbortBeforeAnythingMovedMovesNothing(t *testing.T) {
	r := newRig(t, plan())
	r.in.Ready = Ready{Why: "no endpoint"}
	r.look()
	explains(t, r, "waits until eks is ready: no endpoint")
	r.do(Action{Kind: Abort, Who: "ann"})
	r.is(Aborted, 0)
	if len(r.sets) > 0 {
		t.Errorf("the split was set by %v", r.sets)
	}
}

func TestNothingMovesWhileAGuardFails(t *testing.T) {
	r := newRig(t, plan())
	r.fail()
	r.look()
	r.is(Pending, 0)
	explains(t, r, "waits to start until no guard fails: guard err: 5 % of 400, at most 0.5 %")
}
