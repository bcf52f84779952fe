package control

import (
	"fmt"
	"maps"
	"slices"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// RolloutRules are what the server's settings allow of rollouts.
type RolloutRules struct {
	// Roles returns who has which role for a service: names, or patterns of names. nil: nobody has any.
	Roles  func(service string) map[string][]string
	Hook   func(url string) error  // why it may not be called; nil: no webhook is set up
	Server func(name string) error // why Prometheus of this name cannot be asked; nil: none is set up
}

// checkRollouts holds the rollouts that a draft starts against everything that will be live and the settings of the server, and gives each its run. Changes
// of services that a rollout on its way cannot go on with are refused.
func (c *Controller) checkRollouts(d *draft, o Options) error {
	var found policy.Errors
	starts := map[string]string{} // by service
	for i, e := range d.edits {
		var errs policy.Errors
		switch {
		case e.key.Kind == kindService:
			errs = d.undisturbed(i, o)
		case e.key.Kind == kindRollout && e.after == nil && e.action != ActionRevert && d.live.walkable(e.key.Name):
			errs = policy.Errors{underway(d.live.rollouts[e.key.Name])}
		case e.start != nil:
			service := e.after.GetRollout().GetService()
			errs = c.beginRun(d, i, starts[service], o)
			starts[service] = e.key.Name
		}
		found = append(found, inDocument(errs, i)...)
	}
	return found.Err()
}

// beginRun gives a rollout that starts its run. Other is one that starts on the same service by the same change.
func (c *Controller) beginRun(d *draft, i int, other string, o Options) policy.Errors {
	doc := d.edits[i].after.GetRollout()
	if c.rollouts == nil {
		return policy.Errors{noRollouts()}
	}
	compiled, errs := rollout.Compile(doc)
	if len(errs) > 0 {
		return errs
	}
	s, at := d.serviceAfter(doc.GetService())
	if s == nil {
		return policy.Errors{{
			Kind: policy.NotFound, Code: "unknown_service", Field: "service", Value: doc.GetService(),
			Message: "there is no service of this name", Next: "`shadowctl get services` lists them",
		}}
	}
	cause, revision, live := "", int64(0), d.live.services.At(s.Name)
	if live != nil {
		cause, revision = live.cause, live.record.GetRevision()
	}
	if at >= 0 {
		cause = d.edits[at].cause
	}
	if other != "" {
		return policy.Errors{{
			Kind: policy.Invalid, Code: "rollout_twice", Field: "service", Value: s.Name,
			Message: "rollout " + other + " of the same request starts on this service, and one at a time may", Next: "leave one of them out",
		}}
	}
	if in := s.RolledBackIn; len(in) > 0 {
		return policy.Errors{{
			Kind: policy.Held, Code: "rolled_back_in_fleet", Field: "service", Value: s.Name,
			Message: fmt.Sprintf("it is rolled back in fleet %s, which the first step would end", in[0].Fleet), Next: "decide that first: `shadowctl split set " + s.Name + " …`",
		}}
	}
	w := c.world(d, s, at)
	w.Starter, w.StarterName = o.Who, o.Name
	plan, _, errs := compiled.For(w)
	if len(errs) > 0 {
		return errs
	}
	plan.ID = doc.GetName() + "@" + newStamp()[:8]
	split := rollout.Split{Weight: policy.BasisPoints(w.Share[plan.To]), Cause: cause, Revision: revision}
	next := rollout.StartRun(doc, plan, d.edits[i].start.lease, split, c.now())
	d.edits[i].after = rolloutDocument(next)
	return nil
}

// world is what a rollout on a service is held against.
func (c *Controller) world(d *draft, s *policy.Service, at int) *rollout.World {
	doc := d.live.services.At(s.Name).document()
	if at >= 0 {
		doc = d.edits[at].after.GetService()
	}
	w := &rollout.World{Primary: s.Primary, Share: policy.Weights(doc), Hook: c.rolloutRules.Hook, Server: c.rolloutRules.Server}
	if c.rolloutRules.Roles != nil {
		w.Roles = c.rolloutRules.Roles(s.Name)
	}
	for _, o := range s.Origins {
		w.Origins = append(w.Origins, o.Name)
	}
	if p := d.live.underway(s.Name); p != nil {
		w.Running = p.doc.GetName()
	}
	w.Mirrors = map[string]rollout.Mirror{}
	for name, m := range d.live.mirrors {
		w.Mirrors[name] = mirrorInWorld(m.compiled)
	}
	for i, e := range d.edits {
		if m := d.mirrors[i]; e.key.Kind == kindMirror && m != nil {
			w.Mirrors[m.Name] = mirrorInWorld(m)
		}
	}
	return w
}

func mirrorInWorld(m *policy.Mirror) rollout.Mirror {
	return rollout.Mirror{Service: m.Service, Candidate: m.Candidate, Dark: m.Mode == policy.Dark}
}

// document is the service's; nil for none.
func (s *service) document() *crossfadev1.Service {
	if s == nil {
		return nil
	}
	return s.doc
}

// undisturbed refuses a change of a service that takes from a rollout what it walks on: an origin, or the primary that it goes back to.
func (d *draft) undisturbed(i int, o Options) policy.Errors {
	e := d.edits[i]
	old := d.live.services.At(e.key.Name)
	if old == nil || e.action == ActionRevert {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(d.live.rollouts)) {
		p := d.live.rollouts[name]
		if p.doc.GetService() != e.key.Name || p.over && !p.retained {
			continue
		}
		if what := disturbs(p, d.services[i]); what != "" && disturbs(p, old.compiled) == "" && !(p.over && o.Force) {
			return policy.Errors{inItsWay(p, what)}
		}
	}
	return nil
}

// disturbs says what a rollout misses in a service as it will be; nil if it is deleted.
func disturbs(p *plan, after *policy.Service) string {
	run := p.doc.GetRun()
	if after == nil {
		return "the service would be deleted"
	}
	for _, origin := range []string{run.GetFrom(), p.doc.GetTo()} {
		if !has(after, origin) {
			return fmt.Sprintf("origin %s would be removed", origin)
		}
	}
	if !p.over && after.Primary != run.GetPrimary() {
		return fmt.Sprintf("the primary would be %s: a rollback would go elsewhere than the plan says", after.Primary)
	}
	return ""
}

func inItsWay(p *plan, what string) *policy.Error {
	name := p.doc.GetName()
	if p.over {
		return &policy.Error{
			Kind: policy.Held, Code: "origin_retained", Field: "origins", Value: p.doc.GetRun().GetFrom(),
			Message: fmt.Sprintf("%s, and rollout %s keeps what it left, for a rollback", what, name), Next: "wait (`shadowctl rollout explain " + name + "` says for how long), or use --force",
		}
	}
	return &policy.Error{
		Kind: policy.Held, Code: "rollout_underway", Field: "origins", Value: name,
		Message: fmt.Sprintf("rollout %s is on its way on this service, and %s", name, what), Next: "end it with `shadowctl rollout abort " + name + "` first",
	}
}

// walkable says whether a rollout is on its way and its service still has what it walks on.
func (in *intent) walkable(name string) bool {
	p := in.rollouts[name]
	return !p.over && disturbs(p, compiledOf(in.services.At(p.doc.GetService()))) == ""
}
