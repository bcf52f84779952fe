package control

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/engine"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
	"github.com/crossfade-proxy/crossfade/pkg/store"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// hands are what the engine sees and does with: its port to the controller.
type hands struct {
	c *Controller

	mu     sync.Mutex
	proofs map[string]*standing // by the ID of the plan
}

// standing is a proof that is followed for as long as a rollout waits for it.
type standing struct {
	cause   string
	applied time.Time // when every proxy was first seen to have it
	alone   time.Time // since when no proxy is connected; zero: some are
	ch      *change
	proofs  *proofs
}

func (s *standing) close() {
	if s != nil {
		s.proofs.close()
		s.ch.close()
	}
}

// sent remembers by which publication each fleet got the levers of a service last.
type sent struct {
	mu sync.Mutex
	at map[place]int64
}

func (s *sent) note(fleet string, levers map[string][]translate.Lever, seq int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == nil {
		s.at = map[place]int64{}
	}
	for service, l := range levers {
		if l == nil {
			delete(s.at, place{service, fleet})
		} else {
			s.at[place{service, fleet}] = seq
		}
	}
}

func (s *sent) of(service, fleet string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at[place{service, fleet}]
}

// See implements [engine.Control].
func (h *hands) See(p *rollout.Plan, prove bool) engine.Sight {
	c := h.c
	c.order.Lock() // what is live was sent
	c.mu.RLock()
	s := c.live.services.At(p.Service)
	seen := maps.Clone(c.made[p.ID])
	c.mu.RUnlock()
	seq := map[string]int64{}
	if s != nil {
		for _, fleet := range s.compiled.Fleets {
			seq[fleet] = c.sent.of(p.Service, fleet)
		}
	}
	c.order.Unlock()
	if s == nil || !has(s.compiled, p.To) || !has(s.compiled, p.From) {
		h.Done(p.ID)
		return engine.Sight{Gone: true}
	}
	weights := policy.Weights(s.doc)
	out := engine.Sight{
		Split: rollout.Split{
			Weight: policy.BasisPoints(weights[p.To]), Cause: s.cause, Revision: s.record.GetRevision(), Rollback: s.rolledBack, By: s.by,
		},
		Made: seen, Fleets: s.compiled.Fleets, Ready: c.ready(s.compiled, p.To), Primary: c.primaryHealth(s.compiled, p.Primary), Drift: c.drift(s.compiled),
	}
	var connected int
	out.Fleet, connected = c.levered(s, seq)
	if prove {
		out.Fleet = h.prove(p, s, out.Fleet, connected)
	} else {
		h.Done(p.ID)
	}
	return out
}

func has(s *policy.Service, origin string) bool {
	return slices.ContainsFunc(s.Origins, func(o policy.Origin) bool { return o.Name == origin })
}

// levered says how far the live split of a service has come, and at how many proxies.
func (c *Controller) levered(s *service, seq map[string]int64) (out rollout.Fleet, connected int) {
	out = rollout.Fleet{Cause: s.cause, Applied: true}
	var behind []string
	for _, fleet := range s.compiled.Fleets {
		n, late := c.fleets.Fleet(fleet).Levered(seq[fleet])
		connected += n
		behind = append(behind, late...)
		for _, proxy := range late {
			if p, ok := c.fleets.Fleet(fleet).Proxy(proxy); ok && p.LastNack != nil && p.LastNack.Type == "Runtime" {
				out.Refused = proxy + ": " + p.LastNack.Message
			}
		}
		for _, proxy := range c.overriddenIn(fleet) {
			behind = append(behind, proxy+" (an override at its admin interface)")
		}
	}
	switch {
	case connected == 0:
		out.Applied, out.Why = false, "no proxy is connected"
	case len(behind) > 0:
		out.Applied, out.Why = false, fmt.Sprintf("%d of %d proxies do not have it: %s", len(behind), connected, brief(behind))
	}
	return out, connected
}

// proofPatience is how long a rollback that every proxy acknowledged waits for the data plane. A proxy that reports nothing cannot show anything; but
// one whose report is late, for its stream has just begun anew, is not told from it sooner.
const proofPatience = 15 * time.Second

// prove follows what the data plane shows of the live split. What has to be shown is that origins without weight get nothing. Where no proxy is connected nobody
// can show anything, and whoever comes gets what is live: that ends without a proof too.
func (h *hands) prove(p *rollout.Plan, s *service, f rollout.Fleet, connected int) rollout.Fleet {
	h.mu.Lock()
	defer h.mu.Unlock()
	st := h.proofs[p.ID]
	if st == nil || st.cause != s.cause {
		st.close()
		e := &applied{key: store.ObjectKey{Kind: kindService, Name: s.compiled.Name}, action: ActionRollback, before: serviceDocument(s.doc), after: serviceDocument(s.doc), fleets: s.compiled.Fleets}
		ch := &change{edits: []*applied{e}, called: h.c.now(), o: Options{Wait: crossfadev1.Wait_WAIT_PROVEN}, fleets: map[string]*following{}}
		h.c.followRest(ch)
		st = &standing{cause: s.cause, ch: ch, proofs: h.c.startProofs(ch)}
		h.proofs[p.ID] = st
	}
	now := h.c.now()
	if connected == 0 {
		if st.alone.IsZero() {
			st.alone = now
		}
		if f.Proven = now.Sub(st.alone) > proofPatience; !f.Proven {
			f.Why += fmt.Sprintf(" (it is over all the same after %s)", proofPatience)
		}
		return f
	}
	st.alone = time.Time{}
	if f.Proven = f.Applied; !f.Applied {
		return f
	}
	if st.applied.IsZero() {
		st.applied = now
	}
	patient := now.Sub(st.applied) <= proofPatience
	for _, at := range slices.SortedFunc(maps.Keys(st.proofs.followed), place.compare) {
		if why := st.lacks(at, now); why != "" {
			f.Proven = !patient
			f.Why = unproven(patient, at.fleet, why)
			break
		}
	}
	if f.Why == "" && !p.Reverse() && slices.ContainsFunc(s.compiled.Fleets, func(fleet string) bool { return pinned(policy.InFleet(s.doc, fleet))[p.To] }) {
		f.Why = "pins to " + p.To + " are on: requests that match go there"
	}
	return f
}

