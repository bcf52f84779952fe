package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

// moment is where a rollout is when the control plane is killed.
type moment struct {
	name  string
	is    func(a *app, st *crossfadev1.RolloutStatus) bool
	after func(a *app) // what somebody does once it is back; may be nil
}

func stateAt(state string, step int32) func(*app, *crossfadev1.RolloutStatus) bool {
	return func(_ *app, st *crossfadev1.RolloutStatus) bool {
		return st.GetState() == state && st.GetStep() == step
	}
}

// questionBefore is a question of the webhook that was not answered, before a step.
func questionBefore(step int32) func(*app, *crossfadev1.RolloutStatus) bool {
	return func(a *app, _ *crossfadev1.RolloutStatus) bool {
		return slices.ContainsFunc(a.calls(), func(c call) bool { return c.event == "step.before" && c.rollout.GetStep() == step })
	}
}

// killAt waits for a moment, kills the control plane, starts it again, and says how long it was away.
func (a *app) killAt(m moment) (away time.Duration) {
	a.t.Helper()
	a.until(m.name, func(st *crossfadev1.RolloutStatus) bool { return m.is(a, st) })
	began := time.Now()
	a.KillServer()
	if err := a.RestartServer(a.t.Context()); err != nil {
		a.t.Fatal(err)
	}
	away = time.Since(began)
	st := a.status()
	a.t.Logf("killed %s; away for %v, then %s at step %d, %d basis points", m.name, away.Round(time.Millisecond), st.GetState(), st.GetStep(), st.GetWeight())
	if m.after != nil {
		m.after(a)
	}
	return away
}

// TestKilledOnTheWay kills the control plane wherever a healthy rollout can be: it goes on where it was and no step comes twice, no bake is shorter
// than asked for, eks never has more than the plan says, and no request fails.
func TestKilledOnTheWay(t *testing.T) {
	t.Parallel()
	const bake = 3 * time.Second
	w, hooks := newRolloutWorld(t, "", 2, func(*stack.Config) {})
	a := w.newApp(t, "orders", hooks)
	doc := a.told(a.doc(1000, 3000, 6000))
	doc.Bake = durationpb.New(bake)
	doc.Steps[2].Gate = &crossfadev1.RolloutGate{Approval: &crossfadev1.RolloutApproval{Role: "approver"}}
	q := a.ask(usualRate)
	let := a.hold()
	st := a.start(doc)
	away := map[int32]time.Duration{}
	baked := func(step int32, least time.Duration) func(*app, *crossfadev1.RolloutStatus) bool {
		return func(_ *app, st *crossfadev1.RolloutStatus) bool {
			return st.GetState() == "Baking" && st.GetStep() == step && st.GetSteps()[step-1].GetBaked().AsDuration() >= least
		}
	}
	for _, m := range []moment{
		{"while the hook is asked", questionBefore(1), func(*app) { let() }},
		{"when the step begins", func(_ *app, st *crossfadev1.RolloutStatus) bool {
			return st.GetState() != "Pending" && st.GetWeight() == 1000
		}, nil},
		{"in the first bake", baked(1, time.Second), nil},
		{"late in the first bake", baked(1, 2*time.Second), nil},
		{"when the first bake has ended", func(_ *app, st *crossfadev1.RolloutStatus) bool { return st.GetStep() == 2 }, nil},
		{"when the second weight is set", func(_ *app, st *crossfadev1.RolloutStatus) bool { return st.GetWeight() == 3000 }, nil},
		{"in the second bake", baked(2, bake/2), nil},
		{"at the gate", stateAt("AwaitingGate", 3), func(a *app) { a.acts("bob", "approve") }},
		{"after the approval", func(_ *app, st *crossfadev1.RolloutStatus) bool {
			return st.GetStep() == 3 && st.GetState() != "AwaitingGate"
		}, nil},
		{"in the last bake", baked(3, bake/3), nil},
	} {
		took := a.killAt(m)
		if step := a.status().GetStep(); strings.Contains(m.name, "bake") && !strings.Contains(m.name, "ended") {
			away[step] += took
		}
	}
	a.ended("Completed", 6000)
	a.once(st.GetRun(), "step-1/set 1000", "step-2/set 3000", "step-3/set 6000")
	a.bakedFor(bake, away)
	a.hookWas(st.GetRun(), "step.before", "started", "step.before", "step.after", "step.after", "gate", "approved", "step.before", "step.after", "completed")
	a.neverAbove()
	q.none()
}

// TestKilledOnTheWayBack kills the control plane in the middle of rollbacks: at once, and step by step. They go on by themselves.
func TestKilledOnTheWayBack(t *testing.T) {
	t.Parallel()
	w, hooks := newRolloutWorld(t, "", 2, func(*stack.Config) {})
	t.Run("at once", func(t *testing.T) {
		a := w.newApp(t, "atonce", hooks)
		q := a.ask(usualRate)
		st := a.start(long(a.doc(1000, 10000)))
		a.bakes(1000)
		a.errors(a.eks, 1)
		a.killAt(moment{"when everything is back", func(a *app, _ *crossfadev1.RolloutStatus) bool { return a.share(a.name) == 0 }, nil})
		total := a.eks.Total()
		a.ended("RolledBack", 0)
		a.left(total)
		a.recorded(st.GetRun())
		a.once(st.GetRun(), "step-1/set 1000", "back 0")
		a.neverAbove()
		q.noneAtECS()
	})
	t.Run("step by step", func(t *testing.T) {
		a := w.newApp(t, "gradual", hooks)
		q := a.ask(usualRate)
		doc := a.doc(1000, 3000, 6000)
		doc.OnFailure, doc.BackPause = "gradual", durationpb.New(2*time.Second)
		doc.Steps[2].Bake = durationpb.New(time.Hour)
		st := a.start(doc)
		a.bakes(6000)
		a.errors(a.eks, 1)
		a.killAt(moment{"on the way back", stateAt("RollingBack", 3), nil})
		a.killAt(moment{"at 30 % on the way back", func(_ *app, st *crossfadev1.RolloutStatus) bool {
			return st.GetState() == "RollingBack" && st.GetWeight() == 3000
		}, nil})
		a.killAt(moment{"at 10 % on the way back", func(_ *app, st *crossfadev1.RolloutStatus) bool {
			return st.GetState() == "RollingBack" && st.GetWeight() == 1000
		}, nil})
		a.ended("RolledBack", 0)
		a.once(st.GetRun(), "step-1/set 1000", "step-2/set 3000", "step-3/set 6000", "step-2/back 3000", "step-1/back 1000", "back 0")
		a.left(a.eks.Total())
		a.neverAbove()
		q.noneAtECS()
	})
}
