package control

import (
	"context"
	"fmt"
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

// attachMirrors gives services the mirrors that run on them: at start, when everything is read. One from before a rollback stays halted; rolledBack
// is the revision of a service's last one.
func (in *intent) attachMirrors(rolledBack func(service string) int64) {
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
		if s.rolledBack && m.record.GetRevision() < rolledBack(m.compiled.Service) {
			resolved = resolved.Halted()
		}
		now := *s
		now.compiled = s.compiled.WithMirror(resolved)
		in.services.Set(m.compiled.Service, &now)
	}
}

// rollbackOf returns the revision of a service's last rollback; that of its last change if it cannot be found.
func (c *Controller) rollbackOf(ctx context.Context, service string) int64 {
	key := store.ObjectKey{Kind: kindService, Name: service}
	last := c.live.record(key).GetRevision()
	for r, err := range c.revisions(ctx, key, 100) {
		if err != nil {
			return last
		}
		if r.GetAction() == ActionRollback {
			return r.GetRevision()
		}
	}
	return last
}

// replaceMirror makes one edit of a mirror live. c.mu is held.
func (c *Controller) replaceMirror(d *draft, i int, a *applied) {
	a.structural = true
	if a.after == nil {
		a.fleets = c.live.fleetsOf(kindMirror, a.key.Name)
		delete(c.live.mirrors, a.key.Name)
		return
	}
	c.live.mirrors[a.key.Name] = &mirror{doc: a.after.GetMirror(), compiled: d.mirrors[i], record: a.record}
	a.fleets = c.live.fleetsOf(kindMirror, a.key.Name)
}

// replaceDerived makes a service live on which another mirror runs now, or none. It says whether a rollback came while that was written: then
// the mirror asks nobody. c.mu is held.
func (c *Controller) replaceDerived(d *draft, name string, updates map[string]*xds.Update) (overtaken bool) {
	now := *c.live.services.At(name)
	overtaken = now.rollbacks != d.rollbacks[name]
	if before := now.compiled; overtaken {
		now.compiled = before.WithMirror(d.derived[name].Mirror.Halted())
	} else {
		now.compiled = d.derived[name]
	}
	c.live.services.Set(name, &now)
	for _, fleet := range now.compiled.Fleets {
		u := updateFor(updates, fleet)
		u.Levers[name] = translate.Levers(now.compiled.In(fleet))
		u.Endpoints = append(u.Endpoints, c.endpoints.resources(now.compiled)...)
	}
	return overtaken && now.compiled.Mirror != nil
}

// overtaken notes in a change that starts a mirror that a rollback holds it back.
func (ch *change) overtaken() {
	for _, e := range ch.edits {
		e.overtaken = e.overtaken || e.key.Kind == kindMirror
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
	for name := range c.live.mirrors { // of which there are few; there may be thousands of services
		s := c.live.services.At(c.live.serviceOf(store.ObjectKey{Kind: kindMirror, Name: name}))
		if s != nil && s.compiled.Mirror != nil && slices.Contains(s.compiled.Fleets, fleet) {
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

// ExperimentAddresses are where comparators ask through proxies, by proxy. Of proxies of several fleets with one name nobody knows which made a
// copy: they are left out.
func (c *Controller) ExperimentAddresses() map[string]string {
	out, fleets := map[string]string{}, map[string]string{}
	for _, f := range c.fleets.Fleets() {
		for _, p := range f.Proxies() {
			if !p.Connected || p.Experiment == "" {
				continue
			}
			if fleet, twice := fleets[p.Proxy]; twice && fleet != p.Fleet {
				delete(out, p.Proxy)
				continue
			}
			out[p.Proxy], fleets[p.Proxy] = p.Experiment, p.Fleet
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

// EndMirror ends a run by itself: its time is over, or it met a condition. Another run of the same name goes on.
func (c *Controller) EndMirror(ctx context.Context, name, run, why, detail string) error {
	return c.endMirrors(ctx, detail, func(live *intent) []edit {
		m := live.mirrors[name]
		if m == nil || m.compiled.Run.ID != run || !m.compiled.Running() {
			return nil
		}
		return []edit{endOf(m, c.now(), why, detail)}
	})
}

// endMirrors ends mirrors that nobody asked to be ended.
func (c *Controller) endMirrors(ctx context.Context, reason string, which func(*intent) []edit) error {
	o := Options{Who: "crossfade", Verified: true, Reason: reason, Wait: crossfadev1.Wait_WAIT_NONE}
	_, err := c.change(ctx, o, func(live *intent) ([]edit, error) { return which(live), nil })
	return err
}

// endHaltedSoon ends what a rollback has halted, without keeping anybody waiting.
func (c *Controller) endHaltedSoon() { c.recording.Go(c.endHalted) }

// endHalted ends the mirrors that rollbacks have halted, all by one change, for as long as it takes.
func (c *Controller) endHalted() {
	const detail = "the service was rolled back"
	for wait := 50 * time.Millisecond; len(c.snapshot().halted()) > 0; wait = min(2*wait, 5*time.Second) {
		err := c.endMirrors(c.ctx, detail, func(live *intent) (edits []edit) {
			for _, m := range live.halted() {
				edits = append(edits, endOf(m, c.now(), "rolled_back", detail))
			}
			return edits
		})
		if err == nil {
			return
		}
		c.log.Warn("mirrors that ask nobody since a rollback are not recorded as ended yet", "error", err)
		select {
		case <-c.ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// halted are the mirrors that run and ask nobody, by name.
func (in *intent) halted() []*mirror {
	var out []*mirror
	for _, name := range slices.Sorted(maps.Keys(in.mirrors)) {
		m := in.mirrors[name]
		if s := in.services.At(m.compiled.Service); m.compiled.Running() && s != nil && s.compiled.Mirror != nil && s.compiled.Mirror.Name == name && silenced(s.compiled) {
			out = append(out, m)
		}
	}
	return out
}

// mirrorWarnings says of a mirror that was started where copies will come to nothing.
func (c *Controller) mirrorWarnings(e *applied) []string {
	m := e.after.GetMirror()
	if m == nil || m.GetRun() == nil || m.GetRun().GetEnded() != nil || e.action == "none" {
		return nil
	}
	var deaf []string
	connected := 0
	for _, name := range e.fleets {
		for _, p := range c.fleets.Fleet(name).Proxies() {
			if p.Connected {
				connected++
				if p.Experiment == "" {
					deaf = append(deaf, p.Proxy)
				}
			}
		}
	}
	if len(deaf) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("nobody can be asked through %d of %d proxies, whose copies are dropped: %s. Give each a `shadowctl bootstrap --experiment-address`", len(deaf), connected, brief(deaf))}
}
