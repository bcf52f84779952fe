package rollout

// Event is what a look saw, or what a user asked. It is the reason to look for a row in the table.
type Event string

// What is watched for, whatever the phase. An earlier one goes first.
const (
	HandRollback   Event = "rollback by hand"
	ByHand         Event = "split by hand" // by anything but this rollout
	PrimaryBad     Event = "primary unhealthy"
	GuardFailed    Event = "guard failed"
	RefusedByProxy Event = "refused by a proxy"
)

// What a phase waits for.
const (
	TargetReady Event = "target ready"
	StepAllowed Event = "step allowed" // the hook before it agreed or there is none, and no guard fails
	Applied     Event = "proxies have it"
	Baked       Event = "baked"
	Rested      Event = "rested"
	Proven      Event = "proven"
	Retained    Event = "retention over"
)

var (
	watched = []Event{HandRollback, ByHand, PrimaryBad, GuardFailed, RefusedByProxy}
	ahead   = []Event{TargetReady, StepAllowed, Applied, Baked, Rested, Proven, Retained}
)

// Events is all of them, in the order in which they are looked at.
func Events() []Event {
	out := append([]Event{}, watched...)
	for _, a := range []ActionKind{Abort, Pause, Resume, Approve, Reject, Promote} {
		out = append(out, Event(a))
	}
	return append(out, ahead...)
}

// happened says whether a look saw an event.
func (l *look) happened(e Event) bool {
	switch e {
	case HandRollback:
		return l.foreign && l.hand
	case ByHand:
		return l.foreign && !l.hand
	case PrimaryBad:
		return l.in.Primary.Bad
	case GuardFailed:
		return l.verdict == Fail
	case RefusedByProxy:
		return l.s.Begun && l.s.Want == nil && l.in.Fleet.Cause == l.s.Confirmed && l.in.Fleet.Refused != ""
	}
	return l.reached(e)
}

// reached says whether what a phase waits for is there, or what a user asks.
func (l *look) reached(e Event) bool {
	switch e {
	case TargetReady:
		return l.in.Ready.OK && l.verdict != Fail
	case StepAllowed:
		return !l.s.Begun && l.verdict != Fail && (l.p.Hook == "" || l.in.Hooks[l.p.hookID(l.s.Step)].OK)
	case Applied:
		return l.s.Begun && l.applied()
	case Baked:
		return l.s.Phase == Baking && l.baked()
	case Rested:
		return l.s.Phase == RollingBack && l.rested()
	case Proven:
		return l.proven()
	case Retained:
		return l.s.Phase == Completed && l.retained()
	}
	return l.action != nil && Event(l.action.Kind) == e
}
