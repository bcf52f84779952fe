package engine

import (
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// BeginPaused is Begin for a run of a backup: it is paused before anything else, as it does not know what happened since. One that is over, or on its
// way back, is begun as it is. Whoever attended to it did so in another life of the data: nobody is expected to any more, so that it is not aborted for that,
// which would move traffic though nobody decided it.
func (e *Engine) BeginPaused(doc *crossfadev1.Rollout, revision int64) {
	phase := rollout.Phase(doc.GetRun().GetState())
	if phase.Over() {
		e.Begin(doc, revision)
		return
	}
	leased := doc.GetRun().GetLease() != nil
	if leased {
		doc = proto.CloneOf(doc)
		doc.Run.Lease = nil
	}
	var pause *act
	if phase != rollout.RollingBack {
		pause = &act{Action: rollout.Action{
			ID: "restored-" + newID(), Kind: rollout.Pause, Who: "xds-server restore", Reason: "a backup was restored, and what happened since it was made is not known",
		}}
	}
	e.begin(doc, revision, pause, leased)
}
