package control

import (
	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// TakesFrom returns the names of the services that would lose requests to a service if it became like this document, and lose none to it as it is
// now. A document that no change would take takes nothing.
func (c *Controller) TakesFrom(doc *crossfadev1.Service) (names []string) {
	next, errs := policy.CompileService(doc)
	if len(errs) > 0 {
		return nil
	}
	live := c.snapshot()
	now := compiledOf(live.services.At(doc.GetName()))
	for _, s := range live.of("") {
		if next.TakesFrom(s.compiled) && (now == nil || !now.TakesFrom(s.compiled)) {
			names = append(names, s.compiled.Name)
		}
	}
	return names
}
