package rollout

import "slices"

// Row is a transition. The first row that fits is taken.
type Row struct {
	From   []Phase
	On     Event
	When   string   // in words; empty: always
	To     Phase    // empty: it stays where it is
	Reason string   // what the history says, before what the look saw
	Notes  []string // the events of its notes, see [Note.Event]
	Alarm  bool     // of the notes
	when   func(*look) bool
	do     func(*look)
}

// Table is every transition there is.
func Table() []Row { return slices.Clone(table) }

// Events of notes. They are the ends of CloudEvents types, and so an interface.
const (
	noteStarted   = "started"
	noteStep      = "step.after"
	noteGate      = "gate"
	noteApproved  = "approved"
	noteHeld      = "paused"
	noteResumed   = "resumed"
	noteFrozen    = "frozen"
	noteBack      = "rollback"
	noteBackDone  = "rolledback"
	noteCompleted = "completed"
	noteAborted   = "aborted"
	noteAlarm     = "alarm"
	noteFree      = "retention.over"
)

// stays is the phase of a row that only says something.
const stays Phase = ""

// Groups of phases that rows share.
var (
	walking = []Phase{Pending, Progressing, Baking, AwaitingGate}
	moving  = []Phase{Progressing, Baking, AwaitingGate, Paused}
	living  = []Phase{Pending, Progressing, Baking, AwaitingGate, Paused, Frozen}
	halted  = []Phase{Paused, Frozen}
)

var table = slices.Concat(handRows, harmRows, userRows, wayRows, backRows)

// handRows: what people do to the split goes before everything else.
var handRows = []Row{
	{From: slices.Concat(living, []Phase{RollingBack}), On: HandRollback, To: RollingBack, Reason: "everything was rolled back, and not by this rollout", Notes: []string{noteBack}, do: (*look).adoptRollback},
	{From: []Phase{Completed}, On: HandRollback, When: "the old origin is kept, and the plan went away from the primary", when: (*look).leavable, To: RollingBack, Reason: "everything was rolled back after promotion", Notes: []string{noteBack}, do: (*look).adoptRollback},
	{From: living, On: ByHand, To: Paused, Reason: "the split was changed, and not by this rollout", Notes: []string{noteHeld}, do: (*look).adopt},
	{From: []Phase{RollingBack}, On: ByHand, When: "gradual, above 0 %", when: (*look).onTheWayBack, To: Paused, Reason: "the split was changed on the way back, and not by this rollout", Notes: []string{noteHeld}, do: (*look).adopt},
	{From: []Phase{RollingBack}, On: ByHand, When: "0 % was live, and the plan is aborted", when: (*look).wasBackAborted, To: Aborted, Reason: "aborted; since then the split was changed by somebody", Notes: []string{noteAborted}, do: (*look).settle},
	{From: []Phase{RollingBack}, On: ByHand, When: "0 % was live", when: (*look).wasBack, To: RolledBack, Reason: "rolled back; since then the split was changed by somebody", Notes: []string{noteBackDone}, do: (*look).settle},
	{From: []Phase{Completed}, On: ByHand, When: "the old origin is kept", when: (*look).keeping, To: Completed, Reason: "the split was changed after promotion, so the old origin is no longer kept", Notes: []string{noteFree}, do: (*look).letGo},
}

