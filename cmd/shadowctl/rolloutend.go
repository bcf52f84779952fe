package main

import (
	"slices"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// Notes that say why a rollout ended as it did.
const (
	noteRollback = "rollback"
	noteFrozen   = "frozen"
	noteResumed  = "resumed"
	noteAborted  = "aborted"
)

// endReason is what led to the end, with its numbers. That everything is back is not why.
func endReason(st *crossfadev1.RolloutStatus) string {
	if p := phaseOf(st); p != rollout.RolledBack && p != rollout.Aborted {
		return st.GetReason()
	}
	notes := st.GetNotes()
	last := func(event string) int {
		for i, n := range slices.Backward(notes) {
			if n.GetEvent() == event {
				return i
			}
		}
		return -1
	}
	led := last(noteRollback)
	if led < 0 {
		led = last(noteAborted)
	}
	froze := last(noteFrozen)
	switch {
	case froze > last(noteResumed) && led < 0:
		return notes[froze].GetText()
	case froze > last(noteResumed) && froze < led:
		return notes[led].GetText() + "; it was frozen: " + notes[froze].GetText()
	case led >= 0:
		return notes[led].GetText()
	}
	return st.GetReason()
}

// finishTree is the last object of a watch.
func (v *rolloutView) finishTree() error {
	st, tree := v.last, manifest.Map()
	for _, m := range []struct{ key, value string }{{"rollout", st.GetName()}, {"run", st.GetRun()}, {"state", st.GetState()}, {"verdict", v.verdict}, {"reason", endReason(st)}} {
		manifest.Put(tree, m.key, manifest.Str(m.value))
	}
	return v.app.showTree("verdict", v.at, tree)
}

// sayEnd says how a rollout ended, and why. Guards that were watched on after everything was back say nothing of that.
func (v *rolloutView) sayEnd() {
	a, st := v.app, v.last
	a.saySummary(st)
	switch phaseOf(st) {
	case rollout.RolledBack, rollout.Aborted:
		if why := endReason(st); why != st.GetReason() {
			a.paragraph("why", verdictColor(v.verdict), why)
		}
	default:
		a.sayShortGuards(st, len(st.GetGuards()))
	}
	a.say("\n%s", a.paint("verdict: "+v.verdict, verdictColor(v.verdict)))
}
