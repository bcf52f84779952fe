package rollout

import (
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// refusal says why an action is not done though a row might allow it.
func (l *look) refusal() error {
	if l.keyUsed() {
		return &policy.Error{
			Kind: policy.Invalid, Code: "idempotency_key_reused", Field: "idempotencyKey", Value: l.action.ID,
			Message: "the key belongs to another decision about this rollout", Next: "use a new key for a new decision",
		}
	}
	switch a := l.action; a.Kind {
	case Approve, Reject:
		return l.refuseApproval(a)
	case Resume:
		return l.refuseResume()
	case Abort:
		if l.in.Primary.Bad && !l.reverse() && l.exposed() && !l.s.Phase.Over() && l.s.Phase != RollingBack {
			return held("primary_unhealthy", "the primary is unhealthy ("+l.s.Seen.Primary+"), and aborting would send everything there",
				fmt.Sprintf("run `shadowctl rollback %s` to do so all the same, or `shadowctl split set`", l.p.Service))
		}
	case Pause, Promote:
	default:
		return invalid("action", "action_unknown", string(a.Kind), "must be pause, resume, approve, reject, abort or promote", "see `shadowctl rollout --help`")
	}
	return nil
}

// noted is how an action is remembered: its ID, after the digest of its request if it has one.
func (a *Action) noted() string {
	if a.ID == "" || a.Request == "" {
		return a.ID
	}
	return a.Request + "#" + a.ID
}

// keyUsed says whether another action than this one was done by the same key.
func (l *look) keyUsed() bool {
	a := l.action
	return a.ID != "" && a.Request != "" && slices.ContainsFunc(l.s.Acted, func(noted string) bool {
		request, id, _ := strings.Cut(noted, "#")
		return id == a.ID && len(request) == len(a.Request)
	})
}

func (l *look) refuseApproval(a *Action) error {
	if l.s.Phase != AwaitingGate {
		return l.notNow()
	}
	gate := l.step().Gate
	switch {
	case gate == nil:
		return nil // cannot be: only steps with gates are waited at
	case a.Step != 0 && a.Step != l.s.Step+1:
		return &policy.Error{
			Kind: policy.Conflict, Code: "gate_moved", Field: "step", Value: fmt.Sprint(a.Step),
			Message: fmt.Sprintf("the gate that is waited at is that of step %d", l.s.Step+1), Next: fmt.Sprintf("look at it with `shadowctl rollout explain %s` first", l.p.Name),
		}
	case !slices.Contains(a.Roles, gate.Role):
		return &policy.Error{Kind: policy.Denied, Code: "role_needed", Value: a.Who, Message: fmt.Sprintf("the gate before step %d needs role %s", l.s.Step+1, gate.Role), Next: "ask somebody who has it"}
	case a.Kind == Approve && gate.NotStarter && a.Name != "" && l.p.StarterName == "":
		return &policy.Error{
			Kind: policy.Denied, Code: "starter_not_verified", Value: a.Who,
			Message: fmt.Sprintf("cannot approve this gate, which is not for who started the rollout: that was %s, whom no certificate showed, when the server verified nobody, and it may be the same person", or(l.p.Starter, "somebody")),
			Next:    fmt.Sprintf("run `shadowctl rollout abort %s`, and start it anew", l.p.Name),
		}
	case a.Kind == Approve && gate.NotStarter && l.p.startedBy(a.Who, a.Name):
		return &policy.Error{Kind: policy.Denied, Code: "approver_is_starter", Value: a.Who, Message: "has started this rollout, and who starts it must not approve this gate", Next: "ask somebody else with role " + gate.Role}
	}
	return nil
}

func (l *look) refuseResume() error {
	if l.s.Phase != Paused && l.s.Phase != Frozen {
		return nil
	}
	switch {
	case l.in.Primary.Bad:
		return held("primary_unhealthy", "the primary is unhealthy ("+l.s.Seen.Primary+"), and the rollout would freeze again at once", "repair it first")
	case l.verdict == Fail && l.s.Resume != RollingBack && l.exposed():
		return held("guards_failing", "a guard fails ("+l.why+"), and the rollout would stop again at once", fmt.Sprintf("wait until it passes, or run `shadowctl rollout abort %s`", l.p.Name))
	}
	return nil
}

// notNow is the answer to an action for which the table has no row.
func (l *look) notNow() error {
	kind, phase := l.action.Kind, l.s.Phase
	if phase.Over() {
		return held("rollout_over", fmt.Sprintf("the rollout is over (%s: %s)", phase, l.s.Reason), "start another")
	}
	next := map[ActionKind]string{
		Approve: "it waits at no gate", Reject: "it waits at no gate", Resume: "it is not paused", Pause: "it moves nothing that a pause would stop",
		Promote: "only a step that is at its weight can be ended early", Abort: "it goes back already",
	}[kind]
	return held("action_not_now", fmt.Sprintf("the rollout cannot take %q while it is %s: %s", kind, phase, next), fmt.Sprintf("see `shadowctl rollout explain %s`", l.p.Name))
}

// startedBy says whether somebody is who started the plan: by the names in certificates where both have one.
func (p *Plan) startedBy(who, name string) bool {
	if name != "" && p.StarterName != "" {
		return name == p.StarterName
	}
	return SamePerson(or(name, who), or(p.StarterName, p.Starter))
}

// memberName is a member of a role as the plan's starter is compared with it: with a certificate, by the whole name.
func (p *Plan) memberName(who string) string {
	if p.StarterName == "" {
		return ""
	}
	return who
}

// SamePerson says whether two names that nobody has verified are of one person: a name with a host (ann@laptop) is that person's on any host.
func SamePerson(a, b string) bool {
	a, _, _ = strings.Cut(a, "@")
	b, _, _ = strings.Cut(b, "@")
	return a == b
}

func held(code, message, next string) *policy.Error {
	return &policy.Error{Kind: policy.Held, Code: code, Field: "action", Message: message, Next: next}
}
