package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

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
	a.t.Logf("%v for a rollback after promotion, with proof", time.Since(began).Round(time.Millisecond))
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
	a.as("bob", "service", "set-primary", a.name, "eks", "--force").want(a.t, 9, a.plan)
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
