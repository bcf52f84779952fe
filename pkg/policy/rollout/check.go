package rollout

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// World is what a plan is held against: the service that it moves and who may approve.
type World struct {
	Origins []string            // of the service, in its order
	Primary string              // of the service
	Share   map[string]int32    // basis points now, see [policy.Weights]
	Roles   map[string][]string // who has which role
	Running string              // the rollout that is on its way on this service; empty: none
}

// invalid is an error about a field of a document.
func invalid(field, code, value, message, next string) *policy.Error {
	return &policy.Error{Kind: policy.Invalid, Code: code, Field: field, Value: value, Message: message, Next: next}
}

// checker collects what is wrong.
type checker struct{ found policy.Errors }

func (c *checker) add(field, code, value, message, next string) {
	c.found = append(c.found, invalid(field, code, value, message, next))
}

// Check says what is wrong with a plan as such and in its world, in the order of its fields. It is asked before a rollout starts, and by a dry run.
// What guards measure is looked at by package guard.
func Check(p *Plan, w *World) policy.Errors {
	var c checker
	c.names(p)
	c.origins(p, w)
	c.failure(p)
	c.steps(p)
	c.gates(p, w)
	c.guards(p, w)
	c.times(p)
	c.hook(p.Hook)
	if len(c.found) == 0 {
		c.start(p, w)
	}
	return c.found
}

func (c *checker) names(p *Plan) {
	for _, n := range []struct{ field, name, what string }{{"name", p.Name, "the rollout"}, {"service", p.Service, "the service"}} {
		switch {
		case n.name == "":
			c.add(n.field, "name_missing", "", "a name is needed for "+n.what, "choose one of lower-case letters, digits and dashes")
		case !policy.ValidName(n.name):
			c.add(n.field, "name_invalid", n.name, "only lower-case letters, digits and dashes are allowed, at most 63, with a letter or digit at both ends", "")
		}
	}
}

func (c *checker) origins(p *Plan, w *World) {
	known := "the service's origins are " + strings.Join(w.Origins, ", ")
	switch {
	case p.To == "":
		c.add("to", "origin_missing", "", "the origin that traffic moves to is needed", known)
	case !slices.Contains(w.Origins, p.To):
		c.add("to", "origin_unknown", p.To, "the service has no origin of this name", known)
	case p.From == p.To:
		c.add("from", "origin_same", p.From, "traffic cannot move from an origin to itself", known)
	case !slices.Contains(w.Origins, p.From):
		c.add("from", "origin_unknown", p.From, "the service has no origin of this name", known)
	case p.From != w.Primary && p.To != w.Primary:
		c.add("to", "origin_not_primary", p.To, fmt.Sprintf("neither this origin nor %s is the primary (%s): a rollback would go to a third", p.From, w.Primary), "move traffic from the primary, or to it")
	}
}

func (c *checker) failure(p *Plan) {
	switch p.OnFailure {
	case "", Freeze:
	case BackAtOnce, BackInStep:
		if p.Reverse() {
			c.add("onFailure", "on_failure_reverse", string(p.OnFailure), "the plan goes to the primary: a rollback would send everything to the side that fails", "write onFailure: freeze, or leave it out")
		}
	default:
		c.add("onFailure", "on_failure_unknown", string(p.OnFailure), `must be "rollback", "gradual" or "freeze"`, "leave it out for the default of rollback")
	}
}

func (c *checker) steps(p *Plan) {
	if len(p.Steps) == 0 {
		c.add("steps", "steps_empty", "", "a rollout without steps moves nothing", "see `shadowctl example rollout`, or use --preset "+Presets()[1])
	}
	if len(p.Steps) > MaxSteps {
		c.add("steps", "too_many", fmt.Sprint(len(p.Steps)), fmt.Sprintf("too many steps: at most %d are allowed", MaxSteps), "")
		return
	}
	for i, s := range p.Steps {
		at := fmt.Sprintf("steps[%d].", i)
		switch {
		case s.Weight < 1 || s.Weight > policy.Whole:
			c.add(at+"weight", "weight_range", policy.FormatWeight(s.Weight), "the weight of a step is 0.01% to 100%", "")
		case i > 0 && s.Weight <= p.Steps[i-1].Weight:
			c.add(at+"weight", "steps_order", policy.FormatWeight(s.Weight), fmt.Sprintf("is not above the step before (%s)", policy.FormatWeight(p.Steps[i-1].Weight)),
				"write weights that rise; to move traffic back, start a rollout to the other origin")
		}
		c.bake(at+"bake", s.Bake, p.Guards)
		if s.MinRequests < 0 || s.MinRequests > MaxMinRequests {
			c.add(at+"minRequests", "out_of_range", fmt.Sprint(s.MinRequests), fmt.Sprintf("must be 0 to %d", MaxMinRequests), "")
		}
	}
}

// bake holds the time at a weight against what guards need to see.
func (c *checker) bake(field string, bake time.Duration, guards []PlanGuard) {
	switch {
	case bake < MinBake:
		c.add(field, "bake_too_short", bake.String(), fmt.Sprintf("must be at least %s", MinBake), "write for example bake: 5m")
		return
	case bake > MaxBake:
		c.add(field, "duration_too_long", bake.String(), fmt.Sprintf("the longest bake is %s", MaxBake), "add a gate for a longer stop")
		return
	}
	for _, g := range guards {
		if bake < g.Window {
			c.add(field, "bake_below_window", bake.String(), fmt.Sprintf("is shorter than the window of guard %s (%s), which would judge traffic of the step before", g.Name, g.Window),
				fmt.Sprintf("write bake: %s or more, or a shorter window", g.Window))
			return
		}
	}
}

