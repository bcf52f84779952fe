package rollout

import (
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Inputs is what one look sees. All of it may be missing: nothing is then decided that would need it.
type Inputs struct {
	Tick    Tick
	Split   Split
	Fleet   Fleet
	Made    map[string]int64 // revisions of this rollout's changes of the split, by the ID of the effect: those that were performed
	Guards  []GuardVerdict
	Ready   Ready
	Primary Health
	Hooks   map[string]HookAnswer // by the ID of the effect
	Taken   []string              // IDs of notes that were delivered
	Action  *Action               // what a user asks; nil: nothing
}

// Tick is time as the caller counts it: monotone within one Clock, which is another after each restart. A look that is repeated counts nothing,
// a jump of the wall's clock neither, and the time between two clocks is not counted.
type Tick struct {
	Clock    string        // which count this is, for example the ID of the process
	At       time.Duration // since that count began; only seconds in which reports of the proxies came
	Age      time.Duration // since that count began, whatever came
	Requests int64         // answered or failed by To, since that count began
}

// Split is what is live. The zero Split is none seen.
type Split struct {
	Weight   policy.BasisPoints // of To
	Cause    string             // ID of the effect that made it so; of a change by somebody else, anything that is no such ID and not empty
	Revision int64              // of the service; a lower one than seen before is ignored
	Rollback bool               // it was made by a rollback of all fleets
	By       string             // whoever made it, for people
}

// Fleet is how far a split has come.
type Fleet struct {
	Cause   string // which split this is about; of another than the last, nothing is believed
	Applied bool   // every connected proxy has it
	Proven  bool   // every connected proxy is proven, or silent for as long as it takes: the end of a rollback's wait
	Refused string // what a proxy said against it; empty: none did
	Why     string // what is missing, for people; also if it was waited for in vain
}

// GuardVerdict is what one guard says.
type GuardVerdict struct {
	Name    string
	Verdict Verdict
	Why     string // with its numbers, for people
}

// Ready says whether the target can get traffic: endpoints, proxies, reports.
type Ready struct {
	OK  bool
	Why string // what is missing
}

// Health is the primary's, by the absolute guards and its endpoints.
type Health struct {
	Bad bool
	Why string
}

// HookAnswer is what a webhook answered, or that it could not be asked. Without OK it is asked again.
type HookAnswer struct {
	OK  bool
	Why string
}

// Action is what a user asks.
type Action struct {
	ID      string // the idempotency key; the same again does nothing
	Request string // digest of what came with the key: another one with the same key is refused; empty: not compared
	Kind    ActionKind
	Who     string
	Name    string   // in Who's certificate; empty: it showed none
	Roles   []string // of Who, for the service
	Step    int      // from 1: the step that an approval or a rejection means; 0: the present one
	Reason  string
}

// EffectKind is what is to be done.
type EffectKind string

// What is to be done.
const (
	SetSplit     EffectKind = "set split"   // To gets Weight, From the rest, if the service's revision is still Expect
	Rollback     EffectKind = "roll back"   // everything to the primary, whatever the revision: pushed first, recorded beside it
	AwaitApplied EffectKind = "await fleet" // see [Fleet.Applied] of the split that ID caused
	AwaitProven  EffectKind = "await proof" // see [Fleet.Proven]; the finer proof is on while this is returned
	CallHook     EffectKind = "call hook"   // before Step; asked again, at the caller's pace, until it agrees
	Tell         EffectKind = "tell"        // record Note, and deliver it to the webhook if there is one
)

// Effect is a thing to do. The same ID is the same thing.
type Effect struct {
	Kind   EffectKind
	ID     string
	Step   int                // from 1
	Weight policy.BasisPoints // of SetSplit: of To
	Expect int64              // of SetSplit: the revision
	Reason string             // for the revision
	Note   Note               // of Tell
}

// Note is something that happened.
type Note struct {
	ID    string             `json:"id"`
	Event string             `json:"event"` // the end of the CloudEvents type, for example "gate"
	Time  time.Time          `json:"time"`  // by the clock of the wall
	Phase Phase              `json:"phase"` // after it
	Step  int                `json:"step"`  // from 1
	Share policy.BasisPoints `json:"share"` // of To, as last seen live
	Text  string             `json:"text"`
	Alarm bool               `json:"alarm,omitempty"` // somebody has to look now
}
