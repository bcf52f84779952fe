package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

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

// promoted is a rollout that is complete at 100 %.
func (a *app) promoted() *crossfadev1.RolloutStatus {
	st := a.start(a.doc(5000, 10000))
	a.ended("Completed", 10000)
	return st
}

// theOldOriginIsKept: to remove it is refused, unless it is forced.
func (a *app) theOldOriginIsKept() {
	q := a.ask(usualRate)
	a.promoted()
	st := a.status()
	if d := st.GetRetained().AsDuration(); d < 23*time.Hour || d > 24*time.Hour {
		a.t.Errorf("kept for %v", d)
	}
	a.as("ann", "service", "set-primary", a.name, "eks").want(a.t, 0)
	file := filepath.Join(a.t.TempDir(), "service.yaml")
	text := fmt.Sprintf("apiVersion: crossfade/v1\nkind: Service\nname: %s\nhosts: [%s.test]\nlistener: {port: %d}\nprimary: eks\norigins:\n- {name: eks, static: {endpoints: [%q]}}\n- {name: new, static: {endpoints: [%q]}}\n",
		a.name, a.name, a.port, a.eks.Addr(), a.eks.Addr())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
	a.as("ann", "apply", "-f", file).want(a.t, 9, "origin ecs would be removed", a.plan, "--force")
	ecs := a.ecs.Total()
	a.as("ann", "apply", "-f", file, "--force").want(a.t, 0)
	eks := a.eks.Total()
	a.await("requests at eks alone", func() bool { return a.eks.Total() > eks+20 })
	if n := a.ecs.Total(); n != ecs {
		a.t.Errorf("%d requests at ecs after 100 %%", n-ecs)
	}
	if st := a.status(); st.GetState() != "Completed" || st.GetDrift() == "" {
		a.t.Errorf("without its old origin it is %s, drift %q", st.GetState(), st.GetDrift())
	}
	q.none()
}

// aRollbackAfterPromotion is as fast as before, and ends it otherwise.
func (a *app) aRollbackAfterPromotion() {
	q := a.ask(usualRate)
	st := a.promoted()
	began := time.Now()
	a.as("cleo", "rollback", a.name).want(a.t, 0, "100% ecs")
	a.t.Logf("%v for a rollback after promotion", time.Since(began).Round(time.Millisecond))
	total := a.eks.Total()
	end := a.until("rolled back", func(st *crossfadev1.RolloutStatus) bool { return st.GetState() == "RolledBack" })
	a.left(total)
	if end.GetRun() != st.GetRun() || end.GetRetained() != nil || a.share(a.name) != 0 {
		a.t.Errorf("%v", end)
	}
	a.as("ann", "rollout", "start", a.plan).want(a.t, 0) // its name is free, and so is the service
	a.bakes(5000)
	q.none()
}

// twoPlans for one service: the second is refused, and so is to take the service away from the first.
func (a *app) twoPlans() {
	q := a.ask(usualRate)
	a.start(long(a.doc(1000, 10000)))
	a.bakes(1000)
	other := a.doc(2000)
	other.Name = a.plan + "-2"
	_, err := a.API.StartRollout(a.t.Context(), &crossfadev1.StartRolloutRequest{Rollout: other, Options: by("bob")})
	if err == nil || !strings.Contains(err.Error(), "rollout "+a.plan+" is on its way on this service; one at a time") {
		a.t.Errorf("a second plan: %v", err)
	}
	a.as("bob", "rollout", "start", other.GetName(), "--service", a.name, "--to", "eks", "--preset", "20").want(a.t, 9, "one at a time", "rollout abort "+a.plan)
	changed := a.doc(2000, 10000)
	if _, err := a.API.Apply(a.t.Context(), &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{{Object: &crossfadev1.Document_Rollout{Rollout: changed}}}}); err == nil || !strings.Contains(err.Error(), "on its way") {
		a.t.Errorf("another plan of the same name: %v", err)
	}
	a.as("bob", "delete", "service", a.name).want(a.t, 9, "the service would be deleted", a.plan)
	a.as("bob", "delete", "rollout", a.plan).want(a.t, 9, "on its way")
	a.as("bob", "service", "set-primary", a.name, "eks").want(a.t, 9, a.plan)
	if st := a.status(); st.GetState() != "Baking" || a.share(a.name) != 1000 {
		a.t.Errorf("after what was refused it is %s at %d", st.GetState(), st.GetWeight())
	}
	a.acts("ann", "abort")
	a.ended("Aborted", 0)
	q.none()
	a.as("bob", "delete", "rollout", a.plan).want(a.t, 0)
	a.as("bob", "delete", "service", a.name).want(a.t, 0)
}

