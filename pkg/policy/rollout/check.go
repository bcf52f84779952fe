package rollout

import (
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// World is what a plan is held against: the service that it moves, who may approve, and what the server can ask.
type World struct {
	Origins     []string            // of the service, in its order
	Primary     string              // of the service
	Share       map[string]int32    // basis points now, see [policy.Weights]
	Roles       map[string][]string // who has which role for the service: names, or patterns of names
	Starter     string              // whoever starts the plan
	StarterName string              // the name in the starter's certificate; empty: it showed none
	Running     string              // the rollout that is on its way on this service; empty: none

	Mirrors map[string]Mirror       // mirror experiments, by name
	Server  func(name string) error // says why a Prometheus is not known; nil: none is
	Hook    func(url string) error  // says why a URL may not be called; nil: none may
}

// Mirror is what a plan must know of a mirror experiment.
type Mirror struct {
	Service, Candidate string
	Dark               bool // it compares nothing
}

// invalid is an error about a field of a document.
func invalid(field, code, value, message, next string) *policy.Error {
	return policy.InvalidField(field, code, value, message, next)
}

// checker collects what is wrong.
type checker struct{ found policy.Errors }

func (c *checker) add(field, code, value, message, next string) {
	c.found = append(c.found, invalid(field, code, value, message, next))
}

// Check says what is wrong with a plan as such and in its world, in the order of its fields. It is asked before a rollout starts, and by a dry run.
// What guards measure is looked at by package guard.
func Check(p *Plan, w *World) policy.Errors {
	c := checker{found: checkPlan(p)}
	c.inWorld(p, w)
	if len(c.found) == 0 {
		c.start(p, w)
	}
	return inOrder(c.found)
}

// checkPlan says what is wrong with a plan as such. Its origins may be open yet.
func checkPlan(p *Plan) policy.Errors {
	var c checker
	c.names(p)
	c.failure(p)
	c.steps(p)
	c.guardNames(p)
	c.times(p)
	c.hook(p.Hook)
	return c.found
}

func (c *checker) names(p *Plan) {
	c.found = append(c.found, policy.CheckName("name", p.Name, "the rollout")...)
	c.found = append(c.found, policy.CheckName("service", p.Service, "the service whose traffic moves")...)
	c.found = append(c.found, policy.CheckName("to", p.To, "the origin that traffic moves to")...)
	switch {
	case p.From == "":
	case p.From == p.To:
		c.add("from", "origin_same", p.From, "traffic cannot move from an origin to itself", "name two different origins")
	default:
		c.found = append(c.found, policy.CheckName("from", p.From, "the origin that traffic moves from")...)
	}
}

func (c *checker) failure(p *Plan) {
	switch p.OnFailure {
	case "", Freeze:
	case BackAtOnce, BackInStep:
		if p.Primary != "" && p.Reverse() {
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
		c.gate(at+"gate.approval.role", s.Gate)
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
		switch {
		case bake >= g.Window:
			continue
		case g.Query != nil:
			c.add(field, "bake_below_window", bake.String(), fmt.Sprintf("is shorter than the time between two questions of guard %s (%s), so an answer could be about the step before", g.Name, g.Window),
				fmt.Sprintf("write bake: %s or more, or ask more often (every)", g.Window))
		default:
			c.add(field, "bake_below_window", bake.String(), fmt.Sprintf("is shorter than the window of guard %s (%s), which would judge traffic of the step before", g.Name, g.Window),
				fmt.Sprintf("write bake: %s or more, or a shorter window", g.Window))
		}
		return
	}
}

// gate looks at the gate before a step; whether anybody may open it is the world's.
func (c *checker) gate(field string, g *Gate) {
	switch {
	case g == nil:
	case g.Role == "":
		c.add(field, "role_missing", "", "a gate needs the role that approves", "write for example gate: {approval: {role: approver}}")
	default:
		c.found = append(c.found, policy.CheckName(field, g.Role, "the role that approves")...)
	}
}

func (c *checker) guardNames(p *Plan) {
	if len(p.Guards) > MaxGuards {
		c.add("guards", "too_many", fmt.Sprint(len(p.Guards)), fmt.Sprintf("too many guards: at most %d are allowed", MaxGuards), "")
		return
	}
	seen := map[string]bool{}
	for i, g := range p.Guards {
		at := fmt.Sprintf("guards[%d].", i)
		if seen[g.Name] && g.Name != "" {
			c.add(at+"name", "name_twice", g.Name, "two guards have this name", "give each guard a name of its own")
		} else {
			c.found = append(c.found, policy.CheckName(at+"name", g.Name, "the guard")...)
		}
		seen[g.Name] = true
		if g.Mirror != "" {
			c.found = append(c.found, policy.CheckName(at+"mirror", g.Mirror, "the mirror experiment")...)
		}
		if g.Relative && g.Against != "" && g.Against == p.To {
			c.add(at+"against", "against_itself", g.Against, "is where the rollout leads: an origin compared with itself shows nothing", againstNext(p))
		}
	}
	if onlyRelative(p) {
		c.add("guards", "guards_only_relative", "", "all guards compare with another origin, which gets nothing at 100%: nothing would watch the last step",
			"add a guard with a limit of its own, for example errorRate with max: 0.5%")
	}
}

// againstNext says what a relative guard can be compared with.
func againstNext(p *Plan) string {
	if p.From == "" {
		return "leave it out: it is compared with the origin that traffic moves from"
	}
	return "write against: " + p.From + ", or leave it out"
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
