package control

import (
	"slices"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// stamps are those of the last changes, as many as a start reads from the history.
type stamps struct {
	known map[string]bool
	order []string         // oldest first
	sent  map[string]int64 // the live revision when a fleet surely got a stamp last, by its name
}

func (s *stamps) add(stamp string) {
	if s.known[stamp] {
		return
	}
	if s.known == nil {
		s.known = map[string]bool{}
	}
	s.known[stamp] = true
	s.order = append(s.order, stamp)
	if len(s.order) >= 2*stampHistory {
		for _, old := range s.order[:stampHistory] {
			delete(s.known, old)
		}
		s.order = append([]string(nil), s.order[stampHistory:]...)
	}
}

// stamped notes that a fleet got a stamp: with levers alone it surely did, with a structure only where it had no levers before.
func (c *Controller) stamped(fleet string, u xds.Update) {
	if len(u.Levers) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stamps.sent == nil {
		c.stamps.sent = map[string]int64{}
	}
	if _, had := c.stamps.sent[fleet]; !had || u.Structure == nil {
		c.stamps.sent[fleet] = c.live.revision
	}
}

// renewAfter is how many revisions may follow a fleet's stamp. A start knows those of the last [stampHistory] revisions, so a fleet whose levers
// nobody changes would be held at it, were it not for a newer one. The margin is for proxies that are not connected meanwhile.
const renewAfter = stampHistory / 4

// renewStamps sends the fleets whose stamp becomes old the one of these revisions. The write lock is held: the store has nothing later.
func (c *Controller) renewStamps(records []*crossfadev1.Revision) {
	if len(records) == 0 {
		return
	}
	last := records[len(records)-1]
	var due []string
	c.mu.RLock()
	for fleet, at := range c.stamps.sent {
		if last.GetRevision()-at >= renewAfter {
			due = append(due, fleet)
		}
	}
	c.mu.RUnlock()
	slices.Sort(due)
	for _, fleet := range due {
		c.renewStamp(fleet, last.GetStamp())
	}
}

// renewStamp sends a fleet what it has of one service: that brings nothing but the stamp.
func (c *Controller) renewStamp(fleet, stamp string) {
	c.order.Lock() // for each fleet anew: a rollback does not wait for all
	defer c.order.Unlock()
	u := xds.Update{Levers: map[string][]translate.Lever{"": nil}} // of none, where the fleet has none any more
	c.mu.RLock()
	u.Stamp = c.stampOf(fleet, stamp)
	for name, s := range c.live.services.All() {
		if slices.Contains(s.compiled.Fleets, fleet) {
			u.Levers = map[string][]translate.Lever{name: translate.Levers(s.compiled.In(fleet))}
			break
		}
	}
	c.mu.RUnlock()
	c.send(fleet, u).waiter.Close()
}
