package rollout

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// inWorld holds a plan against what there is.
func (c *checker) inWorld(p *Plan, w *World) {
	sound := c.origins(p, w)
	c.gates(p, w)
	if len(p.Guards) <= MaxGuards {
		for i := range p.Guards {
			c.guard(fmt.Sprintf("guards[%d].", i), &p.Guards[i], p, w, sound)
		}
	}
	if p.Hook != "" {
		c.asked("hook.url", "hook_not_allowed", "", w.Hook, p.Hook, "the server's settings allow no webhooks")
	}
}

// origins returns whether traffic can move between the plan's.
func (c *checker) origins(p *Plan, w *World) bool {
	known := "the service's origins are " + strings.Join(w.Origins, ", ")
	switch {
	case !slices.Contains(w.Origins, p.To):
		c.add("to", "origin_unknown", p.To, "the service has no origin of this name", known)
	case p.From == p.To: // it was said
	case !slices.Contains(w.Origins, p.From):
		c.add("from", "origin_unknown", p.From, "the service has no origin of this name", known)
	case p.From != w.Primary && p.To != w.Primary:
		c.add("to", "origin_not_primary", p.To, fmt.Sprintf("neither this origin nor %s is the primary (%s): a rollback would go to a third", p.From, w.Primary), "move traffic from the primary, or to it")
	default:
		return true
	}
	return false
}

func (c *checker) gates(p *Plan, w *World) {
	for i, s := range p.Steps {
		if s.Gate == nil || i >= MaxSteps {
			continue
		}
		field := fmt.Sprintf("steps[%d].gate.approval.role", i)
		have := w.Roles[s.Gate.Role]
		switch {
		case len(have) == 0:
			c.add(field, "role_empty", s.Gate.Role, "nobody has this role, so the gate would never open", "give it to somebody in the server's settings")
		case s.Gate.NotStarter && !slices.ContainsFunc(have, func(who string) bool { return !p.startedBy(who, p.memberName(who)) }):
			c.add(field, "role_only_starter", s.Gate.Role, fmt.Sprintf("only %s has this role, and who starts a rollout must not approve this gate", p.Starter), "have somebody else start it, or give the role to one more")
		}
	}
}

// guard holds a guard against the origins, mirrors and servers that there are. What it compares with is looked at only if the plan's origins are sound.
func (c *checker) guard(at string, g *PlanGuard, p *Plan, w *World, sound bool) {
	switch {
	case g.Mirror != "":
		c.mirror(at+"mirror", g.Mirror, p, w)
	case g.Query != nil:
		c.asked(at+"prometheus.server", "server_unknown", g.Query.Server, w.Server, g.Query.Server, "the server's settings have no Prometheus")
	case !g.Relative || g.Against == p.To:
	case g.Against == "":
		c.add(at+"against", "against_missing", "", "a relative guard compares with another origin", againstNext(p))
	case !slices.Contains(w.Origins, g.Against):
		c.add(at+"against", "origin_unknown", g.Against, "the service has no origin of this name", "the service's origins are "+strings.Join(w.Origins, ", "))
	case sound && g.Against != p.From:
		c.add(at+"against", "against_idle", g.Against, "gets nothing while this rollout walks, so there would be nothing to compare with", againstNext(p))
	}
}

func (c *checker) mirror(field, name string, p *Plan, w *World) {
	m, ok := w.Mirrors[name]
	switch {
	case !ok:
		c.add(field, "mirror_unknown", name, "there is no mirror experiment of this name", "`shadowctl mirror list` lists them")
	case m.Service != p.Service:
		c.add(field, "mirror_of_another", name, "mirrors service "+m.Service+", not "+p.Service, "name an experiment of this service")
	case m.Candidate != p.To:
		c.add(field, "mirror_of_another", name, "tries origin "+m.Candidate+", and traffic moves to "+p.To, "name an experiment whose candidate is "+p.To)
	case m.Dark:
		c.add(field, "mirror_dark", name, "compares nothing (mode: dark), so it would never pass", "name an experiment in mode compare")
	}
}

// asked refuses what the server says no to. The sentence is the server's.
func (c *checker) asked(field, code, shown string, ask func(string) error, value, none string) {
	if ask == nil {
		c.add(field, code, shown, none, "have it added to the settings, or remove this")
		return
	}
	err := ask(value)
	if e := (*policy.Error)(nil); errors.As(err, &e) {
		c.add(field, or(e.Code, code), or(shown, e.Value), e.Message, e.Next)
	} else if err != nil {
		c.add(field, code, shown, err.Error(), "")
	}
}

// start holds a plan against what is live.
func (c *checker) start(p *Plan, w *World) {
	if w.Running != "" {
		c.found = append(c.found, &policy.Error{
			Kind: policy.Held, Code: "rollout_running", Field: "service", Value: p.Service,
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
