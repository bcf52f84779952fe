package engine

import (
	"strings"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

func gradual(r *crossfadev1.Rollout) { r.OnFailure = "gradual" }

// secondStep walks a gradual plan to where its second step bakes.
func (w *world) secondStep() {
	w.t.Helper()
	w.run(document(ungated, gradual))
	for range 100 {
		if w.state("r1") == rollout.Baking && w.status("r1").GetStep() == 2 {
			return
		}
		pass(time.Second)
	}
	w.t.Fatal(w.status("r1"))
}

// A decision that could not be stored once is no reason, when the disk is well again, to go back at once where the plan says by steps.
func TestASaveThatFailedLongAgoHurriesNoRollback(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.secondStep()
		w.change(func() { w.full = true })
		if _, err := w.engine.Act(t.Context(), "r1", act0(rollout.Pause, "ann")); err == nil {
			t.Fatal("paused on a full disk")
		}
		w.change(func() { w.full = false })
		pass(4 * time.Second)
		w.change(func() { w.errors["eks"] = 0.5 })
		w.until("r1", rollout.RolledBack)
		if got := weightsOf(w.causes("orders")); got != "1000 5000 1000 0" {
			t.Errorf("weights %s", got)
		}
	})
}

// A step that is live and waits for a proxy that hangs does not hold up the way back.
func TestAWayBackWaitsForNoAcknowledgement(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.kill = func(what string) bool {
			return strings.HasPrefix(what, "after split ") && strings.HasSuffix(what, "/step-2/set")
		}
		w.secondStep()
		w.change(func() { w.errors["eks"] = 0.5 })
		pass(3 * time.Second)
		if s := w.split("orders"); s.weight != 1000 {
			t.Errorf("3 s after it failed: %+v, %v", s, w.status("r1"))
		}
		w.until("r1", rollout.RolledBack)
		if got := weightsOf(w.causes("orders")); got != "1000 5000 1000 0" {
			t.Errorf("weights %s", got)
		}
	})
}

// When that step is acknowledged after all, this says nothing of the step back that is on its way meanwhile: it is not begun a second time.
func TestALateAcknowledgementIsNotOfTheStepBack(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		acked, begun := make(chan struct{}), 0
		w.kill = func(what string) bool {
			switch {
			case strings.HasPrefix(what, "after split ") && strings.HasSuffix(what, "/step-2/set"):
				<-acked
			case strings.HasPrefix(what, "before split ") && strings.Contains(what, "/back"):
				if begun++; begun == 1 {
					close(acked)
				}
				pass(2 * time.Second)
			}
			return false
		}
		w.secondStep()
		w.change(func() { w.errors["eks"] = 0.5 })
		w.until("r1", rollout.RolledBack)
		if got := weightsOf(w.causes("orders")); begun != 1 || got != "1000 5000 1000 0" {
			t.Errorf("the step back was begun %d times: %s", begun, got)
		}
	})
}

// TestADiskThatIsFullBetweenStateAndSplitHurries: that the rollout goes back is stored, and the split that follows is not taken any more.
func TestADiskThatIsFullBetweenStateAndSplitHurries(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.kill = func(what string) bool {
			if strings.HasPrefix(what, "before split ") && strings.Contains(what, "/back") {
				w.change(func() { w.full = true })
			}
			return false
		}
		w.secondStep()
		w.change(func() { w.errors["eks"] = 0.5 })
		pass(10 * time.Second)
		if s := w.split("orders"); s.weight != 0 {
			t.Fatalf("not back: %+v, %s", s, w.status("r1").GetWaitingFor())
		}
		w.change(func() { w.kill, w.full = nil, false })
		w.until("r1", rollout.RolledBack)
		if got := weightsOf(w.causes("orders")); got != "1000 5000 0" {
			t.Errorf("weights %s", got)
		}
	})
}
