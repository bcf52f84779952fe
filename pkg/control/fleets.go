package control

import (
	"maps"
	"slices"
	"strings"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/store"
	"github.com/crossfade-proxy/crossfade/pkg/telemetry"
)

// A service may be served by several fleets. It is one document and one revision; each fleet gets a publication of its own, has its own
// levers where it alone is rolled back, and is answered for by itself.

// rolls are the numbers of the last rollback, and of the last one that switched pins off, among those of this process.
type rolls struct{ last, off int }

// rolled returns the service with a rollback on top of its document: in one of its fleets, or in all if none is named. A fleet that does
// not serve it any more has nothing to be rolled back. home was the primary when somebody asked for it; if another origin is now, all fleets
// go there, as a single one can only be sent to the primary.
func (s *service) rolled(fleet, home string, keepPins bool) *service {
	out := *s
	if !has(s.compiled, home) {
		home = s.compiled.Primary
	}
	switch served := policy.Fleets(s.doc); {
	case fleet != "" && !slices.Contains(served, fleet):
		return s
	case fleet == "" || len(served) == 1 || home != s.compiled.Primary:
		out.doc, out.rolledBack = policy.RolledBackTo(s.doc, home, keepPins), true
	default:
		out.doc = policy.RolledBackIn(s.doc, fleet, keepPins)
	}
	compiled, errs := policy.CompileService(out.doc)
	if len(errs) > 0 { // a document that compiles does so rolled back
		panic(errs)
	}
	out.compiled = compiled.WithMirror(s.compiled.Mirror)
	if out.rolledBack {
		out.compiled = compiled.WithMirror(s.compiled.Mirror.Halted())
	}
	return &out
}

// rolledSince returns the service with the rollbacks on top that came after the one of a number. They went to home.
func (s *service) rolledSince(number int, home string) *service {
	out := s
	for _, fleet := range slices.Sorted(maps.Keys(s.rolls)) {
		if r := s.rolls[fleet]; r.last > number {
			out = out.rolled(fleet, home, r.off <= number)
		}
	}
	return out
}

// roll notes the number of a rollback.
func (s *service) roll(fleet string, number int, keepPins bool) {
	s.rollbacks = number
	next := maps.Clone(s.rolls)
	if next == nil {
		next = map[string]rolls{}
	}
	r := next[fleet]
	r.last = number
	if !keepPins {
		r.off = number
	}
	next[fleet], s.rolls = r, next
}

// fleetsOf names the fleets that a live object concerns.
func (in *intent) fleetsOf(kind, name string) []string {
	if kind == kindFleet {
		return []string{name}
	}
	if s := in.services.At(in.serviceOf(store.ObjectKey{Kind: kind, Name: name})); s != nil {
		return s.compiled.Fleets
	}
	return nil
}

// serviceOf names the service that a live object is or concerns, empty if it is none.
func (in *intent) serviceOf(key store.ObjectKey) string {
	m, p := in.mirrors[key.Name], in.rollouts[key.Name]
	switch {
	case key.Kind == kindService:
		return key.Name
	case key.Kind == kindMirror && m != nil:
		return m.compiled.Service
	case key.Kind == kindRollout && p != nil:
		return p.doc.GetService()
	}
	return ""
}

// describeFleets says what became of an edit in each of its fleets, and in all of them.
func (c *Controller) describeFleets(ch *change, e *applied, p *proofs, a *crossfadev1.Change) {
	var each []*crossfadev1.FleetChange
	for _, name := range e.fleets {
		f := ch.fleets[name]
		if f == nil {
			continue
		}
		one := &crossfadev1.FleetChange{Name: name, Fleet: fleetState(name, f, ch.called), Proof: p.of(e.key.Name, name)}
		if s := e.service(); s != nil && slices.Contains(policy.Fleets(s), name) {
			one.Split = policy.Weights(policy.InFleet(s, name))
		}
		each = append(each, one)
		a.Warnings = append(a.Warnings, warnings(e, one.GetFleet())...)
		a.Warnings = append(a.Warnings, c.overrideWarnings(e, name, f)...)
	}
	switch len(each) {
	case 0:
	case 1:
		a.Fleet, a.Proof = each[0].GetFleet(), each[0].GetProof()
	default:
		a.Fleets, a.Fleet, a.Proof = each, allFleets(each), worstProof(each)
	}
}

// allFleets sums up the states of several fleets.
func allFleets(each []*crossfadev1.FleetChange) *crossfadev1.FleetState {
	sum := &crossfadev1.FleetState{}
	var names []string
	for _, one := range each {
		f := one.GetFleet()
		names = append(names, one.GetName())
		sum.Connected += f.GetConnected()
		sum.Acked += f.GetAcked()
		sum.Pending = append(sum.Pending, f.GetPending()...)
		sum.Lost = append(sum.Lost, f.GetLost()...)
		sum.LostMore += f.GetLostMore()
		sum.Refused = append(sum.Refused, f.GetRefused()...)
		sum.AckMs = max(sum.AckMs, f.GetAckMs())
	}
	sum.Name = strings.Join(names, ",")
	return sum
}

// worstProof is the proof of several fleets: nil if none has one. Figures are those of the slowest, streams of all together.
func worstProof(each []*crossfadev1.FleetChange) *crossfadev1.Proof {
	var out *crossfadev1.Proof
	for _, one := range each {
		p := one.GetProof()
		if p == nil {
			continue
		}
		if out == nil {
			out = &crossfadev1.Proof{State: p.GetState(), Reason: reasonIn(one), OpenStreams: map[string]int64{}}
		}
		if telemetry.State(p.GetState()).Worse(telemetry.State(out.GetState())) {
			out.State, out.Reason = p.GetState(), reasonIn(one)
		}
		out.SinceMs, out.ResolutionMs = max(out.GetSinceMs(), p.GetSinceMs()), max(out.GetResolutionMs(), p.GetResolutionMs())
		for origin, n := range p.GetOpenStreams() {
			out.OpenStreams[origin] += n
		}
		out.PerProxy = append(out.PerProxy, p.GetPerProxy()...)
	}
	return out
}

func reasonIn(one *crossfadev1.FleetChange) string {
	if one.GetProof().GetReason() == "" {
		return ""
	}
	return "fleet " + one.GetName() + ": " + one.GetProof().GetReason()
}

// stillBack warns of fleets in which a change does not show, because they are rolled back.
func stillBack(e *applied) []string {
	in := e.service().GetRolledBackIn()
	if len(in) == 0 || e.action == ActionRollback {
		return nil
	}
	names := make([]string, len(in))
	for i, r := range in {
		names[i] = r.GetFleet()
	}
	return []string{"rolled back in " + brief(names) + ": whatever the split, the primary has everything there until `shadowctl split set` or `undo`"}
}