// harmRows: what goes wrong. The primary first: rolling back to a side that is ill would make it worse.
var harmRows = []Row{
	{From: walking, On: PrimaryBad, To: Frozen, Reason: "the primary is unhealthy, so nothing is moved to or from it", Notes: []string{noteFrozen}, Alarm: true, do: (*look).halt},
	{From: []Phase{Paused}, On: PrimaryBad, When: "the split is the plan's", when: (*look).ours, To: Frozen, Reason: "the primary is unhealthy, so nothing is moved to or from it", Notes: []string{noteFrozen}, Alarm: true, do: (*look).halt},
	{From: []Phase{RollingBack}, On: PrimaryBad, When: "gradual, above 0 %", when: (*look).onTheWayBack, To: Frozen, Reason: "the primary became unhealthy on the way back", Notes: []string{noteFrozen}, Alarm: true, do: (*look).halt},
	{From: []Phase{Paused, Frozen, Completed}, On: PrimaryBad, When: "nobody was told yet; of Completed: the old origin is kept", when: (*look).primaryUntold, To: stays, Reason: "the primary is unhealthy, and nothing is done about it", Notes: []string{noteAlarm}, Alarm: true, do: (*look).tellPrimary},

	{From: moving, On: GuardFailed, When: "the target may have traffic by this plan, the split is the plan's, it is not paused on the way back; the plan freezes or goes to the primary", when: failing(Freeze), To: Frozen, Reason: "a guard failed, and the plan says to stay", Notes: []string{noteFrozen}, Alarm: true, do: (*look).halt},
	{From: moving, On: GuardFailed, When: "the target may have traffic by this plan, the split is the plan's, it is not paused on the way back; the plan rolls back gradually", when: failing(BackInStep), To: RollingBack, Reason: "a guard failed, going back step by step", Notes: []string{noteBack}, do: (*look).backInSteps},
	{From: moving, On: GuardFailed, When: "the target may have traffic by this plan, the split is the plan's, it is not paused on the way back", when: failing(BackAtOnce), To: RollingBack, Reason: "a guard failed", Notes: []string{noteBack}, do: (*look).backAtOnce},
	{From: []Phase{Paused, Completed}, On: GuardFailed, When: "nobody was told yet; of Completed: the old origin is kept", when: (*look).failUntold, To: stays, Reason: "a guard fails, and this rollout does nothing about it", Notes: []string{noteAlarm}, Alarm: true, do: (*look).tellFail},

	{From: []Phase{Progressing, Baking}, On: RefusedByProxy, To: Paused, Reason: "a proxy refused the split", Notes: []string{noteHeld}, Alarm: true, do: (*look).halt},
}

// userRows: what users ask.
var userRows = []Row{
	{From: walking, On: Event(Pause), To: Paused, Reason: "paused by", Notes: []string{noteHeld}, do: (*look).halt},
	{From: []Phase{RollingBack}, On: Event(Pause), When: "gradual, above 0 %", when: (*look).onTheWayBack, To: Paused, Reason: "paused on the way back by", Notes: []string{noteHeld}, do: (*look).halt},

	{From: halted, On: Event(Resume), When: "it was Pending", when: resumes(Pending), To: Pending, Reason: "resumed by", Notes: []string{noteResumed}, do: (*look).resume},
	{From: halted, On: Event(Resume), When: "it was AwaitingGate", when: resumes(AwaitingGate), To: AwaitingGate, Reason: "resumed by", Notes: []string{noteResumed}, do: (*look).resume},
	{From: halted, On: Event(Resume), When: "it was Progressing, or at a weight that the split no longer has", when: (*look).resumesWay, To: Progressing, Reason: "resumed by", Notes: []string{noteResumed}, do: (*look).resumeWay},
	{From: []Phase{Paused}, On: Event(Resume), When: "it was Baking", when: resumes(Baking), To: Baking, Reason: "resumed by", Notes: []string{noteResumed}, do: (*look).resume},
	{From: []Phase{Frozen}, On: Event(Resume), When: "it was Baking", when: resumes(Baking), To: Baking, Reason: "resumed, with the bake anew, by", Notes: []string{noteResumed}, do: (*look).resumeAnew},
	{From: halted, On: Event(Resume), When: "it was RollingBack", when: resumes(RollingBack), To: RollingBack, Reason: "resumed by", Notes: []string{noteResumed}, do: (*look).resumeBack},

	{From: living, On: Event(Abort), When: "the plan goes to the primary: the split stays", when: (*look).reverse, To: Aborted, Reason: "aborted where it was by", Notes: []string{noteAborted}, do: (*look).stop},
	{From: living, On: Event(Abort), When: "the target has and gets no traffic by this plan", when: (*look).unexposed, To: Aborted, Reason: "aborted by", Notes: []string{noteAborted}, do: (*look).stop},
	{From: living, On: Event(Abort), To: RollingBack, Reason: "aborted by", Notes: []string{noteBack}, do: (*look).abort},
	{From: []Phase{RollingBack}, On: Event(Abort), When: "gradual, above 0 %", when: (*look).onTheWayBack, To: RollingBack, Reason: "aborted on the way back by", Notes: []string{noteBack}, do: (*look).abort},

	{From: []Phase{AwaitingGate}, On: Event(Approve), To: Progressing, Reason: "approved by", Notes: []string{noteApproved}, do: (*look).approve},
	{From: []Phase{AwaitingGate}, On: Event(Reject), To: Paused, Reason: "not approved by", Notes: []string{noteHeld}, do: (*look).halt},

	{From: []Phase{Baking}, On: Event(Promote), When: "it is the last step", when: (*look).last, To: Completed, Reason: "the last step was ended early by", Notes: []string{noteStep, noteCompleted}, do: (*look).complete},
	{From: []Phase{Baking}, On: Event(Promote), When: "the next step has a gate", when: (*look).nextGated, To: AwaitingGate, Reason: "the bake was ended early by", Notes: []string{noteStep, noteGate}, do: (*look).next},
	{From: []Phase{Baking}, On: Event(Promote), To: Progressing, Reason: "the bake was ended early by", Notes: []string{noteStep}, do: (*look).next},
}

