package engine

import (
	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// BeginPaused is Begin for a run of a backup: its first look pauses it, as it does not know what happened since. One that cannot be paused,
// because it is over, paused already or on its way back, is begun as it is.
func (e *Engine) BeginPaused(doc *crossfadev1.Rollout, revision int64) {
	e.begin(doc, revision, &act{
		Action: rollout.Action{ID: "restored-" + newID(), Kind: rollout.Pause, Who: "xds-server restore", Reason: "a backup was restored, and what happened since it was made is not known"},
		reply:  make(chan error, 1), // nobody waits for it
	})
}
