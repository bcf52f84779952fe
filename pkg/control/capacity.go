package control

import (
	"errors"
	"fmt"
	"slices"

	"github.com/crossfade-proxy/crossfade/pkg/discovery/tracker"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// supply is what stands ready for a service.
func (c *Controller) supply(s *policy.Service) policy.Supply {
	out := policy.Supply{Ready: map[string]int{}, Held: map[string]int{}}
	for i := range s.Origins {
		o := &s.Origins[i]
		switch {
		case o.Discovered():
			status, _ := c.endpoints.tracker.Status(tracker.Key{Service: s.Name, Origin: o.Name})
			if unheard := !status.Known && len(status.Endpoints) == 0; unheard && o.Name == s.Primary {
				continue // proxies may have some: nobody is kept from where it is safe
			}
			out.Ready[o.Name], out.Held[o.Name] = status.Ready, status.Held
		case o.DNS == nil:
			out.Ready[o.Name] = len(o.Static)
		}
		if t := c.traffic(s.Fleets, s.Name, o.Name); t != nil {
			out.RPS += t.GetRps()
		}
	}
	return out
}

// checkCapacity refuses a draft that sends more to an origin than its endpoints can take.
func (c *Controller) checkCapacity(d *draft) error {
	var found policy.Errors
	for i, e := range d.edits {
		old := d.live.services.At(e.key.Name)
		if d.services[i] == nil || old == nil || e.action == ActionRevert {
			continue
		}
		if err := policy.CheckCapacity(old.compiled, d.services[i], c.supply(d.services[i])); err != nil {
			err.Document = i
			found = append(found, err)
		}
	}
	return found.Err()
}

// checkSources refuses a draft with origins whose endpoints this server cannot look for. What is live already may stay.
func (c *Controller) checkSources(d *draft) error {
	var found policy.Errors
	for i, e := range d.edits {
		if d.services[i] == nil || e.action == ActionRevert {
			continue
		}
		known := map[string]bool{}
		if old := d.live.services.At(e.key.Name); old != nil {
			for j := range old.compiled.Origins {
				known[old.compiled.Origins[j].Source()] = true
			}
		}
		for j := range d.services[i].Origins {
			o := &d.services[i].Origins[j]
			if !o.Discovered() || known[o.Source()] {
				continue
			}
			if _, err := c.endpoints.watch(o); err != nil {
				found = append(found, sourceErrors(err, i, j, o)...)
			}
		}
	}
	return found.Err()
}

// originWarnings says what somebody should know of the endpoints of a service that was changed: of origins that get traffic or are new,
// and of the primary, where a rollback goes.
func (c *Controller) originWarnings(ch *change, e *applied) []string {
	if e.service() == nil {
		return nil
	}
	s := c.snapshot().services.At(e.key.Name)
	if s == nil {
		return nil
	}
	var out []string
	for i, o := range c.endpoints.compared(s.compiled, c.now()) {
		name := s.compiled.Origins[i].Name
		concerns := e.structural || slices.Contains(ch.anew, tracker.Key{Service: e.key.Name, Origin: name}) || s.compiled.Split.Weights[name] > 0 || name == s.compiled.Primary
		if o.GetDetail() != "" && o.GetState() != OriginResolved && concerns {
			out = append(out, "origin "+name+": "+o.GetDetail())
		}
	}
	if e.action == ActionRollback {
		if short := policy.Shortage(s.compiled, c.supply(s.compiled)); short != "" {
			out = append(out, "the rollback stands, but "+short)
		}
	}
	return out
}

// sourceErrors gives the errors of a source the place in the document where they belong.
func sourceErrors(err error, document, origin int, o *policy.Origin) policy.Errors {
	var all policy.Errors
	var single *policy.Error
	if !errors.As(err, &all) {
		if !errors.As(err, &single) {
			single = &policy.Error{Code: "discovery_invalid", Message: err.Error()}
		}
		all = policy.Errors{single}
	}
	out := make(policy.Errors, len(all))
	for i, e := range all {
		at := *e
		at.Kind, at.Document, at.Field = policy.Invalid, document, fmt.Sprintf("origins[%d].%s", origin, o.SourceKind())
		if e.Field != "" {
			at.Field += "." + e.Field
		}
		out[i] = &at
	}
	return out
}
