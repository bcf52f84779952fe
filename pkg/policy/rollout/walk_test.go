package rollout

import (
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// check is what has to be true of every call.
func (w *world) check(before, after State, in Inputs, effects []Effect, err error) {
	if a := in.Action; a != nil {
		w.say("%s by %s: %v", a.Kind, a.Who, err)
	}
	if after.Phase != before.Phase || after.Step != before.Step || after.Reason != before.Reason {
		w.say("%s step %d at %d: %s", after.Phase, after.Step, after.Weight, after.Reason)
	}
	w.reasons[string(before.Phase)+">"+after.Reason] = true
	w.reasons[after.Reason] = true
	for _, n := range after.Outbox {
		w.reasons[n.Text] = true
	}
	if !after.Phase.Known() || Explain(w.p, after) == "" {
		w.failf("phase %q: %q", after.Phase, Explain(w.p, after))
	}
	if before.Phase.Over() && !after.Phase.Over() && after.Phase != RollingBack {
		w.failf("went from %s to %s", before.Phase, after.Phase)
	}
	if before.Phase == Baking {
		w.bakes(before, after, in)
	}
	if in.Action == nil {
		again, effects2, _ := Step(w.p, after, in, w.now())
		again.FailTold = after.FailTold // a relative guard counts less at 100 %, and the look may be what brought that
		if MustSave(after, again) || len(effects) != len(effects2) {
			w.failf("the same look again went on: %s step %d: %s\n%+v\n%+v", again.Phase, again.Step, again.Reason, effects, effects2)
		}
		if again.Bake != after.Bake || again.Requests != after.Requests {
			w.failf("the same look was counted again: %s, then %s", after.Bake, again.Bake)
		}
	}
	for _, e := range effects {
		if e.ID == "" || !strings.HasPrefix(e.ID, w.p.ID+"/") && e.Kind != AwaitApplied && e.Kind != AwaitProven {
			w.failf("an effect without an ID of the plan: %+v", e)
		}
	}
}

// bakes adds what there was to bake in one look, and holds what was counted against the sum.
func (w *world) bakes(before, after State, in Inputs) {
	pass := len(in.Guards) > 0 && !slices.ContainsFunc(in.Guards, func(v GuardVerdict) bool {
		return v.Verdict != Pass && (v.Name == "err" || before.Weight != policy.Whole)
	})
	if pass && in.Fleet.Applied && in.Tick.Clock == before.Mark.Clock {
		w.baked[before.Step] += min(MaxTick, in.Tick.At-before.Mark.At)
	}
	if before.Step == after.Step && after.Bake > w.baked[before.Step] {
		w.failf("step %d counts %s of %s", after.Step, after.Bake, w.baked[after.Step])
	}
}

// walked is how a walk ended.
type walked struct {
	State
	reasons map[string]bool
}

// walk lets a plan walk through chaos and then through calm weather, to its end.
func walk(t *testing.T, seed uint64, now func() time.Time) walked {
	rng := rand.New(rand.NewPCG(seed, 6))
	p := randomPlan(rng)
	w := newWorld(t, rng, p, now)
	w.say("seed %d, plan %+v", seed, *p)
	for range 20 + rng.IntN(400) {
		w.turn()
	}
	wasBack := w.stored.Phase == RollingBack && (w.stored.Back == nil || !w.stored.Back.Gradual)
	w.calm, w.primary = true, false
	for _, i := range []int{0, 1} {
		w.verdicts[i].Verdict = Pass
	}
	if rng.IntN(3) == 0 {
		w.verdicts[0].Verdict = Fail
	}
	w.mem = reread(t, w.stored)
	for range 400 {
		if w.turn(); w.mem.Phase.Over() && !Retaining(w.mem) && len(w.mem.Outbox) == 0 {
			break
		}
	}
	w.atTheEnd(wasBack)
	return walked{w.mem, w.reasons}
}

// atTheEnd holds the end of a walk against what it says of itself.
func (w *world) atTheEnd(wasBack bool) {
	s := w.mem
	switch {
	case !s.Phase.Over() || Retaining(s) || len(s.Outbox) > 0:
		w.failf("does not end: %s, %d notes: %s", s.Phase, len(s.Outbox), Explain(w.p, s))
	case wasBack && s.Phase == Completed:
		w.failf("was rolling back, and completed")
	case s.Phase == Completed && len(w.sets[len(w.p.Steps)-1]) == 0:
		w.failf("completed without its last step")
	}
	byOthers := w.live.Cause != s.Confirmed
	if s.Phase == RolledBack && !byOthers && w.live.Weight != w.p.home() && strings.HasPrefix(w.live.Cause, w.p.ID) {
		w.failf("rolled back, and %d is live by %s", w.live.Weight, w.live.Cause)
	}
	if s.Phase == Aborted && !w.p.Reverse() && w.live.Weight != 0 && strings.HasPrefix(w.live.Cause, w.p.ID) {
		w.failf("aborted, and %d is live by %s", w.live.Weight, w.live.Cause)
	}
}

func randomPlan(rng *rand.Rand) *Plan {
	p := plan(onFailure([]OnFailure{BackAtOnce, BackInStep, BackInStep, Freeze}[rng.IntN(4)]))
	if rng.IntN(4) == 0 {
		reversed(p)
	}
	if rng.IntN(2) == 0 {
		withHook(p)
	}
	p.BackPause, p.Retention = time.Duration(1+rng.IntN(20))*time.Second, time.Duration(1+rng.IntN(60))*time.Second
	p.Steps = nil
	for weight := policy.BasisPoints(1 + rng.IntN(2000)); weight < policy.Whole && len(p.Steps) < 6; weight += policy.BasisPoints(1 + rng.IntN(4000)) {
		p.Steps = append(p.Steps, randomStep(rng, weight))
	}
	if rng.IntN(4) > 0 {
		p.Steps = append(p.Steps, randomStep(rng, policy.Whole))
	}
	return p
}

func randomStep(rng *rand.Rand, weight policy.BasisPoints) PlanStep {
	s := PlanStep{Weight: weight, Bake: time.Duration(1+rng.IntN(6)) * time.Second, MinRequests: int64(rng.IntN(60))}
	if rng.IntN(3) == 0 {
		s.Gate = &Gate{Role: "approver", NotStarter: rng.IntN(2) == 0}
	}
	return s
}

// still and jumping are two clocks of the wall.
func still() time.Time { return began }

func jumping(seed uint64) func() time.Time {
	rng := rand.New(rand.NewPCG(seed, 1))
	return func() time.Time { return began.Add(time.Duration(rng.IntN(7200)-3600) * time.Second) }
}

// TestRandomWalks: no gate skipped, no plan exceeded, no step twice, every walk ends, whatever happens on the way, and whatever the clock says.
// CROSSFADE_FULL=1 walks fifty times as often.
func TestRandomWalks(t *testing.T) {
	walks := uint64(800)
	if os.Getenv("CROSSFADE_FULL") == "1" {
		walks *= 50
	}
	ends, reasons := map[Phase]int{}, map[string]bool{}
	for seed := range walks {
		a := walk(t, seed, still)
		ends[a.Phase]++
		for r := range a.reasons {
			reasons[r] = true
		}
		if seed%20 != 0 {
			continue
		}
		if b := walk(t, seed, jumping(seed)); b.Phase != a.Phase || b.Step != a.Step || b.Reason != a.Reason || b.Notes != a.Notes {
			t.Fatalf("seed %d: with another clock it ends %s at step %d (%s), not %s at step %d (%s)", seed, b.Phase, b.Step, b.Reason, a.Phase, a.Step, a.Reason)
		}
	}
	t.Logf("%d walks ended: %v", walks, ends)
	for _, end := range []Phase{RolledBack, Completed, Aborted} {
		if ends[end] < int(walks)/50 {
			t.Errorf("of %d walks %d ended %s: the walks are not what they should be", walks, ends[end], end)
		}
	}
	if !reasons["own change not stored"] {
		t.Error("no walk went on from a state that had not seen its own change")
	}
	for _, row := range table {
		if !slices.ContainsFunc(keys(reasons), func(r string) bool {
			return strings.HasPrefix(strings.TrimPrefix(r, string(row.From[0])+">"), row.Reason)
		}) {
			t.Errorf("no walk took: %v on %q (%s) to %s", row.From, row.On, row.When, row.To)
		}
	}
}

func keys(m map[string]bool) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	return out
}
