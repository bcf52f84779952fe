package control

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
	"github.com/crossfade-proxy/crossfade/pkg/store"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
)

// Get returns a live object, and of a service its status.
func (c *Controller) Get(kind, name string) (*crossfadev1.Document, *crossfadev1.ServiceStatus, error) {
	key, err := keyOf(kind, name)
	if err != nil {
		return nil, nil, err
	}
	live := c.snapshot()
	doc := live.document(key)
	if doc == nil {
		return nil, nil, notFound(kind, name)
	}
	if key.Kind == kindRollout {
		return rolloutDocument(rollout.Public(doc.GetRollout())), nil, nil
	}
	if s := live.services.At(name); key.Kind == kindService {
		return doc, c.status(s, ""), nil
	}
	return doc, nil, nil
}

// List returns the status of every service of a fleet, as it is there, or of all fleets if it is empty, by name.
func (c *Controller) List(fleet string) []*crossfadev1.ServiceStatus {
	services := c.snapshot().of(fleet) // a rollback does not wait for the figures
	out := make([]*crossfadev1.ServiceStatus, 0, len(services))
	for _, s := range services {
		out = append(out, c.status(s, fleet))
	}
	return out
}

// Revision is the last one.
func (c *Controller) Revision() int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.live.revision
}

// trafficWindow is over how long live figures are taken.
const trafficWindow = 10 * time.Second

// status describes a service, in one of its fleets or, if none is named, in all.
func (c *Controller) status(s *service, fleet string) *crossfadev1.ServiceStatus {
	compiled, fleets := s.compiled, s.compiled.Fleets
	if fleet != "" {
		compiled, fleets = s.compiled.In(fleet), []string{fleet}
	}
	st := &crossfadev1.ServiceStatus{
		Name: compiled.Name, Hosts: compiled.Hosts, Primary: compiled.Primary, Split: policy.Weights(policy.InFleet(s.doc, fleet)),
		Revision: s.record.GetRevision(), Changed: s.record.GetTime(), ChangedBy: s.record.GetWho(), Action: s.record.GetAction(),
		Reason: s.record.GetReason(), RolledBack: s.rolledBack, Traffic: map[string]*crossfadev1.OriginTraffic{},
	}
	if st.Fleets = s.compiled.Fleets; len(st.Fleets) == 1 {
		st.Fleet, st.Fleets = st.Fleets[0], nil
	}
	for _, r := range s.compiled.RolledBackIn {
		st.RolledBackIn = append(st.RolledBackIn, r.Fleet)
	}
	for _, p := range compiled.Pins {
		if p.Enabled {
			st.Pins = append(st.Pins, p.Name)
		}
	}
	st.Origins = c.endpoints.origins(compiled, c.now())
	for _, o := range compiled.Origins {
		if t := c.traffic(fleets, compiled.Name, o.Name); t != nil {
			st.Traffic[o.Name] = t
		}
	}
	return st
}

// Proxies describes the proxies of a fleet, of all fleets if it is empty.
func (c *Controller) Proxies(fleet string) []*crossfadev1.Proxy {
	var out []*crossfadev1.Proxy
	for _, f := range c.fleets.Fleets() {
		if fleet == "" || f.Name() == fleet {
			for _, p := range f.Proxies() {
				out = append(out, c.proxy(p))
			}
		}
	}
	return out
}

func (c *Controller) proxy(p xds.ProxyStatus) *crossfadev1.Proxy {
	out := &crossfadev1.Proxy{
		Proxy: p.Proxy, Fleet: p.Fleet, Connected: p.Connected, Version: p.Version, AckedRevision: p.AckedRevision, WantedRevision: p.WantedRevision,
		LagMs: milliseconds(p.Lag), State: string(p.State), Detail: p.Detail, ConnectedSince: stamp(p.ConnectedSince), LastSeen: stamp(p.LastSeen),
	}
	if n := p.LastNack; n != nil {
		out.LastNack = &crossfadev1.Nack{Type: n.Type, Resource: n.Resource, Message: n.Message, Time: stamp(n.Time)}
	}
	if p.Connected && p.State == xds.StateOK && c.overridden(p.Fleet, p.Proxy) {
		out.State, out.Detail = "override", "its admin interface overrides levers: `shadowctl break-glass SERVICE` shows how to clear it"
	}
	c.certificates(out)
	return out
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// History returns revisions below before, newest first; of all services if none is named, from the newest if before is 0.
func (c *Controller) History(ctx context.Context, service string, before int64, limit int) ([]*crossfadev1.Revision, error) {
	q := store.HistoryQuery{Before: before, Limit: limit}
	if service != "" {
		q.Key = store.ObjectKey{Kind: kindService, Name: service}
	}
	records, err := c.store.History(ctx, q)
	if err != nil {
		return nil, storeError(err)
	}
	for i, r := range records {
		records[i] = public(r)
	}
	return records, nil
}
