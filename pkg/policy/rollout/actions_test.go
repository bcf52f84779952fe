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

// TestWhoStartedDoesNotApprove: by the names in certificates, whatever they say of themselves; without, by what they say. Of
// who was not verified it is not known whether a certificate is theirs.
func TestWhoStartedDoesNotApprove(t *testing.T) {
	const ann, bob, same, unknown = "spiffe://e.test/ann", "spiffe://e.test/bob", "approver_is_starter", "starter_not_verified"
	for name, c := range map[string]struct {
		starter, starterName string
		who, whoName         string
		code                 string // of the refusal; empty: it is let
	}{
		"the same certificate":                {ann + " (as ann@laptop)", ann, ann, ann, same},
		"the same, as somebody else":          {ann, ann, ann + " (as bob@desk)", ann, same},
		"another certificate, as the starter": {ann + " (as ann@laptop)", ann, bob + " (as ann@laptop)", bob, ""},
		"the same mailbox of another domain":  {"ann@a.test", "ann@a.test", "ann@b.test", "ann@b.test", ""},
		"nobody verified, the same person":    {"ann@laptop", "", "ann@desk", "", same},
		"nobody verified, somebody else":      {"ann@laptop", "", "bob@laptop", "", ""},
		"not verified, approved by a name":    {"ann@laptop", "", "ann (as x)", "ann", unknown},
		"not verified, by that of another":    {"ann@laptop", "", bob, bob, unknown},
	} {
		p := plan()
		p.Starter, p.StarterName = c.starter, c.starterName
		r := newRig(t, p)
		r.until(AwaitingGate, 2)
		a := Action{Kind: Approve, Who: c.who, Name: c.whoName, Roles: []string{"approver"}}
		if c.code != "" {
			refused(t, r, a, policy.Denied, c.code)
		} else if err := r.try(&a); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheSameActionAgainDoesNothing(t *testing.T) {
	r := newRig(t, plan())
	r.until(Baking, 1)
	r.do(Action{ID: "k1", Kind: Promote, Who: "ann"})
	r.do(Action{ID: "k1", Kind: Promote, Who: "ann"})
	r.is(AwaitingGate, 1000)
}

// TestTheSameKeyForAnotherActionIsRefused, and not taken for the one that was done.
func TestTheSameKeyForAnotherActionIsRefused(t *testing.T) {
	r := newRig(t, plan())
	r.until(Baking, 1)
	r.do(Action{ID: "k1", Request: "0123456789abcdef", Kind: Pause, Who: "ann"})
	r.do(Action{ID: "k1", Request: "0123456789abcdef", Kind: Pause, Who: "ann"})
	r.do(Action{ID: "k2", Request: "0123456789abcdee", Kind: Resume, Who: "ann"})
	refused(t, r, Action{ID: "k1", Request: "0123456789abcdff", Kind: Abort, Who: "ann"}, policy.Invalid, "idempotency_key_reused")
	r.is(Baking, 1000)
	r.do(Action{ID: "k1#x", Request: "0123456789abcdff", Kind: Pause, Who: "ann"})
	r.is(Paused, 1000)
	r.s.Acted = []string{"k9"} // by a version that compared no requests
	r.do(Action{ID: "k9", Request: "0123456789abcdff", Kind: Resume, Who: "ann"})
	r.is(Paused, 1000)
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
