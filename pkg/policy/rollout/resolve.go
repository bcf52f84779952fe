package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
)

// For makes a plan for the service as it is, with its guards, or says what stands in the way. The plan's ID is left to the caller.
func (c *Compiled) For(w *World) (*Plan, []*guard.Guard, policy.Errors) {
	var found checker
	p := c.plan(c.from(w, &found), w.Primary)
	p.Starter, p.StarterName = w.Starter, w.StarterName
	if len(found.found) == 0 {
		found.found = c.inDocument(Check(p, w))
	}
	var guards []*guard.Guard
	if len(found.found) == 0 {
		guards, found.found = c.guardsOf(p, w.Origins)
	}
	if len(found.found) > 0 {
		return nil, nil, inOrder(found.found)
	}
	return p, guards, nil
}

// from is the origin that traffic moves from: where the document does not say, the primary, or the only other.
func (c *Compiled) from(w *World, found *checker) string {
	to := c.Plan.To
	if c.Plan.From != "" || to != w.Primary || to == "" {
		return or(c.Plan.From, w.Primary)
	}
	others := slices.DeleteFunc(slices.Clone(w.Origins), func(o string) bool { return o == to })
	switch len(others) {
	case 0:
		found.add("to", "origin_alone", to, "is the only origin of the service: there is nothing that traffic could move from", "add another origin to the service first")
		return ""
	case 1:
		return others[0]
	}
	found.add("from", "from_missing", "", "traffic moves to the primary, and the service has several other origins", "write from: with one of "+strings.Join(others, ", "))
	return ""
}

// plan is the plan with its origins.
func (c *Compiled) plan(from, primary string) *Plan {
	p := c.Plan
	p.From, p.Primary = from, primary
	p.Guards = slices.Clone(p.Guards)
	for i := range p.Guards {
		if g := &p.Guards[i]; g.Relative {
			g.Against = or(g.Against, from)
		}
	}
	return &p
}

// ResumeRun makes the plan of a document's run, to go on with it. Its origins are those of the start, whatever has become of the service, and nobody is asked
// again whether it may start: that the service, its split, a role or a hook is otherwise by now is seen by looking, and holds or pauses the walk.
//
// What it was started with may be refused by a later version. Then the plan comes with the errors, as far as it can be walked: a guard that is not
// among those returned never passes, so that no step goes on, and people can still abort. Only without a plan is there no way on.
func ResumeRun(doc *crossfadev1.Rollout) (*Plan, []*guard.Guard, policy.Errors) {
	c, found := read(doc)
	if c == nil {
		return nil, nil, found
	}
	run := doc.GetRun()
	p := c.plan(run.GetFrom(), run.GetPrimary())
	p.ID, p.Starter, p.StarterName = run.GetId(), run.GetStarter(), run.GetStarterName()
	if e := unwalkable(p); e != nil {
		return nil, nil, append(policy.Errors{e}, found...)
	}
	guards, bad := c.guardsOf(p, offline(p))
	return p, guards, inOrder(append(found, bad...))
}

// unwalkable says why no walk of a plan can go on at all; nil: one can.
func unwalkable(p *Plan) *policy.Error {
	broken := func(field, value, message string) *policy.Error {
		return &policy.Error{Kind: policy.Internal, Code: "run_broken", Field: field, Value: value, Message: message, Next: "look at the split of the service, then start another rollout"}
	}
	switch {
	case !IsRun(p.ID):
		return broken("run.id", p.ID, "is not the ID of a run")
	case p.Primary == "" || p.Primary != p.From && p.Primary != p.To:
		return broken("run.primary", p.Primary, "is not an origin that the run moves traffic to or from")
	case p.From == "" || p.To == "" || p.From == p.To:
		return broken("run.from", p.From, "is not an origin that traffic could move from")
	case len(p.Steps) == 0 || len(p.Steps) > MaxSteps || !slices.IsSortedFunc(p.Steps, func(a, b PlanStep) int { return int(a.Weight - b.Weight) }):
		return broken("steps", "", "cannot be walked")
	}
	return nil
}

// guardsOf compiles the guards of metrics for a plan. The errors name fields of the document.
func (c *Compiled) guardsOf(p *Plan, origins []string) ([]*guard.Guard, policy.Errors) {
	if len(c.Specs) == 0 || len(p.Steps) == 0 {
		return nil, nil
	}
	from := p.From
	if from == "" || from == p.To {
		from = openFrom
	}
	specs := slices.Clone(c.Specs)
	for i := range specs {
		if s := &specs[i]; s.MaxRatio != 0 {
			s.Against = or(s.Against, from)
		}
	}
	out, found := guard.Compile(specs, guard.Plan{Origins: origins, Candidate: p.To, Steps: len(p.Steps), Observed: observed(p)})
	for _, e := range found {
		var i int
		var field string
		if _, err := fmt.Sscanf(e.Field, "guards[%d].%s", &i, &field); err == nil && i < len(c.at) {
			e.Field = fmt.Sprintf("guards[%d].%s", c.at[i], field)
		}
	}
	return out, found
}

// openFrom stands for the origin that traffic moves from where nobody has said yet which it is. No origin has this name.
const openFrom = "the primary"

// offline are the origins that a document names, in place of those of its service.
func offline(p *Plan) []string {
	out := []string{p.To, p.From, openFrom}
	for _, g := range p.Guards {
		out = append(out, g.Against)
	}
	return out
}

// observed is for how long a plan is watched if nothing holds it.
func observed(p *Plan) time.Duration {
	var out time.Duration
	for _, s := range p.Steps {
		out += s.Bake
	}
	return min(out, policy.MaxDuration)
}