func (c *checker) gates(p *Plan, w *World) {
	for i, s := range p.Steps {
		if s.Gate == nil {
			continue
		}
		field := fmt.Sprintf("steps[%d].gate.approval.role", i)
		have := w.Roles[s.Gate.Role]
		switch {
		case s.Gate.Role == "":
			c.add(field, "role_missing", "", "a gate needs the role that approves", "")
		case len(have) == 0:
			c.add(field, "role_empty", s.Gate.Role, "nobody has this role, so the gate would never open", "give it to somebody in the server's settings")
		case s.Gate.NotStarter && !slices.ContainsFunc(have, func(who string) bool { return who != p.Starter }):
			c.add(field, "role_only_starter", s.Gate.Role, fmt.Sprintf("only %s has this role, and who starts a rollout must not approve this gate", p.Starter), "have somebody else start it, or give the role to one more")
		}
	}
}

func (c *checker) guards(p *Plan, w *World) {
	if len(p.Guards) > MaxGuards {
		c.add("guards", "too_many", fmt.Sprint(len(p.Guards)), fmt.Sprintf("too many guards: at most %d are allowed", MaxGuards), "")
		return
	}
	seen := map[string]bool{}
	for i, g := range p.Guards {
		at := fmt.Sprintf("guards[%d].", i)
		switch {
		case g.Name == "":
			c.add(at+"name", "name_missing", "", "a name is needed for the guard", "")
		case seen[g.Name]:
			c.add(at+"name", "name_twice", g.Name, "two guards have this name", "")
		}
		seen[g.Name] = true
		switch {
		case g.Relative && (g.Against == "" || g.Against == p.To):
			c.add(at+"against", "against_missing", g.Against, "a relative guard compares with another origin", fmt.Sprintf("write against: %s", p.From))
		case g.Against != "" && !slices.Contains(w.Origins, g.Against):
			c.add(at+"against", "origin_unknown", g.Against, "the service has no origin of this name", "the service's origins are "+strings.Join(w.Origins, ", "))
		}
	}
	if onlyRelative(p) {
		c.add("guards", "guards_only_relative", "", "all guards compare with another origin, which gets nothing at 100%: nothing would watch the last step",
			"add a guard with a limit of its own, for example errorRate with max: 0.5%")
	}
}

// onlyRelative says whether a plan comes to 100 % with no guard that can say anything there.
func onlyRelative(p *Plan) bool {
	full := len(p.Steps) > 0 && p.Steps[len(p.Steps)-1].Weight == policy.Whole
	return full && len(p.Guards) > 0 && !slices.ContainsFunc(p.Guards, func(g PlanGuard) bool { return !g.Relative })
}

func (c *checker) times(p *Plan) {
	if p.BackPause < 0 || p.BackPause > MaxBake {
		c.add("backPause", "out_of_range", p.BackPause.String(), fmt.Sprintf("must be 0s to %s", MaxBake), "")
	}
	if p.Retention > MaxRetention {
		c.add("retention", "duration_too_long", p.Retention.String(), fmt.Sprintf("the longest retention is %s", MaxRetention), "")
	}
}

// hook looks at a URL. What it points at is the caller's to refuse; credentials are not repeated in the error.
func (c *checker) hook(hook string) {
	if hook == "" {
		return
	}
	u, err := url.Parse(hook)
	switch {
	case len(hook) > maxHookBytes:
		c.add("hook.url", "too_long", "", fmt.Sprintf("has %d bytes; at most %d are allowed", len(hook), maxHookBytes), "")
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.Opaque != "":
		c.add("hook.url", "hook_url", "", "is not a URL of a webhook", "write for example https://hooks.test/crossfade")
	case u.User != nil:
		c.add("hook.url", "hook_credentials", "", "holds a user or password, which would be seen in the history", "the signature says who calls")
	case u.Fragment != "":
		c.add("hook.url", "hook_fragment", hook, "has a fragment (#…), which is never sent", "")
	}
}

// start holds a plan against what is live.
func (c *checker) start(p *Plan, w *World) {
	if w.Running != "" {
		c.found = append(c.found, &policy.Error{
			Kind: policy.Conflict, Code: "rollout_running", Field: "service", Value: p.Service,
			Message: fmt.Sprintf("rollout %s is on its way on this service; one at a time", w.Running), Next: fmt.Sprintf("wait for it, or run `shadowctl rollout abort %s`", w.Running),
		})
		return
	}
	for _, o := range w.Origins {
		if o != p.From && o != p.To && w.Share[o] != 0 {
			c.add("to", "split_elsewhere", p.To, fmt.Sprintf("%s has %s of the service, and a rollout moves only between %s and %s", o, policy.FormatWeight(policy.BasisPoints(w.Share[o])), p.From, p.To),
				"set a split of these two first")
			return
		}
	}
	if share := policy.BasisPoints(w.Share[p.To]); share > p.Steps[0].Weight {
		c.add("steps[0].weight", "step_below_split", policy.FormatWeight(p.Steps[0].Weight), fmt.Sprintf("%s has %s already: the first step would take traffic from it", p.To, policy.FormatWeight(share)),
			fmt.Sprintf("begin with %s or more", policy.FormatWeight(share)))
	}
}
