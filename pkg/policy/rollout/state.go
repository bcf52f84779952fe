package rollout

import (
	"reflect"
	"slices"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// State is where a rollout is. It is what is stored, as JSON (durations in nanoseconds); its fields are written by this package alone.
type State struct {
	Version int                `json:"version"`
	Plan    string             `json:"plan"` // [Plan.ID]
	Phase   Phase              `json:"phase"`
	Step    int                `json:"step"`   // index of the step that is worked on, or gone back from
	Weight  policy.BasisPoints `json:"weight"` // of To, as last seen live
	Since   time.Time          `json:"since"`  // of the phase, by the clock of the wall: to show
	Reason  string             `json:"reason"` // of the last transition

	// The present step.
	Bake     time.Duration `json:"bake"`     // of observed time with a pass
	Requests int64         `json:"requests"` // by To
	Approved string        `json:"approved,omitempty"`
	Begun    bool          `json:"begun,omitempty"` // its weight was asked for

	// The split. Confirmed and Weight are what it has to be; anything else was not done by this rollout.
	Want      *Want  `json:"want,omitempty"` // what it was told to become, until seen to be
	Confirmed string `json:"confirmed"`      // [Split.Cause]
	Revision  int64  `json:"revision"`
	Moved     bool   `json:"moved,omitempty"` // it ever asked for a weight: before, the split is not its own to take back
	Again     int    `json:"again,omitempty"` // how often the split was set anew after a change from outside

	Resume Phase         `json:"resume,omitempty"` // of Paused and Frozen: where it goes on
	Hand   bool          `json:"hand,omitempty"`   // of Paused: the split is not the plan's, so nothing is done about it
	Back   *Back         `json:"back,omitempty"`   // of RollingBack, also while that is paused
	Kept   time.Duration `json:"kept,omitempty"`   // of Completed: for how long the old origin was
	Free   bool          `json:"free,omitempty"`   // of Completed: it need not be kept any more

	FailTold    bool `json:"failTold,omitempty"` // somebody was told, and it is so still
	PrimaryTold bool `json:"primaryTold,omitempty"`

	Mark    Mark     `json:"mark"`
	Seen    Seen     `json:"seen"`
	Outbox  []Note   `json:"outbox,omitempty"`
	Notes   int      `json:"notes,omitempty"`   // so far
	Dropped int      `json:"dropped,omitempty"` // notes that nobody took, beyond [MaxOutbox]
	Acted   []string `json:"acted,omitempty"`   // IDs of the last actions that were done
}

// Want is a weight on its way.
type Want struct {
	ID     string             `json:"id"`
	Weight policy.BasisPoints `json:"weight"` // of To
}

// Back is a rollback.
type Back struct {
	Gradual bool          `json:"gradual,omitempty"`
	Final   Phase         `json:"final"`          // RolledBack or Aborted
	Rest    time.Duration `json:"rest,omitempty"` // of observed time at the present weight, when every proxy had it
	Live    time.Duration `json:"live,omitempty"` // since the present weight was seen live, whatever proxies had
}

// Mark is the last tick that was counted.
type Mark struct {
	Clock    string        `json:"clock,omitempty"`
	At       time.Duration `json:"at,omitempty"`
	Age      time.Duration `json:"age,omitempty"`
	Requests int64         `json:"requests,omitempty"`
}

// Seen is what the last look saw, for [Explain].
type Seen struct {
	Verdict Verdict `json:"verdict,omitempty"`
	Why     string  `json:"why,omitempty"`     // of the verdict
	Fleet   string  `json:"fleet,omitempty"`   // what is missing there; empty: nothing
	Hook    string  `json:"hook,omitempty"`    // what it answered; empty: nothing yet
	Ready   string  `json:"ready,omitempty"`   // what is missing before the start
	Primary string  `json:"primary,omitempty"` // why it is unhealthy; empty: it is not
}

// Start is the state of a plan that nothing was done about. The split is what is live.
func Start(p *Plan, split Split, now time.Time) State {
	return State{
		Version: stateVersion, Plan: p.ID, Phase: Pending, Since: wall(now), Reason: "started by " + p.Starter,
		Weight: split.Weight, Confirmed: split.Cause, Revision: split.Revision,
	}
}

// Retaining says whether a promoted rollout still keeps the origin that traffic moved from.
func Retaining(s State) bool { return s.Phase == Completed && !s.Free }

// RetainedFor is for how long a promoted rollout keeps that origin yet.
func RetainedFor(p *Plan, s State) time.Duration { return max(0, p.retention()-s.Kept) }

// MustSave says whether the state after a call has to be stored before its effects are performed; before is the one that is stored. If not, what is newer
// is of a kind that a crash may lose:
//
//   - counts, and what was seen: it is enough to store them every few seconds;
//   - which notes were taken: they are told again, by the same IDs;
//   - that the rollout's own change of the split was seen live: the split says so again, by its cause.
func MustSave(before, after State) bool {
	b, a := settled(before), settled(after)
	if sawOwn(b, a) {
		b.Want, b.Confirmed, b.Weight = nil, a.Confirmed, a.Weight
	}
	return !reflect.DeepEqual(b, a)
}

// settled is a state without what may be lost. It shares what it refers to with s.
func settled(s State) State {
	s.Bake, s.Requests, s.Kept, s.Mark, s.Seen = 0, 0, 0, Mark{}, Seen{}
	s.Outbox, s.Dropped, s.Revision = nil, 0, 0 // a new note counts in Notes
	if s.Back != nil {
		s.Back = new(*s.Back)
		s.Back.Rest, s.Back.Live = 0, 0
	}
	return s
}

// sawOwn says whether what was on its way before has come through, and nothing else was asked for since.
func sawOwn(before, after State) bool {
	return before.Want != nil && after.Want == nil && after.Confirmed == before.Want.ID && after.Weight == before.Want.Weight
}

// wall is a time as it is stored: what is read back is equal to it.
func wall(now time.Time) time.Time { return now.UTC().Round(0) }

// clone copies a state, so that the one that was given stays as it is.
func clone(s State) State {
	if s.Want != nil {
		s.Want = new(*s.Want)
	}
	if s.Back != nil {
		s.Back = new(*s.Back)
	}
	s.Outbox, s.Acted = slices.Clone(s.Outbox), slices.Clone(s.Acted)
	return s
}
