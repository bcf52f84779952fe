package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// observe takes in what is seen, before anything is decided.
func (l *look) observe() {
	l.s.Outbox = slices.DeleteFunc(l.s.Outbox, func(n Note) bool { return slices.Contains(l.in.Taken, n.ID) })
	asked := l.tick()
	l.split()
	l.verdict, l.why = l.judge(asked)
	l.count(asked)
	if l.verdict == Pass {
		l.s.FailTold = false
	}
	if !l.in.Primary.Bad {
		l.s.PrimaryTold = false
	}
	l.remember()
}

// tick returns how many requests came since the last look, and sets how much time passed.
func (l *look) tick() (requests int64) {
	t, m := l.in.Tick, l.s.Mark
	if t.Clock == "" {
		return 0
	}
	if t.Clock == m.Clock && t.At > m.At {
		l.passed = min(t.At-m.At, MaxTick)
		requests = max(0, t.Requests-m.Requests)
	}
	if t.Clock == m.Clock && t.Age > m.Age {
		l.aged = min(t.Age-m.Age, MaxTick)
		l.s.Mark.Age = t.Age
	}
	if t.Clock != m.Clock || t.At > m.At {
		l.s.Mark = Mark(t)
	}
	return requests
}

// split compares what is live with what this rollout made it.
func (l *look) split() {
	s, live := l.s, l.in.Split
	if live.Cause == "" || live.Revision < s.Revision {
		return
	}
	l.recorded = live.Revision > s.Revision
	wanted := s.Want != nil && live.Cause == s.Want.ID && live.Weight == s.Want.Weight
	switch {
	case wanted:
		s.Want = nil
		s.Confirmed = live.Cause
	case s.Phase == RollingBack && live.Weight == l.p.home() && strings.HasPrefix(live.Cause, l.p.ID+"/back"):
		s.Want, s.Confirmed = nil, live.Cause // everything is back by this rollout, whichever of its rollbacks came through last
	case live.Cause == s.Confirmed && live.Weight == s.Weight:
	case strings.HasPrefix(live.Cause, l.p.ID+"/") && s.Phase == RollingBack:
		l.late(live)
	default:
		l.overwritten(live)
		l.foreign, l.hand = true, live.Rollback && live.Weight == l.p.home()
	}
	s.Revision = live.Revision
	if !l.foreign {
		s.Weight = live.Weight
	}
}

// overwritten notices a rollback that was live, and that somebody changed before it was seen.
func (l *look) overwritten(live Split) {
	s := l.s
	if s.Phase == RollingBack && s.Want != nil && s.Want.Weight == 0 && l.made(s.Want.ID, live) {
		s.Confirmed, s.Weight, s.Want = s.Want.ID, 0, nil
	}
}

// made says whether a change was performed before the live one.
func (l *look) made(id string, live Split) bool {
	revision, ok := l.in.Made[id]
	return ok && revision < live.Revision
}

// late is an effect of before the rollback that came through only now: what the rollback wants is asked for again.
func (l *look) late(live Split) {
	l.s.Confirmed, l.s.Weight = live.Cause, live.Weight
	if l.s.Want == nil || l.made(l.s.Want.ID, live) {
		l.s.Again++
		l.wantBack()
	}
}

// judge makes one verdict of those of all guards: the worst.
func (l *look) judge(asked int64) (Verdict, string) {
	if len(l.p.Guards) == 0 {
		if asked > 0 {
			return Pass, "the plan has no guards"
		}
		return Inconclusive, "no requests came"
	}
	worst, why := Verdict(""), ""
	var passes []string
	for _, g := range l.p.Guards {
		v := l.guard(g.Name)
		if g.Relative && v.Verdict == Inconclusive && l.s.Weight == policy.Whole {
			continue // the other origin gets nothing: there is nothing to compare with
		}
		passes = append(passes, strings.TrimSuffix(g.Name+" "+v.Why, " "))
		if severity(v.Verdict) > severity(worst) {
			worst, why = v.Verdict, strings.TrimSuffix(fmt.Sprintf("guard %s: %s", g.Name, v.Why), ": ")
		}
	}
	switch worst {
	case "":
		return Inconclusive, "no guard can say anything at 100%"
	case Pass:
		return Pass, "all guards pass (" + strings.Join(passes, "; ") + ")"
	}
	return worst, why
}

