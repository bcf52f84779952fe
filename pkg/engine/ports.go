package engine

import (
	"context"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// Control is what the engine sees of intent and fleets, and how it changes them. Its methods are safe for concurrent use.
type Control interface {
	// See returns what one look sees of a plan's service. With prove the proof of the live split is followed as well: Fleet.Proven is meant only
	// then, and proxies report more finely until a look comes without it, or Done.
	See(p *rollout.Plan, prove bool) Sight
	// Done ends what See began for a plan.
	Done(planID string)
	// SetSplit gives To its weight and From the rest, if the service's last revision is still Expect. It is live when it is durable; it returns when
	// the fleet has it, or some seconds later. An ID that was made before does nothing.
	SetSplit(ctx context.Context, c Change) error
	// RollBack sends everything to the primary. It is live when it returns, and is recorded beside that; it waits for no disk.
	RollBack(c Change) error
	// Save makes a rollout's document with its run durable, as one revision, if its last revision is still expect. It returns the new one.
	Save(ctx context.Context, doc *crossfadev1.Rollout, expect int64, s Saving) (revision int64, err error)
	// Mirror returns the verdict of a mirror experiment and why; an unknown one is Error.
	Mirror(name string) (verdict rollout.Verdict, why string)
}

// Sight is what one look sees of a service.
type Sight struct {
	Gone    bool // the service is no more, or lacks an origin of the plan; the rest is empty then
	Split   rollout.Split
	Fleet   rollout.Fleet    // of the split that is live
	Made    map[string]int64 // revisions of the plan's changes of the split, by the ID of the effect
	Ready   rollout.Ready
	Primary rollout.Health // of its endpoints; the guards' part is the engine's
	Fleets  []string       // that serve it
	Drift   string         // what the plan has and the store or the fleet does not; empty: nothing
}

// Change is a change of a split by a rollout.
type Change struct {
	Plan   *rollout.Plan
	ID     string // of the effect: the idempotency key, and the cause that the split carries
	Weight int32  // of To, in basis points
	Expect int64  // revision of the service
	Who    string // "rollout r1 (started by ann)"
	Reason string
	Back   bool // it is on the way back: it asks for no permission, as a rollback does
}

// Saving says for the history why a rollout is saved.
type Saving struct {
	Action string // for example "rollout approve"; see the Action constants of pkg/control
	Who    string
	// Verified says whether a certificate showed Who, or who started the rollout.
	Verified bool
	Reason   string
}

// Traffic makes watches; package telemetry's.
type Traffic interface {
	// Watch follows origins of a service in all of its fleets, the first of them as finely as proxies can report.
	Watch(service string, fleets []string, origins ...string) Watch
}

// Watch is what origins do, from when it was made.
type Watch interface {
	// Read returns what was counted at each origin since the last Read, in their order, each request once. Length is the time since then by the
	// clock of now, which is monotonic.
	Read(now time.Time) []guard.Window
	// Reporting is how many proxies report, and how many are connected and do not.
	Reporting(now time.Time) (reporting, silent int)
	// Changed is signalled when something was counted.
	Changed() <-chan struct{}
	Close()
}

// Hooks tells webhooks; package hook's.
type Hooks interface {
	// Allowed says why a URL may not be called; nil: it may.
	Allowed(url string) error
	// Ask posts an event and returns nil if it was agreed to. It waits for the answer.
	Ask(ctx context.Context, url string, e Event) error
}

// Event is what a webhook is told.
type Event struct {
	ID      string // unique: the same again is the same event
	Type    string // the end of the CloudEvents type, for example "step.before"
	Subject string // the service
	Time    time.Time
	Rollout *crossfadev1.RolloutStatus // how it is then, without notes
	Text    string                     // what happened, for people
	Alarm   bool
}

// Queries asks Prometheus; package promql's.
type Queries interface {
	// Known says whether the settings have a server of this name; the error names those that there are.
	Known(server string) error
	// Ask returns the one number of an answer, at a time; the zero time is now by the server's own clock. ok is false where there is none: no element, several, or NaN; why says which.
	Ask(ctx context.Context, server, query string, at time.Time) (value float64, ok bool, why string, err error)
}
