package rollout

// effects is what is to be done in the present phase, by what was seen: each look returns it anew until it is seen to be done.
func (l *look) effects() []Effect {
	s := l.s
	var out []Effect
	switch s.Phase {
	case Progressing:
		out = append(out, l.onTheWay()...)
	case RollingBack:
		out = append(out, l.goingBack())
	}
	for _, n := range s.Outbox {
		out = append(out, Effect{Kind: Tell, ID: n.ID, Step: n.Step, Note: n})
	}
	return out
}

func (l *look) onTheWay() []Effect {
	s := l.s
	switch {
	case !s.Begun && (l.p.Hook == "" || l.verdict == Fail):
		return nil
	case !s.Begun:
		return []Effect{{Kind: CallHook, ID: l.p.hookID(s.Step), Step: s.Step + 1, Weight: l.step().Weight}}
	case s.Want != nil:
		return []Effect{l.change(SetSplit)}
	}
	return []Effect{{Kind: AwaitApplied, ID: s.Confirmed, Step: s.Step + 1}}
}

func (l *look) goingBack() Effect {
	s := l.s
	switch {
	case s.Want != nil && s.Want.Weight == 0:
		return l.change(Rollback)
	case s.Want != nil:
		return l.change(SetSplit)
	case l.onTheWayBack():
		return Effect{Kind: AwaitApplied, ID: s.Confirmed, Step: s.Step + 1}
	}
	return Effect{Kind: AwaitProven, ID: s.Confirmed, Step: s.Step + 1}
}

func (l *look) change(kind EffectKind) Effect {
	s := l.s
	return Effect{Kind: kind, ID: s.Want.ID, Step: s.Step + 1, Weight: s.Want.Weight, Expect: s.Revision, Reason: "rollout " + l.p.Name + ": " + s.Reason}
}
