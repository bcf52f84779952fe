package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// A decision that comes while the plan goes on by itself is taken before or after that, or refused; never lost, never in between.
func TestAPauseRacesWithAStep(t *testing.T) {
	for late := -600 * time.Millisecond; late <= 600*time.Millisecond; late += 83 * time.Millisecond {
		in(t, func(t *testing.T, w *world) {
			w.run(document(ungated))
			w.until("r1", rollout.Baking)
			time.Sleep(10*time.Second + late)
			st, err := w.engine.Act(t.Context(), "r1", act0(rollout.Pause, "ann"))
			if err != nil {
				t.Fatalf("%s late: %v", late, err)
			}
			if st.GetState() != "Paused" || w.saved("r1") != "Paused" {
				t.Fatalf("%s late: shown %s, stored %s", late, st.GetState(), w.saved("r1"))
			}
			before := weightsOf(w.causes("orders"))
			time.Sleep(20 * time.Second)
			if after := weightsOf(w.causes("orders")); after != before && after != before+" 5000" || w.state("r1") != rollout.Paused { // what was on its way may come through
				t.Errorf("%s late: %s, then %s", late, before, after)
			}
			if _, err := w.engine.Act(t.Context(), "r1", act0(rollout.Resume, "ann")); err != nil {
				t.Fatal(err)
			}
			w.until("r1", rollout.Completed)
			if got := weightsOf(w.causes("orders")); got != "1000 5000 10000" {
				t.Errorf("%s late: %s", late, got)
			}
		})
	}
}

// The same key again is the same decision.
func TestADecisionIsTakenOnce(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.run(document())
		w.until("r1", rollout.AwaitingGate)
		a := act0(rollout.Approve, "bob")
		for range 3 {
			if _, err := w.engine.Act(t.Context(), "r1", a); err != nil {
				t.Fatal(err)
			}
		}
		if n := strings.Count(w.history(), "rollout approve"); n != 1 {
			t.Errorf("%d approvals", n)
		}
	})
}

func TestManyDecideAtOnce(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.run(document(ungated))
		w.until("r1", rollout.Baking)
		replies := make(chan error, 20)
		for i := range cap(replies) {
			kind := rollout.Pause
			if i%2 == 1 {
				kind = rollout.Resume
			}
			go func() {
				_, err := w.engine.Act(t.Context(), "r1", act0(kind, fmt.Sprint("user", i)))
				replies <- err
			}()
		}
		for range cap(replies) {
			if err, e := <-replies, (*policy.Error)(nil); err != nil && !errors.As(err, &e) {
				t.Error(err)
			}
		}
		if w.state("r1") == rollout.Paused {
			if _, err := w.engine.Act(t.Context(), "r1", act0(rollout.Resume, "ann")); err != nil {
				t.Fatal(err)
			}
		}
		w.until("r1", rollout.Completed)
	})
}

func TestWhoDoesNotWaitForTheStore(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.run(document(ungated))
		w.until("r1", rollout.Baking)
		w.change(func() { w.hung = true })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := w.engine.Act(ctx, "r1", act0(rollout.Pause, "ann"))
		if e := (*policy.Error)(nil); !errors.As(err, &e) || e.Kind != policy.TimedOut {
			t.Error(err)
		}
		go func() {
			time.Sleep(time.Second)
			w.engine.Close()
		}()
		_, err = w.engine.Act(t.Context(), "r1", act0(rollout.Pause, "ann"))
		if e := (*policy.Error)(nil); !errors.As(err, &e) || e.Kind != policy.Unavailable {
			t.Error(err)
		}
	})
}

func TestUnknownRollouts(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		_, err := w.engine.Act(t.Context(), "r1", act0(rollout.Pause, "ann"))
		if e := (*policy.Error)(nil); !errors.As(err, &e) || e.Kind != policy.NotFound {
			t.Error(err)
		}
		for i := range 1000 { // whoever asks for names that there are not takes no memory
			w.engine.Changed(fmt.Sprint("x", i))
			w.engine.Attend(fmt.Sprint("x", i))()
		}
		if n := len(w.engine.changed) + len(w.engine.waiting); n != 0 {
			t.Errorf("%d are remembered", n)
		}
		becomes := w.engine.Changed("r1")
		w.run(document(ungated))
		<-becomes
	})
}

// Watchers see each state, in order, and none that is not stored.
func TestWatchersSeeEveryState(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		seen := make([]string, 100)
		w.run(document(ungated))
		for i := range seen {
			go func() {
				for last := ""; !strings.HasSuffix(seen[i], "Completed "); {
					changed := w.engine.Changed("r1")
					st := w.engine.Status("r1")
					stored := w.saved("r1")
					if st.GetState() != stored {
						t.Errorf("shown %s, stored %s", st.GetState(), stored)
					}
					if now := fmt.Sprintf("%s%d", st.GetState(), st.GetStep()); now != last {
						last = now
						seen[i] += st.GetState() + " "
					}
					if st.GetState() != "Completed" {
						<-changed
					}
				}
			}()
		}
		w.until("r1", rollout.Completed)
		synctest.Wait()
		for _, got := range seen {
			if strings.TrimPrefix(got, "Pending ") != strings.Repeat("Progressing Baking ", 3)+"Completed " {
				t.Fatal(got)
			}
		}
	})
}

// A new run of a name takes the place of the old one, whatever that is doing.
func TestANewRunTakesThePlace(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.run(document())
		w.until("r1", rollout.AwaitingGate)
		first := w.status("r1").GetRun()
		changed := w.engine.Changed("r1")
		w.byHand("orders", 0, false)
		w.run(document(ungated, func(r *crossfadev1.Rollout) { r.Steps = r.Steps[:1] }))
		<-changed
		w.until("r1", rollout.Completed)
		if st := w.status("r1"); st.GetRun() == first {
			t.Errorf("%v", st)
		}
	})
}
