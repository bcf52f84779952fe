package control

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/experiment"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/store"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// Experiments is who works on mirrors: an [experiment.Desk].
type Experiments interface {
	Set([]experiment.Mirror)
	Report(name string) (*crossfadev1.MirrorReport, bool)
	Statuses(service string) []*crossfadev1.MirrorStatus
	Changed() <-chan struct{}
	Estimate(*policy.Mirror) *crossfadev1.MirrorEstimate
}

// attachMirrors gives services the mirrors that run on them: at start, when everything is read. One from before a rollback stays halted.
func (in *intent) attachMirrors() {
	for _, name := range slices.Sorted(maps.Keys(in.mirrors)) {
		m := in.mirrors[name]
		s := in.services.At(m.compiled.Service)
		if !m.compiled.Running() || s == nil {
			continue
		}
		resolved, errs := m.compiled.For(s.compiled)
		if len(errs) > 0 {
			continue // it asks nobody; the desk ends it in its time
		}
		if s.rolledBack && m.record.GetRevision() < s.record.GetRevision() {
			resolved = resolved.Halted()
		}
		now := *s
		now.compiled = s.compiled.WithMirror(resolved)
		in.services.Set(m.compiled.Service, &now)
	}
}

// replaceMirror makes one edit of a mirror live. c.mu is held.
func (c *Controller) replaceMirror(d *draft, i int, a *applied) {
	if m := c.live.mirrors[a.key.Name]; m != nil {
		a.fleets = c.live.fleetsOf(kindMirror, a.key.Name)
	}
	a.structural = true
	if a.after == nil {
		delete(c.live.mirrors, a.key.Name)
		return
	}
	c.live.mirrors[a.key.Name] = &mirror{doc: a.after.GetMirror(), compiled: d.mirrors[i], record: a.record}
	a.fleets = c.live.fleetsOf(kindMirror, a.key.Name)
}

// replaceDerived makes a service live on which another mirror runs now, or none. c.mu is held.
func (c *Controller) replaceDerived(d *draft, name string, updates map[string]*xds.Update) {
	now := *c.live.services.At(name)
	if before := now.compiled; now.rollbacks == d.rollbacks[name] {
		now.compiled = d.derived[name]
	} else { // it was rolled back while the mirror was written
		now.compiled = before.WithMirror(d.derived[name].Mirror.Halted())
	}
	c.live.services.Set(name, &now)
	for _, fleet := range now.compiled.Fleets {
		u := updateFor(updates, fleet)
		u.Levers[name] = translate.Levers(now.compiled.In(fleet))
		u.Endpoints = append(u.Endpoints, c.endpoints.resources(now.compiled)...)
	}
}

// mirrorOf is the mirror that runs on a service, nil if none does.
func (in *intent) mirrorOf(key store.ObjectKey) *policy.Mirror {
	if s := in.services.At(key.Name); s != nil && key.Kind == kindService {
		return s.compiled.Mirror
	}
	return nil
}

// comparatorsOf is where the proxies of a fleet send copies to; nothing if none are made. c.mu is held.
func (c *Controller) comparatorsOf(fleet string) []translate.Resource {
	for _, s := range c.live.of(fleet) {
		if s.compiled.Mirror != nil {
			return []translate.Resource{translate.Comparators(c.addresses())}
		}
	}
	return nil
}

func (c *Controller) addresses() []netip.AddrPort {
	if all := c.comparators.Load(); all != nil {
		return *all
	}
	return nil
}

// SetComparators tells all proxies where to send copies to.
func (c *Controller) SetComparators(addresses []netip.AddrPort) {
	c.order.Lock()
	defer c.order.Unlock()
	c.comparators.Store(&addresses)
	updates := map[string][]translate.Resource{}
	c.mu.RLock()
	for fleet := range c.live.fleetNames() {
		updates[fleet] = c.comparatorsOf(fleet)
	}
	revision := c.live.revision
	c.mu.RUnlock()
	for _, fleet := range slices.Sorted(maps.Keys(updates)) {
		if len(updates[fleet]) > 0 {
			c.send(fleet, xds.Update{Revision: revision, Endpoints: updates[fleet]}).waiter.Close()
		}
	}
}

