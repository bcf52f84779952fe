package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// refuses is why a step's webhook said no.
const refuses = "the old cron jobs still run"

// aHookHoldsTheStep for as long as it does not agree, and no longer.
func (a *app) aHookHoldsTheStep() {
	q := a.ask(usualRate)
	var refuse atomic.Bool
	a.answer(func(c call) int {
		if c.event == "step.before" && c.rollout.GetStep() == 2 && refuse.Load() {
			return http.StatusConflict
		}
		return http.StatusOK
	})
	refuse.Store(true)
	st := a.start(a.told(a.doc(1000, 5000)))
	a.until("held by its hook", func(st *crossfadev1.RolloutStatus) bool {
		return st.GetState() == "Progressing" && st.GetStep() == 2 && strings.Contains(st.GetWaitingFor(), refuses)
	})
	asked := func() (n int) {
		for _, c := range a.calls() {
			if c.event == "step.before" && c.rollout.GetStep() == 2 {
				n++
			}
		}
		return n
	}
	a.await("three questions", func() bool { return asked() >= 3 })
	a.as("ann", "rollout", "explain", a.plan).want(a.t, 0, "waits for the hook before step 2 of 2", "409 Conflict")
	if share := a.share(a.name); share != 1000 {
		a.t.Errorf("eks has %d though the hook says no", share)
	}
	refuse.Store(false)
	a.ended("Completed", 5000)
	a.hookWas(st.GetRun(), "step.before", "started", "step.before", "step.after", "step.after", "completed")
	a.once(st.GetRun(), "step-1/set 1000", "step-2/set 5000")
	a.neverAbove()
	q.none()
}

// aRollbackByHandEndsIt, in the middle of a step, and says whose it was.
func (a *app) aRollbackByHandEndsIt() {
	q := a.ask(usualRate)
	st := a.start(long(a.doc(3000, 10000)))
	a.bakes(3000)
	a.as("cleo", "rollback", a.name, "--reason", "customers call").want(a.t, 0, "100% ecs")
	total := a.eks.Total()
	end := a.ended("RolledBack", 0)
	var all []string
	for _, r := range a.revisions("Rollout", a.plan) {
		all = append(all, r.GetAfter().GetRollout().GetRun().GetState()+": "+r.GetReason())
	}
	if !slices.ContainsFunc(all, func(s string) bool { return strings.HasPrefix(s, "RollingBack: ") && strings.Contains(s, "cleo") }) {
		a.t.Errorf("no word of who it was: %q", all)
	}
	if got := a.splits(); len(got) != 3 || got[2].GetAction() != "rollback" || !strings.Contains(got[2].GetWho(), "cleo") || !strings.HasPrefix(got[2].GetCause(), "rollback/") {
		a.t.Errorf("the service's history: %v", got)
	}
	a.left(total)
	if err := a.act("ann", "resume"); err == nil || !strings.Contains(err.Error(), "over") {
		a.t.Errorf("run %s, %s: resume after its end: %v", st.GetRun(), end.GetReason(), err)
	}
	q.none()
}

// aSplitByHandPausesIt and is left as it is, until somebody resumes.
func (a *app) aSplitByHandPausesIt() {
	q := a.ask(usualRate)
	st := a.start(a.doc(1000, 4000, 6000))
	a.bakes(1000)
	a.as("cleo", "split", "set", a.name, "eks=25%").want(a.t, 0)
	paused := a.reaches("Paused")
	if !strings.Contains(paused.GetReason(), "the split was changed, and not by this rollout: cleo") || !strings.Contains(paused.GetReason(), "25%") || paused.GetWeight() != 2500 {
		a.t.Errorf("%d: %s", paused.GetWeight(), paused.GetReason())
	}
	a.as("cleo", "rollout", "explain", a.plan).want(a.t, 0, "cleo", "when somebody resumes it")
	if share := a.share(a.name); share != 2500 {
		a.t.Errorf("eks has %d after somebody set 2500", share)
	}
	a.acts("ann", "resume")
	a.ended("Completed", 6000)
	var causes []string
	for _, r := range a.splits() {
		causes = append(causes, fmt.Sprint(strings.TrimPrefix(r.GetCause(), st.GetRun()+"/"), " ", eksOf(r)))
	}
	if len(causes) != 6 || !slices.Equal(slices.Delete(causes[1:], 1, 2), []string{"step-1/set 1000", "step-1/set-2 1000", "step-2/set 4000", "step-3/set 6000"}) {
		a.t.Errorf("the split was set by %q", causes)
	}
	q.none()
}