// lacks says why something is not proven; empty if it is. Who has not acknowledged what was published before is not taken for proven either.
func (s *standing) lacks(at place, now time.Time) string {
	if late := s.ch.fleets[at.fleet].waiter.Pending(); len(late) > 0 {
		return "not acknowledged by " + brief(late)
	}
	s.proofs.acked(s.ch)
	if proof := s.proofs.followed[at]; !proof.settled(now) {
		return proof.proof.State(now).Reason
	}
	return ""
}

// unproven says what a proof lacks, and for how long that matters.
func unproven(patient bool, fleet, why string) string {
	if patient {
		return fmt.Sprintf("fleet %s: %s (it is over without the proof %s after all proxies acknowledged it)", fleet, why, proofPatience)
	}
	return fmt.Sprintf("without the proof of fleet %s for %s: %s", fleet, proofPatience, why)
}

// Done implements [engine.Control].
func (h *hands) Done(planID string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.proofs[planID].close()
	delete(h.proofs, planID)
}

// SetSplit implements [engine.Control].
func (h *hands) SetSplit(ctx context.Context, ch engine.Change) error {
	p, o := ch.Plan, h.options(ch)
	o.Key, o.Digest = "", nil
	o.Force = ch.Back                    // what fails gets less, also if the primary was scaled down
	o.Wait = crossfadev1.Wait_WAIT_ACKED // for the history; whoever asked sees by looking how far it is
	_, err := h.c.SetSplit(ctx, p.Service, map[string]int32{p.To: ch.Weight, p.From: int32(policy.Whole) - ch.Weight}, o)
	if e := (*policy.Error)(nil); errors.As(err, &e) && e.Kind == policy.TimedOut {
		return nil // it stands
	}
	return err
}

// RollBack implements [engine.Control]. What the fleets make of it is added to the history beside it.
func (h *hands) RollBack(ch engine.Change) error {
	if h.made(ch) {
		return nil
	}
	o := h.options(ch)
	o.Expect, o.Wait = 0, crossfadev1.Wait_WAIT_PROVEN
	return h.c.rollBackBeside(RollbackTarget{Service: ch.Plan.Service}, o)
}

func (h *hands) made(ch engine.Change) bool {
	h.c.mu.RLock()
	defer h.c.mu.RUnlock()
	_, ok := h.c.made[ch.Plan.ID][ch.ID]
	return ok
}

func (h *hands) options(ch engine.Change) Options {
	digest := sha256.Sum256([]byte(ch.ID))
	return Options{
		Who: ch.Who, Verified: true, Reason: ch.Reason, Expect: ch.Expect, Key: ch.ID, Digest: digest[:], Cause: ch.ID, Wait: crossfadev1.Wait_WAIT_NONE,
	}
}

// Save implements [engine.Control]. Nobody else writes a rollout that is on its way, so that another revision than the expected one is our own: of a write
// that was refused, in doubt, and taken back. Another run is somebody else's.
func (h *hands) Save(ctx context.Context, doc *crossfadev1.Rollout, expect int64, s engine.Saving) (int64, error) {
	o := Options{Who: s.Who, Verified: s.Verified, Reason: s.Reason, Wait: crossfadev1.Wait_WAIT_NONE}
	change, err := one(h.c.change(ctx, o, func(live *intent) ([]edit, error) {
		p := live.rollouts[doc.GetName()]
		switch {
		case p == nil:
			return nil, notFound("rollout", doc.GetName())
		case p.doc.GetRun().GetId() != doc.GetRun().GetId():
			return nil, conflict(rolloutKey(doc.GetName()), expect, p.record.GetRevision())
		}
		return []edit{{key: rolloutKey(doc.GetName()), after: rolloutDocument(doc), action: s.Action}}, nil
	}))
	return change.GetRevision(), err
}

// Mirror implements [engine.Control].
func (h *hands) Mirror(name string) (rollout.Verdict, string) {
	r, err := h.c.MirrorReport(name)
	if err != nil {
		return rollout.Error, "there is no mirror " + name
	}
	why := fmt.Sprintf("mirror %s (%s) compared %d pairs", name, r.GetState(), r.GetCompared())
	for _, w := range r.GetWhy() {
		why += "; " + w.GetMessage()
	}
	return rollout.Verdict(r.GetVerdict()), why
}

func rolloutKey(name string) store.ObjectKey { return store.ObjectKey{Kind: kindRollout, Name: name} }