// serviceAndRolloutInOneFile start together, and the same file again changes nothing.
func (a *app) serviceAndRolloutInOneFile() {
	a.as("ann", "delete", "service", a.name).want(a.t, 0) // as if it had never been
	file := filepath.Join(a.t.TempDir(), "both.yaml")
	text := fmt.Sprintf(`apiVersion: crossfade/v1
kind: Rollout
name: %s
service: %s
to: eks
steps: [{weight: 10%%, bake: 2s}, {weight: 30%%, bake: 2s}]
guards: [{name: err, metric: errorRate, max: 0.5%%, window: 2s, minRequests: 5}]
---
apiVersion: crossfade/v1
kind: Service
name: %s
hosts: [%s.test]
listener: {port: %d}
primary: ecs
origins:
- {name: ecs, static: {endpoints: [%q]}}
- {name: eks, static: {endpoints: [%q]}}
`, a.plan, a.name, a.name, a.name, a.port, a.ecs.Addr(), a.eks.Addr())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
	a.as("ann", "apply", "-f", file).want(a.t, 0, a.plan, a.name)
	q := a.ask(usualRate)
	a.bakes(1000)
	run := a.status().GetRun()
	a.as("bob", "apply", "-f", file).want(a.t, 0) // says nothing of the split
	a.ended("Completed", 3000)
	a.as("bob", "apply", "-f", file).want(a.t, 0)
	if st := a.status(); st.GetRun() != run || st.GetStartedBy() == "" || st.GetState() != "Completed" {
		a.t.Errorf("after the same file again: %v", st)
	}
	q.none()
}

// noTrafficHolds: nothing is said of what nobody asks, and it goes on when somebody does.
func (a *app) noTrafficHolds() {
	a.start(a.doc(2000, 5000))
	a.bakes(2000)
	ctx, cancel := context.WithTimeout(a.t.Context(), 2*usualBake) // in which it would pass
	defer cancel()
	for ctx.Err() == nil {
		st := a.status()
		if st.GetState() != "Baking" || st.GetStep() != 1 || st.GetVerdict() == "Pass" || st.GetVerdict() == "Fail" {
			a.t.Fatalf("without a request it is %s at step %d, verdict %s: %s", st.GetState(), st.GetStep(), st.GetVerdict(), st.GetWaitingFor())
		}
		a.pauses()
	}
	if st := a.status(); st.GetVerdict() != "Inconclusive" || !strings.Contains(st.GetWaitingFor(), "no requests") {
		a.t.Errorf("%s: %s", st.GetVerdict(), st.GetWaitingFor())
	}
	q := a.ask(usualRate)
	a.ended("Completed", 5000)
	q.none()
}

// pauses lets a real process run for a moment between two looks.
func (a *app) pauses() { pause(a.t, 50*time.Millisecond) }

// anIllPrimaryFreezes: both fail, so that a rollback would help nobody. To abort is refused, a rollback by hand is not.
func (a *app) anIllPrimaryFreezes() {
	q := a.ask(usualRate)
	doc := a.told(long(a.doc(3000, 10000)))
	st := a.start(doc)
	a.bakes(3000)
	a.until("known to fail nobody", func(st *crossfadev1.RolloutStatus) bool { return st.GetGuards()[0].GetVerdict() == "Pass" })
	a.errors(a.ecs, 0.3)
	frozen := a.reaches("Frozen")
	if !strings.Contains(frozen.GetReason(), "the primary is unhealthy") || !strings.Contains(frozen.GetReason(), "ecs") || a.share(a.name) != 3000 {
		a.t.Errorf("%d: %s", a.share(a.name), frozen.GetReason())
	}
	a.errors(a.eks, 0.3)
	a.until("failing on both sides", func(st *crossfadev1.RolloutStatus) bool {
		return st.GetGuards()[0].GetVerdict() == "Fail" && st.GetPrimaryGuards()[0].GetVerdict() == "Fail"
	})
	if st := a.status(); st.GetState() != "Frozen" || a.share(a.name) != 3000 {
		a.t.Errorf("with both failing it is %s, eks has %d", st.GetState(), a.share(a.name))
	}
	if err := a.act("ann", "abort"); err == nil || !strings.Contains(err.Error(), "the primary is unhealthy") {
		a.t.Errorf("abort: %v", err)
	}
	a.as("cleo", "rollback", a.name).want(a.t, 0, "100% ecs")
	a.ended("RolledBack", 0)
	a.hookWas(st.GetRun(), "step.before", "started", "frozen", "rollback", "rolledback")
	q.stop()
	if q.lost > 0 {
		a.t.Errorf("%d requests were lost: %v", q.lost, q.why)
	}
}
