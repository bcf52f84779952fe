package control

import (
	"maps"
	"slices"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// following is a publication to one fleet, on its way.
type following struct {
	fleet  *xds.Fleet
	waiter *xds.Waiter
	sent   time.Time // zero: nothing was
}

// publishDraft makes a written draft live and sends it to its fleets.
func (c *Controller) publishDraft(called time.Time, o Options, d *draft) *change {
	c.order.Lock()
	defer c.order.Unlock()
	ch := &change{called: called, o: o, fleets: map[string]*following{}}
	updates := map[string]*xds.Update{}
	c.mu.Lock()
	for i := range d.edits {
		ch.edits = append(ch.edits, c.replace(d, i, ch, updates))
	}
	ch.mirrored = len(d.derived) > 0 || slices.ContainsFunc(d.edits, func(e edit) bool { return e.key.Kind == kindMirror || c.live.mirrorOf(e.key) != nil })
	for _, name := range slices.Sorted(maps.Keys(d.derived)) {
		if c.replaceDerived(d, name, updates) {
			ch.overtaken()
		}
	}
	for _, e := range d.unchanged {
		ch.edits = append(ch.edits, &applied{
			key: e.key, action: "none", before: e.after, after: e.after, record: c.live.record(e.key), fleets: c.live.fleetsOf(e.key.Kind, e.key.Name),
		})
	}
	if len(d.records) > 0 {
		c.live.revision = d.records[len(d.records)-1].GetRevision()
		c.live.stamp = d.stamp
		c.stamps.add(d.stamp)
	}
	for _, r := range d.records {
		c.made.note(r)
	}
	revision := c.live.revision
	for i, e := range d.unchanged {
		for _, name := range ch.edits[len(d.edits)+i].fleets {
			if decides(e.action) { // held proxies get it, others have it: nothing is sent to them
				updateFor(updates, name)
			}
		}
	}
	for name, u := range updates {
		u.Revision, u.Stamp, u.Structure = revision, c.stampOf(name, d.stamp), d.structures[name]
		if u.Structure != nil {
			c.live.structures[name] = u.Structure
			u.Endpoints = append(u.Endpoints, c.comparatorsOf(name)...)
		}
	}
	c.mu.Unlock()
	for name, u := range updates {
		for i, e := range slices.Concat(d.edits, d.unchanged) {
			if decides(e.action) && slices.Contains(ch.edits[i].fleets, name) {
				u.Decides = append(u.Decides, e.key.Name)
			}
		}
		ch.fleets[name] = c.send(name, *u)
	}
	c.followRest(ch)
	for i, e := range ch.edits {
		if i >= len(d.edits) {
			break // the rest was so already
		}
		c.events.revision(e.record)
		if e.key.Kind == kindService {
			c.serviceChanged(e.key.Name)
		}
	}
	return ch
}

// followRest follows the fleets of a change to which it publishes nothing.
func (c *Controller) followRest(ch *change) {
	for _, e := range ch.edits {
		for _, name := range e.fleets {
			if ch.fleets[name] == nil {
				f := c.fleets.Fleet(name)
				ch.fleets[name] = &following{fleet: f, waiter: f.Follow()}
			}
		}
	}
}

// stampOf is what the proxies of a fleet remember a change by: a rollback on top of it that the store does not know yet, else the change. Of a
// service that is gone the store will not know a rollback. c.mu is held.
func (c *Controller) stampOf(fleet, stamp string) string {
	for _, r := range c.unrecorded {
		if slices.ContainsFunc(r.edits, func(e *applied) bool {
			return slices.Contains(e.fleets, fleet) && c.live.services.At(e.key.Name) != nil
		}) {
			stamp = r.stamp
		}
	}
	return stamp
}

// replace makes one edit live and adds it to the updates of its fleets. c.mu is held.
func (c *Controller) replace(d *draft, i int, ch *change, updates map[string]*xds.Update) *applied {
	e, record := d.edits[i], d.records[i]
	a := &applied{key: e.key, action: e.action, before: c.live.document(e.key), after: e.after, record: record, start: e.start}
	if e.key.Kind == kindFleet {
		a.fleets, a.structural = []string{e.key.Name}, true
		updateFor(updates, e.key.Name)
		if e.after == nil {
			delete(c.live.fleets, e.key.Name)
		} else {
			c.live.fleets[e.key.Name] = &fleetSettings{doc: e.after.GetFleet(), compiled: d.fleets[i], record: record}
		}
		return a
	}
	if e.key.Kind == kindMirror {
		c.replaceMirror(d, i, a)
		return a
	}
	if e.key.Kind == kindRollout {
		c.live.setRollout(e.key.Name, e.after.GetRollout(), record)
		return a
	}
	if e.accept != nil {
		e.accept.run(c.endpoints.tracker)
	}
	old := c.live.services.At(e.key.Name)
	had := c.live.fleetsOf(kindService, e.key.Name)
	if e.after == nil {
		a.structural, a.fleets = true, had
		c.live.services.Delete(e.key.Name)
		c.endpoints.follow(old.compiled, nil)
		for _, fleet := range had {
			updateFor(updates, fleet).Levers[e.key.Name] = nil
		}
		return a
	}
	s := &service{doc: e.after.GetService(), compiled: d.services[i], record: record, rolledBack: e.rolledBack, cause: e.cause, by: e.by}
	a.structural = old == nil || !sameStructure(old.doc, s.doc) || !sameRun(old.compiled.Mirror, s.compiled.Mirror)
	if old != nil {
		s.rollbacks, s.rolls, a.wasBack = old.rollbacks, old.rolls, old.rolledBack
		if number := d.rollbacks[e.key.Name]; old.rollbacks != number {
			s = s.rolledSince(number, old.compiled.Primary)
			s.cause, s.by = old.cause, old.by
			a.after, a.overtaken = serviceDocument(s.doc), true
		}
	}
	c.live.services.Set(e.key.Name, s)
	ch.anew = append(ch.anew, c.endpoints.follow(compiledOf(old), s.compiled)...)
	a.fleets = slices.Clone(s.compiled.Fleets)
	for _, fleet := range had {
		if !slices.Contains(a.fleets, fleet) {
			a.fleets = append(a.fleets, fleet)
			updateFor(updates, fleet).Levers[e.key.Name] = nil
		}
	}
	a.moved = a.structural || e.accept != nil || !sameEndpoints(old.compiled, s.compiled)
	for _, fleet := range s.compiled.Fleets {
		a.update(updateFor(updates, fleet), fleet, old, s, c.endpoints.resources)
	}
	return a
}

// update adds a service that replaces another one, or none, to the update of one of its fleets.
func (a *applied) update(u *xds.Update, fleet string, old, s *service, endpoints func(*policy.Service) []translate.Resource) {
	if a.moved {
		u.Endpoints = append(u.Endpoints, endpoints(s.compiled)...)
	}
	if levers := translate.Levers(s.compiled.In(fleet)); !a.moved || a.structural || !slices.Equal(levers, translate.Levers(old.compiled.In(fleet))) {
		u.Levers[a.key.Name] = levers // else nothing but addresses differs: what Envoy has of levers stays untouched
	}
}

// compiledOf is the compiled form of a service; nil for none.
func compiledOf(s *service) *policy.Service {
	if s == nil {
		return nil
	}
	return s.compiled
}

func updateFor(updates map[string]*xds.Update, fleet string) *xds.Update {
	if updates[fleet] == nil {
		updates[fleet] = &xds.Update{Levers: map[string][]translate.Lever{}}
	}
	return updates[fleet]
}

// send publishes to a fleet. c.order is held, so that publications leave in the order of intent; c.mu is not, since what an
// incompatible proxy needs is read while publishing.
func (c *Controller) send(fleet string, u xds.Update) *following {
	f := c.fleets.Fleet(fleet)
	u.Named = true
	u.Inline = func() *translate.Structure {
		c.mu.RLock()
		settings, services := c.live.compiledOf(fleet)
		c.mu.RUnlock() // a rollback does not wait while it is built
		return translate.Build(settings, services, translate.Options{InlineWeights: true})
	}
	at := c.now()
	w := f.Publish(u)
	c.sent.note(fleet, u.Levers, w.Seq())
	c.stamped(fleet, u)
	return &following{fleet: f, waiter: w, sent: at}
}

// publish builds the whole structure of a fleet and sends it, with all endpoints as they are known then: at start.
func (c *Controller) publish(fleet string, u xds.Update) *xds.Waiter {
	c.order.Lock()
	defer c.order.Unlock()
	c.mu.RLock()
	settings, services := c.live.compiledOf(fleet)
	c.mu.RUnlock()
	u.Structure = translate.Build(settings, services, translate.Options{Comparators: c.live.comparators})
	for _, s := range services { // not before: what a source tells meanwhile is published after this
		u.Endpoints = append(u.Endpoints, c.endpoints.resources(s)...)
	}
	c.mu.Lock()
	u.Endpoints = append(u.Endpoints, c.comparatorsOf(fleet)...)
	c.live.structures[fleet] = u.Structure
	c.mu.Unlock()
	return c.send(fleet, u).waiter
}

func (a *applied) service() *crossfadev1.Service { return a.after.GetService() }
