package control

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// HiddenSince is the version of bootstraps from which proxies report what the other origin hides. Older ones make the tries and say nothing.
const HiddenSince = 2

// bootstrapWarnings names, of a change of a service whose requests are tried at the other origin, or of a rollout that starts there, the connected
// proxies that do not report what that hides: guards would see too little.
func (c *Controller) bootstrapWarnings(ch *change, e *applied) []string {
	s := c.triesOther(e)
	if s == nil || e.action == ActionRollback || ch.o.Cause != "" {
		return nil
	}
	var old []string
	connected := 0
	for _, name := range s.Fleets {
		for _, p := range c.fleets.Fleet(name).Proxies() {
			if !p.Connected {
				continue
			}
			connected++
			if !reportsHidden(p.Bootstrap) {
				old = append(old, p.Proxy)
			}
		}
	}
	if len(old) == 0 {
		return nil
	}
	slices.Sort(old)
	return []string{fmt.Sprintf("what retries.otherOrigin hides is not reported by %d of %d proxies, so that guards see too few failures: %s. Their bootstrap is older than version %d: "+
		"make each a new one with `shadowctl bootstrap` and restart it", len(old), connected, brief(old), HiddenSince)}
}

// triesOther is the service that an edit is about, if its requests are tried at the other origin; else nil.
func (c *Controller) triesOther(e *applied) *policy.Service {
	name := e.service().GetName()
	if r := e.after.GetRollout(); r != nil && e.action == ActionRolloutStart {
		name = r.GetService()
	}
	s := c.snapshot().services.At(name)
	if s == nil || s.compiled.Retries == nil || s.compiled.Retries.OtherOrigin == nil {
		return nil
	}
	return s.compiled
}

// reportsHidden says whether a proxy reports hidden failures, by the version of its bootstrap. One that is not a number is somebody's own, and older.
func reportsHidden(bootstrap string) bool {
	n, err := strconv.Atoi(bootstrap)
	return err == nil && n >= HiddenSince
}
