package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
)

// Bounds and defaults of plans.
const (
	MaxSteps         = 50
	MaxGuards        = guard.MaxGuards
	MinBake          = time.Second         // one report of the proxies
	MaxBake          = 30 * 24 * time.Hour // of one step
	MaxMinRequests   = 1_000_000_000       // of one step
	MaxRetention     = 90 * 24 * time.Hour // after promotion
	DefaultRetention = 24 * time.Hour      // after promotion
	DefaultBackPause = 10 * time.Second    // between the weights of a gradual rollback
	backPatience     = 15 * time.Second    // how much longer than its pause a gradual rollback waits for proxies
	MaxTick          = 10 * time.Second    // a longer time between two looks counts as this much
	MaxOutbox        = 128                 // notes that nobody has taken yet
	maxHookBytes     = 2048                // of a URL
	rememberedIDs    = 16                  // of users' actions
	maxPasses        = 8                   // transitions in one call
	stateVersion     = 1                   // of the JSON of [State]
)

// Plan is what was asked for. It is immutable: another plan is another rollout. [Check] says what is wrong with one.
type Plan struct {
	ID          string // of this run, for example "r1@417": name and revision of its start. Without "/"; no two runs share one
	Name        string
	Service     string
	From        string // the origin that has what To does not have yet
	To          string // the origin that the steps' weights are of
	Primary     string // where a rollback goes. It is From, or for the reverse direction To
	Starter     string // who started it
	StarterName string // the name in the starter's certificate; empty: it showed none
	Steps       []PlanStep
	Guards      []PlanGuard
	OnFailure   OnFailure     // empty: BackAtOnce, and Freeze for the reverse direction
	BackPause   time.Duration // between the weights of a gradual rollback; 0: [DefaultBackPause]
	Hook        string        // URL that is told, and asked before each step; empty: none
	Retention   time.Duration // how long From is kept and watched after promotion; 0: [DefaultRetention]; negative: not at all
}

// PlanStep is one weight and what has to be true before the next.
type PlanStep struct {
	Weight      policy.BasisPoints // of To
	Bake        time.Duration      // of observed time in which all guards pass
	MinRequests int64              // by To, at this weight
	Gate        *Gate              // before the weight; nil: none
}

// Gate is an approval that a step waits for.
type Gate struct {
	Role       string // whoever has it may approve
	NotStarter bool   // but not who started the rollout
}

// PlanGuard is what the walk needs to know of a guard; what it measures is package guard's.
type PlanGuard struct {
	Name     string
	Window   time.Duration // the longest that it looks back, or the time between two questions; 0: neither
	Relative bool          // it compares To with Against
	Against  string        // origin
	Mirror   string        // the mirror experiment whose verdict it is, in place of a metric
	Query    *Query        // what it asks Prometheus, in place of a metric
}

// IsRun says whether a text is the ID of a run.
func IsRun(id string) bool {
	name, run, ok := strings.Cut(id, "@")
	return ok && run != "" && policy.ValidName(name)
}

// Reverse says whether the plan moves traffic to the primary. Then there is nothing that a rollback could do about a failure.
func (p *Plan) Reverse() bool { return p.To == p.Primary }

// home is the share of To when the primary has everything.
func (p *Plan) home() policy.BasisPoints {
	if p.Reverse() {
		return policy.Whole
	}
	return 0
}

// Failure is what the plan does when a guard fails.
func (p *Plan) Failure() OnFailure {
	switch {
	case p.Reverse():
		return Freeze
	case p.OnFailure == "":
		return BackAtOnce
	}
	return p.OnFailure
}

// retention is how long From is kept after promotion. A plan that ends below 100 % keeps it anyway.
func (p *Plan) retention() time.Duration {
	switch {
	case p.Retention < 0 || p.Steps[len(p.Steps)-1].Weight != policy.Whole:
		return 0
	case p.Retention == 0:
		return DefaultRetention
	}
	return p.Retention
}

func (p *Plan) backPause() time.Duration {
	if p.BackPause == 0 {
		return DefaultBackPause
	}
	return p.BackPause
}

// below is the highest weight under w of a step that was passed on the way to step at; without one, step -1 and 0.
func (p *Plan) below(at int, w policy.BasisPoints) (step int, weight policy.BasisPoints) {
	for i, s := range slices.Backward(p.Steps[:at]) {
		if s.Weight < w {
			return i, s.Weight
		}
	}
	return -1, 0
}

// IDs of effects. Again is how often a user has sent the plan back to the step.

func (p *Plan) setID(step, again int) string { return p.stepID(step, "set") + repeated(again) }

func (p *Plan) hookID(step int) string { return p.stepID(step, "before") }

func (p *Plan) stepID(step int, what string) string {
	return fmt.Sprintf("%s/step-%d/%s", p.ID, step+1, what)
}

// backID is that of a rollback: over the weight of a step, or with step -1 to 0 %.
func (p *Plan) backID(step, again int) string {
	if step < 0 {
		return p.ID + "/back" + repeated(again)
	}
	return p.stepID(step, "back") + repeated(again)
}

// BackID is the ID of the rollback to 0 % that a state would ask for.
func (p *Plan) BackID(s State) string { return p.backID(-1, s.Again) }

func (p *Plan) noteID(n int) string { return fmt.Sprintf("%s/note-%d", p.ID, n) }

func repeated(again int) string {
	if again == 0 {
		return ""
	}
	return fmt.Sprintf("-%d", again+1)
}