// gated is a plan whose second step has a gate.
func (a *app) gated() *crossfadev1.Rollout {
	doc := a.doc(1000, 5000)
	doc.Steps[1].Gate = &crossfadev1.RolloutGate{Approval: &crossfadev1.RolloutApproval{Role: "approver", NotStarter: true}}
	return doc
}

// whoMayOpenAGate: not somebody without the role, not who started it, whatever machine they sit at, and nobody after an abort.
func (a *app) whoMayOpenAGate() {
	q := a.ask(usualRate)
	file := filepath.Join(a.t.TempDir(), "rollout.yaml")
	text := fmt.Sprintf(`apiVersion: crossfade/v1
kind: Rollout
name: %s
service: %s
to: eks
steps:
- {weight: 10%%, bake: 2s}
- {weight: 50%%, bake: 2s, gate: {approval: {role: approver, notStarter: true}}}
guards:
- {name: err, metric: errorRate, max: 0.5%%, window: 2s, minRequests: 5}
`, a.plan, a.name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
	a.as("ann", "rollout", "start", "-f", file).want(a.t, 0)
	a.as("bob", "rollout", "approve", a.plan).want(a.t, 9)
	a.reaches("AwaitingGate")
	a.as("cleo", "rollout", "approve", a.plan).want(a.t, 10, "needs role approver")
	a.as("ann", "rollout", "approve", a.plan).want(a.t, 10, "has started this rollout")
	if err := a.act("ann@elsewhere", "approve"); err == nil || !strings.Contains(err.Error(), "has started this rollout") {
		a.t.Errorf("who started it approves from another machine: %v", err)
	}
	a.as("bob", "rollout", "approve", a.plan, "--step", "1").want(a.t, 3, "that of step 2")
	if st := a.status(); st.GetState() == "AwaitingGate" {
		a.as("bob", "rollout", "approve", a.plan, "--reason", "numbers look fine").want(a.t, 0)
	}
	a.bakes(5000)
	a.as("bob", "rollout", "abort", a.plan).want(a.t, 0)
	a.ended("Aborted", 0)
	a.as("bob", "rollout", "approve", a.plan).want(a.t, 9, "is over")
	approved := false
	for _, r := range a.revisions("Rollout", a.plan) {
		approved = approved || r.GetAction() == "rollout approve" && strings.HasPrefix(r.GetWho(), "bob@") && r.GetReason() == "numbers look fine" && !r.GetVerified()
	}
	if !approved {
		a.t.Error("the history does not say who approved")
	}
	a.neverAbove()
	q.none()
}

// rejectAndPromote: a rejection pauses and moves nothing; a promotion ends a bake, and opens no gate.
func (a *app) rejectAndPromote() {
	q := a.ask(usualRate)
	st := a.start(long(a.gated()))
	a.bakes(1000)
	a.acts("cleo", "promote")
	a.reaches("AwaitingGate")
	if err := a.act("cleo", "promote"); err == nil {
		a.t.Error("a promotion opens a gate")
	}
	a.acts("bob", "reject")
	if got := a.reaches("Paused"); got.GetWeight() != 1000 || a.share(a.name) != 1000 || !strings.Contains(got.GetReason(), "not approved by bob") {
		a.t.Errorf("%d: %s", got.GetWeight(), got.GetReason())
	}
	a.acts("ann", "resume")
	a.reaches("AwaitingGate")
	a.acts("bob", "approve")
	a.bakes(5000)
	a.acts("ann", "promote")
	a.ended("Completed", 5000)
	a.once(st.GetRun(), "step-1/set 1000", "step-2/set 5000")
	q.none()
}

// abortLeavesNothing, neither of a pause nor of the split.
func (a *app) abortLeavesNothing() {
	q := a.ask(usualRate)
	a.start(long(a.doc(3000, 10000)))
	a.bakes(3000)
	a.acts("bob", "pause")
	a.reaches("Paused")
	a.acts("bob", "abort")
	end := a.ended("Aborted", 0)
	a.left(a.eks.Total())
	if !strings.Contains(end.GetReason(), "aborted") || len(a.splits()) != 3 {
		a.t.Errorf("%s: %v", end.GetReason(), a.splits())
	}
	a.start(a.doc(1000)) // the same plan, anew
	a.ended("Completed", 1000)
	q.none()
}
