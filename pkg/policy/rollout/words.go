package rollout

import "slices"

// Phase is what a rollout is doing. The words are those of the API and of the metric rollout_state.
type Phase string

// The phases.
const (
	Pending      Phase = "Pending"      // nothing was done yet: the target is not ready
	Progressing  Phase = "Progressing"  // on the way to a step's weight: hook, split, proxies
	Baking       Phase = "Baking"       // at a step's weight, watched
	AwaitingGate Phase = "AwaitingGate" // before a step's weight, until somebody approves
	Paused       Phase = "Paused"       // by a user, or because the split is no longer the plan's
	Frozen       Phase = "Frozen"       // after a failure, where rolling back was not asked for or would be wrong
	RollingBack  Phase = "RollingBack"  // on the way to 0 %
	RolledBack   Phase = "RolledBack"   // the end: the primary has everything
	Completed    Phase = "Completed"    // the end: the last step passed; the old origin is kept and watched for a while
	Aborted      Phase = "Aborted"      // the end, by a user
)

// Phases is all of them, in the order of a rollout.
func Phases() []Phase {
	return []Phase{Pending, Progressing, Baking, AwaitingGate, Paused, Frozen, RollingBack, RolledBack, Completed, Aborted}
}

// Over says whether a rollout in this phase moves no traffic any more, so that another may start on its service.
func (p Phase) Over() bool { return p == RolledBack || p == Completed || p == Aborted }

// Known says whether p is one of [Phases].
func (p Phase) Known() bool { return slices.Contains(Phases(), p) }

// Verdict is what a guard says of what it saw.
type Verdict string

// The verdicts. No verdict, and no traffic, is Inconclusive.
const (
	Pass         Verdict = "Pass"
	Fail         Verdict = "Fail"
	Inconclusive Verdict = "Inconclusive" // too little was seen: the step is held
	Error        Verdict = "Error"        // it could not be asked: the step is held
)

// OnFailure is what a plan does when a guard fails.
type OnFailure string

// What a plan does when a guard fails.
const (
	BackAtOnce OnFailure = "rollback" // everything to the primary; the default
	BackInStep OnFailure = "gradual"  // back over the steps' weights
	Freeze     OnFailure = "freeze"   // stay, and call somebody; the default where the target is the primary
)

// ActionKind is what a user asks of a rollout.
type ActionKind string

// What a user can ask of a rollout.
const (
	Pause   ActionKind = "pause"
	Resume  ActionKind = "resume"
	Approve ActionKind = "approve"
	Reject  ActionKind = "reject"  // of a gate: pauses, moves no traffic
	Abort   ActionKind = "abort"   // ends the plan, back at 0 %
	Promote ActionKind = "promote" // ends the wait at the present step; the next gate stays
)