// guard is the verdict of one guard; of one that was not asked, and of a word that is none, Inconclusive.
func (l *look) guard(name string) GuardVerdict {
	i := slices.IndexFunc(l.in.Guards, func(v GuardVerdict) bool { return v.Name == name })
	if i < 0 {
		return GuardVerdict{Name: name, Verdict: Inconclusive, Why: "it has not said anything yet"}
	}
	v := l.in.Guards[i]
	if severity(v.Verdict) == 0 {
		v.Verdict = Inconclusive
	}
	return v
}

func severity(v Verdict) int {
	return 1 + slices.Index([]Verdict{Pass, Inconclusive, Error, Fail}, v)
}

// count adds what passed to what the phase waits for.
func (l *look) count(asked int64) {
	s := l.s
	switch s.Phase {
	case Baking:
		s.Requests += asked
		if l.verdict == Pass && l.applied() {
			s.Bake += l.passed
		}
	case RollingBack:
		if s.Back == nil || s.Want != nil || l.foreign {
			return
		}
		if s.Back.Live += l.aged; l.applied() {
			s.Back.Rest += l.passed
		}
	case Completed:
		if !s.Free {
			s.Kept += l.passed
		}
	}
}

// applied says whether every connected proxy has the split that this rollout last made.
func (l *look) applied() bool {
	return l.s.Want == nil && l.in.Fleet.Cause == l.s.Confirmed && l.in.Fleet.Applied && !l.foreign
}

// proven is the same for a rollback's proof.
func (l *look) proven() bool {
	return l.s.Want == nil && l.in.Fleet.Cause == l.s.Confirmed && l.in.Fleet.Proven && !l.foreign
}

// exposed says whether To has or may have traffic that the plan gave it. What it had before the first step is not the plan's.
func (l *look) exposed() bool { return l.s.Moved && (l.s.Weight > 0 || l.s.Want != nil) }

// step is the present one.
func (l *look) step() *PlanStep { return &l.p.Steps[l.s.Step] }

// last says whether it is the last one.
func (l *look) last() bool { return l.s.Step == len(l.p.Steps)-1 }

// remember keeps what [Explain] says.
func (l *look) remember() {
	seen := Seen{Verdict: l.verdict, Why: l.why}
	if f := l.in.Fleet; f.Cause != l.s.Confirmed || !f.Applied || l.s.Phase == RollingBack && !f.Proven {
		seen.Fleet = or(f.Why, "no proxy has said that it has it")
	}
	if answer, ok := l.in.Hooks[l.p.hookID(l.s.Step)]; ok && !answer.OK {
		seen.Hook = or(answer.Why, "it did not agree")
	}
	if !l.in.Ready.OK {
		seen.Ready = or(l.in.Ready.Why, "nothing is known of it yet")
	}
	if l.in.Primary.Bad {
		seen.Primary = or(l.in.Primary.Why, "it fails")
	}
	l.s.Seen = seen
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// rested says whether a gradual rollback may go on: every proxy has had the weight for long enough, or it is live for so much longer that what fails is not
// left where it is for a proxy that does not take it, or since nobody reports.
func (l *look) rested() bool {
	pause := l.p.backPause()
	return l.applied() && l.s.Back.Rest >= pause || l.s.Want == nil && !l.foreign && l.s.Back.Live >= pause+backPatience
}

// baked says whether the step has what it needs, by what was seen up to now and by the verdict of now.
func (l *look) baked() bool {
	step := l.step()
	return l.verdict == Pass && l.applied() && l.s.Bake >= step.Bake && l.s.Requests >= step.MinRequests
}

// retained says whether the old origin was kept for long enough.
func (l *look) retained() bool { return l.s.Kept >= max(l.p.retention(), time.Duration(0)) }
