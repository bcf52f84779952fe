package rollout

// The functions of this file are the conditions and the doings of rows. A doing leaves the phase to the row.

func (l *look) reverse() bool   { return l.p.Reverse() }
func (l *look) unexposed() bool { return !l.exposed() }
func (l *look) ours() bool      { return !l.s.Hand }
func (l *look) keeping() bool   { return Retaining(*l.s) }
func (l *look) leavable() bool  { return l.keeping() && !l.reverse() }
func (l *look) gated() bool     { return l.step().Gate != nil }
func (l *look) nextGated() bool { return !l.last() && l.p.Steps[l.s.Step+1].Gate != nil }

// onTheWayBack says whether a gradual rollback is at, or going to, a weight above 0 %.
func (l *look) onTheWayBack() bool {
	s := l.s
	if s.Back == nil || !s.Back.Gradual {
		return false
	}
	if s.Want != nil {
		return s.Want.Weight != 0
	}
	return s.Weight != 0
}

// wasBack says whether the rollback was seen live.
func (l *look) wasBack() bool {
	return l.s.Back != nil && l.s.Want == nil && l.s.Weight == l.p.home()
}

func (l *look) wasBackAborted() bool { return l.wasBack() && l.s.Back.Final == Aborted }

func (l *look) primaryUntold() bool {
	return !l.s.PrimaryTold && (l.s.Phase != Completed || l.keeping())
}

func (l *look) failUntold() bool { return !l.s.FailTold && (l.s.Phase != Completed || l.keeping()) }

func (l *look) tellPrimary() { l.s.PrimaryTold = true }
func (l *look) tellFail()    { l.s.FailTold = true }

// failing makes the condition of the rows of failed guards. Whoever pauses a rollback has decided about the failure.
func failing(is OnFailure) func(*look) bool {
	return func(l *look) bool { return l.exposed() && l.ours() && l.s.Resume != RollingBack && l.p.Failure() == is }
}

// resumes makes the condition of the rows of resumed plans.
func resumes(is Phase) func(*look) bool {
	return func(l *look) bool { return l.s.Resume == is }
}

func (l *look) resumesWay() bool {
	return l.s.Resume == Progressing || l.s.Resume == Baking && l.s.Hand
}

// settle takes the live split for what it is, and wants no other.
func (l *look) settle() {
	live := l.in.Split
	l.s.Want, l.s.Confirmed, l.s.Weight = nil, live.Cause, live.Weight
	l.foreign, l.hand = false, false
}

// adopt does the same, and keeps where the plan was.
func (l *look) adopt() {
	l.halt()
	l.s.Hand = true
	l.settle()
}

func (l *look) adoptRollback() {
	final := RolledBack
	if l.s.Phase == RollingBack && l.s.Back != nil {
		final = l.s.Back.Final
	}
	l.settle()
	l.leaveHalt()
	l.s.Back = &Back{Final: final}
}

// halt keeps where the plan was. A split that is on its way may still come through.
func (l *look) halt() {
	if l.s.Phase != Paused && l.s.Phase != Frozen {
		l.s.Resume = l.s.Phase
	}
	if l.in.Primary.Bad {
		l.s.PrimaryTold = true
	}
}

func (l *look) leaveHalt() { l.s.Resume, l.s.Hand = "", false }

func (l *look) resume() { l.leaveHalt() }

func (l *look) resumeAnew() {
	l.s.Bake, l.s.Requests = 0, 0
	l.leaveHalt()
}

// resumeWay goes back to the weight of the step, if somebody changed it, and bakes there anew. The hook is asked again, by the same ID.
func (l *look) resumeWay() {
	s := l.s
	if s.Hand {
		s.Again++
		s.Bake, s.Requests, s.Begun = 0, 0, false
	}
	l.leaveHalt()
}

func (l *look) resumeBack() {
	if l.s.Hand {
		l.s.Again++
		l.wantBack()
	}
	l.leaveHalt()
}

// wantStep asks for the weight of the step.
func (l *look) wantStep() {
	l.s.Want = &Want{ID: l.p.setID(l.s.Step, l.s.Again), Weight: l.step().Weight}
}

// wantBack asks for the next weight on the way back.
func (l *look) wantBack() {
	s := l.s
	s.Back.Rest, s.Back.Live = 0, 0
	step := -1
	s.Want = &Want{}
	if s.Back.Gradual {
		step, s.Want.Weight = l.p.below(s.Step, s.Weight)
	}
	s.Want.ID = l.p.backID(step, s.Again)
}

func (l *look) backAtOnce()  { l.back(Back{Final: RolledBack}) }
func (l *look) backInSteps() { l.back(Back{Final: RolledBack, Gradual: true}) }
func (l *look) abort()       { l.back(Back{Final: Aborted}) }

func (l *look) back(b Back) {
	l.leaveHalt()
	l.s.Back = &b
	l.wantBack()
}

func (l *look) further() { l.wantBack() }

// stop ends a plan where it is.
func (l *look) stop() {
	l.leaveHalt()
	l.s.Want = nil
}

// begin asks for the weight of the present step.
func (l *look) begin() {
	l.s.Begun, l.s.Moved = true, true
	l.wantStep()
}

func (l *look) approve() { l.s.Approved = l.action.Who }

// next goes to the next step.
func (l *look) next() {
	s := l.s
	s.Step++
	s.Bake, s.Requests, s.Approved, s.Begun, s.Again = 0, 0, "", false, 0
}

func (l *look) complete() { l.s.Free = l.p.retention() == 0 }

func (l *look) letGo() { l.s.Free = true }
