package engine

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

func leased(r *crossfadev1.Rollout) {
	r.Run = &crossfadev1.RolloutRun{Lease: durationpb.New(time.Minute)}
}

// TestARestoredRolloutIsNotAbortedByItsLease: whoever attended to it is not expected any more, also by later starts, and whether it was paused in the
// backup or is paused by the restore.
func TestARestoredRolloutIsNotAbortedByItsLease(t *testing.T) {
	for name, paused := range map[string]bool{"baking": false, "paused": true} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, w *world) {
				defer w.engine.Attend("r1")()
				w.run(document(ungated, leased))
				w.until("r1", rollout.Baking)
				if paused {
					if _, err := w.engine.Act(t.Context(), "r1", act0(rollout.Pause, "ann")); err != nil {
						t.Fatal(err)
					}
				}
				w.restore()
				pass(5 * time.Minute)
				w.crash(nil)
				pass(5 * time.Minute)
				if s := w.split("orders"); w.state("r1") != rollout.Paused || s.weight != 1000 {
					t.Errorf("%+v, %v", s, w.status("r1"))
				}
			})
		})
	}
}

// TestARestoredRollbackGoesOn: a gradual one too, which could be paused.
func TestARestoredRollbackGoesOn(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.secondStep()
		w.change(func() { w.errors["eks"] = 0.5 })
		w.until("r1", rollout.RollingBack)
		w.restore()
		w.until("r1", rollout.RolledBack)
		if got := weightsOf(w.causes("orders")); got != "1000 5000 1000 0" {
			t.Errorf("weights %s", got)
		}
	})
}

// TestARestoredRolloutIsPausedWhateverComes first: a disk that takes nothing, or a service that is not there yet.
func TestARestoredRolloutIsPausedWhateverComes(t *testing.T) {
	for name, trouble := range map[string]func(w *world, on bool){
		"full": func(w *world, on bool) { w.full = on },
		"hung": func(w *world, on bool) { w.hung = on },
		"gone": func(w *world, on bool) { w.gone = on },
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, w *world) {
				w.run(document(ungated))
				w.until("r1", rollout.Baking)
				w.change(func() { trouble(w, true) })
				w.restore()
				pass(time.Minute)
				w.change(func() { trouble(w, false) })
				pass(time.Minute)
				if got := weightsOf(w.causes("orders")); w.state("r1") != rollout.Paused || got != "1000" {
					t.Errorf("weights %s, %v", got, w.status("r1"))
				}
				if _, err := w.engine.Act(t.Context(), "r1", act0(rollout.Resume, "ann")); err != nil {
					t.Fatal(err)
				}
				w.until("r1", rollout.Completed)
			})
		})
	}
}
