package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// look is one call of [Step].
type look struct {
	p        *Plan
	s        *State // ours: a copy
	in       *Inputs
	now      time.Time
	verdict  Verdict
	why      string        // of the verdict
	passed   time.Duration // since the last look, as far as it counts
	aged     time.Duration // since the last look, whatever it saw
	action   *Action       // until it was done
	foreign  bool          // the split is not what this rollout made it
	hand     bool          // and it was a rollback
	recorded bool          // what is live has a revision that was not seen before
}

// Step goes on with a rollout by what one look sees. It returns the state to store and then what is to be done about it. The error is that of
// the action, a *policy.Error: the action was not done, all else was. A state of another plan is not touched.
func Step(p *Plan, s State, in Inputs, now time.Time) (State, []Effect, error) {
	if s.Plan != p.ID || s.Version != stateVersion || !s.Phase.Known() || s.Step < 0 || s.Step >= len(p.Steps) {
		return s, nil, &policy.Error{Kind: policy.Internal, Code: "state_foreign", Value: s.Plan, Message: fmt.Sprintf("is no state of rollout %s", p.ID)}
	}
	s = clone(s)
	l := &look{p: p, s: &s, in: &in, now: now, action: in.Action}
	if a := l.action; a != nil && (slices.Contains(s.Acted, a.noted()) || slices.Contains(s.Acted, a.ID)) { // the latter is of a version that compared no requests
		l.action = nil
	}
	l.observe()
	l.walk(watched)
	err := l.act()
	l.walk(ahead)
	return s, l.effects(), err
}

// walk takes transitions by these events until none is left.
func (l *look) walk(events []Event) {
	for range maxPasses {
		row := l.find(events)
		if row == nil {
			return
		}
		l.take(row)
	}
}

// find returns the first row that can be taken, by the order of the events and then of the table.
func (l *look) find(events []Event) *Row {
	for _, e := range events {
		if !l.happened(e) {
			continue
		}
		for i := range table {
			row := &table[i]
			if row.On == e && slices.Contains(row.From, l.s.Phase) && (row.when == nil || row.when(l)) {
				return row
			}
		}
	}
	return nil
}

// take goes from one phase to the next, and notes it.
func (l *look) take(row *Row) {
	s, from := l.s, l.s.Step
	reason := row.Reason
	if row.On == HandRollback && strings.HasPrefix(l.in.Split.Cause, l.p.ID+"/") {
		reason = "everything was rolled back by this rollout, before it was stored why"
	}
	if detail := l.detail(row.On); detail != "" {
		reason += between(reason) + detail
	}
	if row.do != nil {
		row.do(l)
	}
	if row.To != stays {
		if s.Phase != row.To {
			s.Since = wall(l.now)
		}
		s.Phase, s.Reason = row.To, reason
	}
	for _, event := range row.Notes {
		step := s.Step
		if event == noteStep {
			step = from // the one that is over
		}
		l.note(Note{Event: event, Step: step + 1, Text: reason, Alarm: row.Alarm})
	}
}

// between is what stands before the detail of a reason.
func between(reason string) string {
	if strings.HasSuffix(reason, " by") {
		return " "
	}
	return ": "
}

// note puts what happened into the outbox. A full one loses its oldest note, and counts it.
func (l *look) note(n Note) {
	s := l.s
	s.Notes++
	n.ID, n.Time, n.Phase, n.Share = l.p.noteID(s.Notes), wall(l.now), s.Phase, s.Weight
	s.Outbox = append(s.Outbox, n)
	if over := len(s.Outbox) - MaxOutbox; over > 0 {
		s.Outbox = slices.Delete(s.Outbox, 0, over)
		s.Dropped += over
	}
}

// detail is what is to be said of an event beyond the reason of its row.
func (l *look) detail(e Event) string {
	switch e {
	case ByHand, HandRollback:
		who := l.in.Split.By
		if who == "" {
			who = "somebody"
		}
		to := fmt.Sprintf("%s, to %s", who, policy.FormatWeight(l.in.Split.Weight))
		if l.recorded {
			to += fmt.Sprintf(" (revision %d)", l.in.Split.Revision)
		}
		return to
	case PrimaryBad:
		return l.in.Primary.Why
	case StepAllowed:
		return l.s.Reason
	case GuardFailed, Baked:
		return l.why
	case RefusedByProxy:
		return l.in.Fleet.Refused
	case Proven:
		return l.in.Fleet.Why // if it is taken for proven after a while
	}
	if a := l.action; a != nil && Event(a.Kind) == e {
		return strings.TrimSuffix(or(a.Who, "somebody")+": "+a.Reason, ": ")
	}
	return ""
}

// act does what a user asks, if a row allows it.
func (l *look) act() error {
	a := l.action
	if a == nil {
		return nil
	}
	defer func() { l.action = nil }()
	if err := l.refusal(); err != nil {
		return err
	}
	row := l.find([]Event{Event(a.Kind)})
	if row == nil {
		return l.notNow()
	}
	l.take(row)
	if a.ID != "" {
		l.s.Acted = append(l.s.Acted, a.noted())
		l.s.Acted = l.s.Acted[max(0, len(l.s.Acted)-rememberedIDs):]
	}
	return nil
}