// ExperimentAddresses are where comparators ask through proxies, by proxy.
func (c *Controller) ExperimentAddresses() map[string]string {
	out := map[string]string{}
	for _, f := range c.fleets.Fleets() {
		for _, p := range f.Proxies() {
			if p.Connected && p.Experiment != "" {
				out[p.Proxy] = p.Experiment
			}
		}
	}
	return out
}

// MirrorTraffic is what a service gets live: copies are not in it.
func (c *Controller) MirrorTraffic(service string) experiment.Traffic {
	out := experiment.Traffic{RPS: map[string]float64{}}
	s := c.snapshot().services.At(service)
	if s == nil || c.telemetry == nil {
		return out
	}
	for _, o := range s.compiled.Origins {
		if t := c.traffic(s.compiled.Fleets, service, o.Name); t != nil {
			out.RPS[o.Name] = t.GetRps()
		}
		for class, n := range c.telemetry.Classes(service, o.Name) {
			out.Classes[class] += n
		}
	}
	return out
}

// halts says whether a rollback left a mirror that asks nobody.
func (c *Controller) halts(r *unrecorded) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.ContainsFunc(r.edits, func(e *applied) bool { return halted(c.live.mirrorOf(e.key)) })
}

// tellExperiments says which mirrors there are now.
func (c *Controller) tellExperiments() {
	if c.experiments == nil {
		return
	}
	c.telling.Lock()
	defer c.telling.Unlock()
	live := c.snapshot()
	var out []experiment.Mirror
	for _, name := range slices.Sorted(maps.Keys(live.mirrors)) {
		m := live.mirrors[name]
		e := experiment.Mirror{Doc: m.doc, Policy: m.compiled, Revision: m.record.GetRevision()}
		if s := live.services.At(m.compiled.Service); s != nil {
			e.Fleets = s.compiled.Fleets
			if r := s.compiled.Mirror; r != nil && r.Name == name {
				e.Policy = r
			} else if r, errs := m.compiled.For(s.compiled); len(errs) == 0 {
				e.Policy = r
			}
		}
		out = append(out, e)
	}
	c.experiments.Set(out)
}

// endOf ends a mirror, if it has not ended.
func endOf(m *mirror, now time.Time, why, detail string) edit {
	e := edit{key: store.ObjectKey{Kind: kindMirror, Name: m.compiled.Name}, after: mirrorDocument(m.doc), action: ActionMirrorEnd}
	if m.compiled.Running() {
		e.after = mirrorDocument(policy.EndMirror(m.doc, now, why, detail))
	}
	return e
}

// EndMirror ends a run by itself: its time is over, it met a condition, or its service was rolled back. Another run of the same name goes on.
func (c *Controller) EndMirror(ctx context.Context, name, run, why, detail string) error {
	o := Options{Who: "crossfade", Verified: true, Reason: detail, Wait: crossfadev1.Wait_WAIT_NONE}
	_, err := c.change(ctx, o, func(live *intent) ([]edit, error) {
		m := live.mirrors[name]
		if m == nil || m.compiled.Run.ID != run || !m.compiled.Running() {
			return nil, nil
		}
		return []edit{endOf(m, c.now(), why, detail)}, nil
	})
	return err
}

// endHalted ends the mirrors that a rollback has halted, for as long as it takes.
func (c *Controller) endHalted() {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		left := false
		live := c.snapshot()
		for service, running := range live.running() {
			s := live.services.At(service)
			if s == nil || !halted(s.compiled.Mirror) {
				continue
			}
			if err := c.EndMirror(c.ctx, running[0].Name, running[0].Run.ID, "rolled_back", "the service was rolled back"); err != nil {
				left = true
				c.log.Warn("a mirror that asks nobody since a rollback is not recorded as ended yet", "mirror", running[0].Name, "error", err)
			}
		}
		if !left {
			return
		}
		select {
		case <-c.ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}
