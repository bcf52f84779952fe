package control

import (
	"slices"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/store"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// following is a publication to one fleet, on its way.
type following struct {
	fleet  *xds.Fleet
	waiter *xds.Waiter
	lost   []string
}

// publishDraft makes a written draft live and sends it to its fleets.
func (c *Controller) publishDraft(called time.Time, o Options, d *draft) *change {
	c.order.Lock()
	defer c.order.Unlock()
	ch := &change{called: called, o: o, fleets: map[string]*following{}}
	updates := map[string]*xds.Update{}
	c.mu.Lock()
	for i := range d.edits {
		ch.edits = append(ch.edits, c.replace(d, i, updates))
	}
	for _, e := range d.unchanged {
		ch.edits = append(ch.edits, &applied{
			key: e.key, action: "none", before: e.after, after: e.after, record: c.live.record(e.key), fleet: c.live.fleetOf(e.key),
		})
	}
	if len(d.records) > 0 {
		c.live.revision = d.records[len(d.records)-1].GetRevision()
		c.live.stamp = d.stamp
		c.stamps.add(d.stamp)
	}
	revision := c.live.revision
	for name, u := range updates {
		u.Revision, u.Stamp, u.Structure = revision, c.stampOf(name, d.stamp), d.structures[name]
	}
	c.mu.Unlock()
	for name, u := range updates {
		if slices.ContainsFunc(d.edits, func(e edit) bool { return decides(e.action) }) {
			u.Release = true
		}
		ch.fleets[name] = c.send(name, *u)
	}
	for _, e := range ch.edits {
		if e.fleet != "" && ch.fleets[e.fleet] == nil {
			f := c.fleets.Fleet(e.fleet)
			ch.fleets[e.fleet] = &following{fleet: f, waiter: f.Follow()}
		}
	}
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

// stampOf is what the proxies of a fleet remember a change by: a rollback on top of it that the store does not know yet, else the change.
// c.mu is held.
func (c *Controller) stampOf(fleet, stamp string) string {
	for _, r := range c.unrecorded {
		if slices.ContainsFunc(r.edits, func(e *applied) bool { return e.fleet == fleet }) {
			stamp = r.stamp
		}
	}
	return stamp
}

// replace makes one edit live and adds it to the updates of its fleets. c.mu is held.
func (c *Controller) replace(d *draft, i int, updates map[string]*xds.Update) *applied {
	e, record := d.edits[i], d.records[i]
	a := &applied{key: e.key, action: e.action, before: c.live.document(e.key), after: e.after, record: record}
	if e.key.Kind == kindFleet {
		a.fleet, a.structural = e.key.Name, true
		updateFor(updates, a.fleet)
		if e.after == nil {
			delete(c.live.fleets, e.key.Name)
		} else {
			c.live.fleets[e.key.Name] = &fleetSettings{doc: e.after.GetFleet(), compiled: d.fleets[i], record: record}
		}
		return a
	}
	old := c.live.services[e.key.Name]
	if old != nil {
		a.fleet = old.compiled.Fleet
	}
	if e.after == nil {
		a.structural = true
		delete(c.live.services, e.key.Name)
		updateFor(updates, a.fleet).Levers[e.key.Name] = nil
		return a
	}
	s := &service{doc: e.after.GetService(), compiled: d.services[i], record: record}
	a.structural = old == nil || !sameStructure(old.doc, s.doc)
	if old != nil {
		s.rollbacks, s.keepPins = old.rollbacks, old.keepPins
		s.rolledBack = old.rolledBack && !decides(e.action)
		if old.rollbacks != d.rollbacks[e.key.Name] {
			s = s.rolled(old.keepPins)
			a.after, a.overtaken = serviceDocument(s.doc), true
		}
		if old.compiled.Fleet != s.compiled.Fleet {
			updateFor(updates, old.compiled.Fleet).Levers[e.key.Name] = nil
		}
	}
	a.fleet = s.compiled.Fleet
	c.live.services[e.key.Name] = s
	u := updateFor(updates, a.fleet)
	u.Levers[e.key.Name] = translate.Levers(s.compiled)
	if a.structural {
		u.Endpoints = append(u.Endpoints, endpointsOf(s.compiled)...)
	}
	return a
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
	return &following{fleet: f, waiter: f.Publish(u)}
}

// publish builds the whole structure of a fleet and sends it: at start, and for settings of the fleet.
func (c *Controller) publish(fleet string, u xds.Update) *xds.Waiter {
	c.order.Lock()
	defer c.order.Unlock()
	c.mu.RLock()
	settings, services := c.live.compiledOf(fleet)
	c.mu.RUnlock()
	u.Structure = translate.Build(settings, services, translate.Options{})
	return c.send(fleet, u).waiter
}

// rolled returns the service with a rollback on top of its document.
func (s *service) rolled(keepPins bool) *service {
	out := *s
	out.doc = policy.RolledBack(s.doc, keepPins)
	compiled, errs := policy.CompileService(out.doc)
	if len(errs) > 0 { // a document that compiles does so rolled back
		panic(errs)
	}
	out.compiled, out.rolledBack, out.keepPins = compiled, true, keepPins
	return &out
}

func (in *intent) fleetOf(key store.ObjectKey) string {
	if s := in.services[key.Name]; s != nil && key.Kind == kindService {
		return s.compiled.Fleet
	}
	return key.Name
}

func (a *applied) service() *crossfadev1.Service { return a.after.GetService() }