// wayRows: how a plan walks if nothing goes wrong.
var wayRows = []Row{
	{From: []Phase{Pending}, On: TargetReady, When: "the first step has a gate", when: (*look).gated, To: AwaitingGate, Reason: "the first step needs an approval", Notes: []string{noteGate}},
	{From: []Phase{Pending}, On: TargetReady, To: Progressing, Reason: "the target is ready", Notes: []string{noteStarted}},
	{From: []Phase{Progressing}, On: StepAllowed, To: Progressing, Reason: "the step begins", do: (*look).begin},
	{From: []Phase{Progressing}, On: Applied, To: Baking, Reason: "the proxies have the step's weight"},
	{From: []Phase{Baking}, On: Baked, When: "it is the last step", when: (*look).last, To: Completed, Reason: "the last step passed", Notes: []string{noteStep, noteCompleted}, do: (*look).complete},
	{From: []Phase{Baking}, On: Baked, When: "the next step has a gate", when: (*look).nextGated, To: AwaitingGate, Reason: "the step passed, the next needs an approval", Notes: []string{noteStep, noteGate}, do: (*look).next},
	{From: []Phase{Baking}, On: Baked, To: Progressing, Reason: "the step passed", Notes: []string{noteStep}, do: (*look).next},
	{From: []Phase{Completed}, On: Retained, When: "the old origin is kept", when: (*look).keeping, To: Completed, Reason: "the old origin need not be kept any more", Notes: []string{noteFree}, do: (*look).letGo},
}

// backRows: how a rollback ends.
var backRows = []Row{
	{From: []Phase{RollingBack}, On: Rested, When: "gradual, above 0 %", when: (*look).onTheWayBack, To: RollingBack, Reason: "one weight further back", do: (*look).further},
	{From: []Phase{RollingBack}, On: Proven, When: "at 0 %, and the plan is aborted", when: (*look).wasBackAborted, To: Aborted, Reason: "aborted: the primary has everything", Notes: []string{noteAborted}},
	{From: []Phase{RollingBack}, On: Proven, When: "at 0 %", when: (*look).wasBack, To: RolledBack, Reason: "the primary has everything", Notes: []string{noteBackDone}},
}
