package rollout

import (
	"reflect"
	"time"
)

// nothingLost: with what is stored, and the counts of now, the same look comes to the same. So nothing but counts is lost by a crash.
func (w *world) nothingLost(before, after State, in Inputs, now time.Time) {
	if MustSave(w.stored, before) {
		w.failf("was not stored: %+v, but %+v", before, w.stored)
	}
	if in.Split.Cause == "" {
		return // the own change is seen by a later look
	}
	s := clone(w.stored)
	s.Bake, s.Requests, s.Kept, s.Mark = before.Bake, before.Requests, before.Kept, before.Mark
	if s.Back != nil && before.Back != nil {
		s.Back.Rest = before.Back.Rest
	}
	again, _, _ := Step(w.p, s, in, now)
	if s.Want != nil && before.Want == nil {
		w.reasons["own change not stored"] = true
	}
	if !reflect.DeepEqual(settled(again), settled(after)) || again.Revision != after.Revision {
		w.failf("after a crash the same look comes to something else:\n%+v\nnot\n%+v", again, after)
	}
}

func (w *world) crash() {
	w.say("crash")
	w.mem = reread(w.t, w.stored)
	w.clock++
	w.at, w.requests = 0, 0
}
