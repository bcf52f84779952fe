package control

import (
	"fmt"
	"slices"
	"strings"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// Retried says whether proxies try requests of a service again that were answered: see telemetry.Options.
func (c *Controller) Retried(service string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := c.live.services.At(service)
	return s != nil && s.compiled.Retries.Answered()
}

// rolloutWarnings says of a change of a service that a rollout is on its way there.
func (c *Controller) rolloutWarnings(ch *change, e *applied) []string {
	if e.key.Kind != kindService || e.action == "none" || ch.o.Cause != "" {
		return nil
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	p := c.live.underway(e.key.Name)
	switch {
	case p == nil:
		return nil
	case e.action == ActionRollback:
		return []string{"this ends rollout " + p.doc.GetName()}
	case e.after == nil || e.before == nil || !sameSplit(e.before.GetService(), e.after.GetService()):
		return []string{"this pauses rollout " + p.doc.GetName() + ", which is on its way on this service: `shadowctl rollout resume " + p.doc.GetName() + "` goes back to its plan"}
	}
	return []string{"rollout " + p.doc.GetName() + " is on its way on this service, and goes on"}
}

// ready says whether an origin can get traffic: it has endpoints, and there are proxies in each fleet.
func (c *Controller) ready(s *policy.Service, origin string) rollout.Ready {
	for _, fleet := range s.Fleets {
		if n, _ := c.fleets.Fleet(fleet).Levered(0); n == 0 {
			return rollout.Ready{Why: "no proxy of fleet " + fleet + " is connected"}
		}
	}
	if o := c.originState(s, origin); o.GetState() == OriginEmpty || o.GetState() != OriginResolved && o.GetReady()+o.GetHeld() == 0 {
		return rollout.Ready{Why: origin + " has no endpoint that takes requests (" + o.GetState() + "): " + o.GetDetail()}
	}
	return rollout.Ready{OK: true}
}

// primaryHealth is bad where the primary has no endpoint at all.
func (c *Controller) primaryHealth(s *policy.Service, primary string) rollout.Health {
	if o := c.originState(s, primary); o.GetState() == OriginEmpty && o.GetReady()+o.GetDraining()+o.GetHeld() == 0 {
		return rollout.Health{Bad: true, Why: primary + ": " + o.GetDetail()}
	}
	return rollout.Health{}
}

// originState says how well the endpoints of one origin are known; empty if the service has none of this name.
func (c *Controller) originState(s *policy.Service, origin string) *crossfadev1.OriginStatus {
	for i := range s.Origins {
		if s.Origins[i].Name == origin {
			return c.endpoints.origin(s.Name, &s.Origins[i], c.now())
		}
	}
	return &crossfadev1.OriginStatus{State: OriginEmpty, Detail: "there is no origin of this name"}
}

// overriddenIn names the proxies of a fleet whose admin interface overrides levers.
func (c *Controller) overriddenIn(fleet string) []string {
	if c.telemetry == nil {
		return nil
	}
	return c.telemetry.Overridden(fleet)
}

// drift names what the store says and a fleet does not do, or may not.
func (c *Controller) drift(s *policy.Service) string {
	var out []string
	for _, fleet := range s.Fleets {
		if lost := c.fleets.Fleet(fleet).Lost(); len(lost) > 0 {
			out = append(out, fmt.Sprintf("%s of fleet %s not connected, which keep what they had: %s", counted(len(lost), "proxy"), fleet, brief(lost)))
		}
		if over := c.overriddenIn(fleet); len(over) > 0 {
			out = append(out, fmt.Sprintf("an override at the admin interface of %s: `shadowctl break-glass %s` shows how to clear it", brief(over), s.Name))
		}
	}
	for _, r := range s.RolledBackIn {
		if slices.Contains(s.Fleets, r.Fleet) {
			out = append(out, "rolled back in fleet "+r.Fleet)
		}
	}
	return strings.Join(out, "; ")
}
