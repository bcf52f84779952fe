package rollout

import (
	"testing"
	"time"
)

// BenchmarkStep is a look at a step that bakes: what 200 rollouts cost each second is 200 of it.
func BenchmarkStep(b *testing.B) {
	p := plan(func(p *Plan) { p.Steps[0].Bake = MaxBake })
	in := Inputs{
		Tick: Tick{Clock: "a"}, Split: Split{Weight: 1000, Cause: "r1@7/step-1/set", Revision: 8}, Fleet: Fleet{Cause: "r1@7/step-1/set", Applied: true},
		Guards: []GuardVerdict{{"err", Pass, "0.1 % of 400, at most 0.5 %"}, {"rel", Pass, "1.02, at most 1.2"}}, Ready: Ready{OK: true},
	}
	s := Start(p, in.Split, began)
	s.Phase, s.Begun, s.Moved = Baking, true, true
	b.ReportAllocs()
	for b.Loop() {
		in.Tick.At += time.Second
		after, _, err := Step(p, s, in, began)
		if err != nil || after.Phase != Baking || MustSave(s, after) {
			b.Fatal(err, after.Phase)
		}
		s = after
	}
}
