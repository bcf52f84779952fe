package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/origin"
)

// revisions are those of a name and a kind, oldest first.
func (w *world) revisions(kind, name string) []*crossfadev1.Revision {
	w.t.Helper()
	all := w.history()
	out := slices.DeleteFunc(slices.Collect(maps.Values(all)), func(r *crossfadev1.Revision) bool { return r.GetKind() != kind || r.GetService() != name })
	slices.SortFunc(out, func(a, b *crossfadev1.Revision) int { return cmp.Compare(a.GetRevision(), b.GetRevision()) })
	return out
}

// splits are the revisions of the service that set its split: those with a cause of their own.
func (a *app) splits() (out []*crossfadev1.Revision) {
	a.t.Helper()
	cause := ""
	for _, r := range a.revisions("Service", a.name) {
		if r.GetCause() != cause {
			out = append(out, r)
		}
		cause = r.GetCause()
	}
	return out
}

func eksOf(r *crossfadev1.Revision) int32 {
	return r.GetAfter().GetService().GetSplit().GetWeights()["eks"]
}

// once fails the test unless the rollout set the split exactly so, in this order: the end of the cause and the weight.
func (a *app) once(run string, want ...string) {
	a.t.Helper()
	var got []string
	for _, r := range a.splits()[1:] {
		got = append(got, fmt.Sprintf("%s %d", r.GetCause(), eksOf(r)))
	}
	for i := range want {
		want[i] = run + "/" + want[i]
	}
	if !slices.Equal(got, want) {
		a.t.Errorf("the split was set by %q, want %q", got, want)
	}
}

// neverAbove holds the origins' logs against the splits of the history: eks never gets more than what was set last. After a split with less it may
// for a moment.
func (a *app) neverAbove() {
	a.t.Helper()
	const piece, grace, deviations, few = time.Second, 2 * time.Second, 5.5, 4
	now, wall := origin.Now(), time.Now()
	splits, looked := a.splits(), 0
	for i, r := range splits {
		share, at, end := float64(eksOf(r))/10000, now-wall.Sub(r.GetTime().AsTime()), now
		if i > 0 && eksOf(splits[i-1]) > eksOf(r) {
			at += grace
		}
		if i+1 < len(splits) {
			end = now - wall.Sub(splits[i+1].GetTime().AsTime())
		}
		for from := at; from < end; from += piece {
			to := min(from+piece, end)
			eks, ecs := a.between(a.eks, from, to), a.between(a.ecs, from, to)
			n := eks + ecs
			if most := n*share + deviations*math.Sqrt(n*share*(1-share)) + few; eks > most {
				a.t.Errorf("with %d basis points since %s, eks got %g of %g requests in %v", eksOf(r), r.GetCause(), eks, n, to-from)
			}
			looked++
		}
	}
	if looked < 3 {
		a.t.Errorf("only %d pieces of time were looked at", looked)
	}
}

// between counts the requests of the app that arrived at an origin in a time.
func (a *app) between(o *origin.Origin, from, to time.Duration) float64 {
	a.t.Helper()
	since, err := o.CountSince(a.name+".test", from)
	if err != nil {
		a.t.Fatal(err)
	}
	later, err := o.CountSince(a.name+".test", to)
	if err != nil {
		a.t.Fatal(err)
	}
	return float64(since - later)
}

// recorded holds the history of a rollout that a guard of errors has ended: the split with its cause, and the numbers.
func (a *app) recorded(run string) {
	a.t.Helper()
	var r *crossfadev1.Revision
	a.await("the revision of the rollback", func() bool {
		r = a.splits()[len(a.splits())-1]
		return r.GetCause() == run+"/back"
	})
	if r.GetAction() != "rollback" || eksOf(r) != 0 || !strings.Contains(r.GetWho(), a.plan) || !strings.Contains(r.GetReason(), "guard err") || !strings.Contains(r.GetReason(), "%") {
		a.t.Errorf("the service's history says %s by %s, eks %d: %s", r.GetAction(), r.GetWho(), eksOf(r), r.GetReason())
	}
}

// wentBackFor holds the reason that the rollout's history has for the last way back.
func (a *app) wentBackFor(words ...string) {
	a.t.Helper()
	for _, r := range slices.Backward(a.revisions("Rollout", a.plan)) {
		run := r.GetAfter().GetRollout().GetRun()
		if run.GetState() != "RollingBack" {
			continue
		}
		for _, word := range words {
			if !strings.Contains(r.GetReason(), word) {
				a.t.Errorf("the rollout's history says %q, and not %q", r.GetReason(), word)
			}
		}
		if len(run.GetWalk()) > 0 {
			a.t.Error("the history shows the walk")
		}
		return
	}
	a.t.Error("the rollout's history has no way back")
}

// bakedFor holds the history against the bake of a plan, all of whose steps have passed. Away is how long the control plane was, by step.
func (a *app) bakedFor(bake time.Duration, away map[int32]time.Duration) {
	a.t.Helper()
	const clock = 50 * time.Millisecond // times are taken before and after something was stored
	since := map[int32]time.Time{}
	baked := map[int32]bool{}
	for _, r := range a.revisions("Rollout", a.plan) {
		run := r.GetAfter().GetRollout().GetRun()
		if run.GetState() == "Baking" {
			if since[run.GetStep()].IsZero() {
				since[run.GetStep()] = r.GetTime().AsTime()
			}
			continue
		}
		for step, at := range since {
			if baked[step] || run.GetStep() == step && run.GetState() != "Completed" {
				continue
			}
			baked[step] = true
			if took := r.GetTime().AsTime().Sub(at) - away[step]; took < bake-clock {
				a.t.Errorf("step %d baked for %v without the time away, want %v", step, took, bake)
			}
		}
	}
	if len(baked) == 0 {
		a.t.Error("the history shows no bake")
	}
}
