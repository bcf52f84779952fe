package engine

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// troubles are what can be wrong with a store.
var troubles = map[string]func(*world){"full": func(w *world) { w.full = true }, "hung": func(w *world) { w.hung = true }}

func TestAFullStoreHoldsStepsAndNoRollback(t *testing.T) {
	for name, trouble := range troubles {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, w *world) {
				w.run(document(ungated))
				w.until("r1", rollout.Baking)
				w.change(func() { trouble(w) })
				pass(time.Minute)
				if got := weightsOf(w.causes("orders")); got != "1000" {
					t.Fatalf("weights %s", got)
				}
				if wait := w.status("r1").GetWaitingFor(); !strings.Contains(wait, "no space left") && !strings.Contains(wait, "not answered for") {
					t.Error(wait)
				}
				w.change(func() { w.errors["eks"] = 0.5 })
				pass(5 * time.Second)
				if s := w.split("orders"); s.weight != 0 {
					t.Fatalf("not back: %+v, %s", s, w.status("r1").GetWaitingFor())
				}
				if st := w.status("r1"); st.GetState() != "Baking" || st.GetWeight() != 0 || !strings.Contains(st.GetWaitingFor(), "goes back") {
					t.Errorf("%v", st)
				}
				w.change(func() { w.full, w.hung = false, false })
				w.until("r1", rollout.RolledBack)
				if got := weightsOf(w.causes("orders")); got != "1000 0" {
					t.Errorf("weights %s", got)
				}
			})
		})
	}
}

// Whoever aborts while nothing can be stored has everything back at once, and hears what is missing.
func TestAnAbortWaitsForNoStore(t *testing.T) {
	for name, trouble := range troubles {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, w *world) {
				w.run(document(ungated))
				w.until("r1", rollout.Baking)
				w.change(func() { trouble(w) })
				pass(15 * time.Second) // the next step is being stored
				reply := make(chan error, 1)
				go func() {
					_, err := w.engine.Act(t.Context(), "r1", act0(rollout.Abort, "ann"))
					reply <- err
				}()
				pass(time.Second)
				if s := w.split("orders"); s.weight != 0 {
					t.Fatalf("not back: %+v", s)
				}
				w.change(func() { w.full, w.hung = false, false })
				err := <-reply
				if e := (*policy.Error)(nil); err != nil && (name == "hung" || !errors.As(err, &e) || !strings.HasPrefix(e.Message, "everything was sent back to ecs")) {
					t.Error(err)
				}
				for i := 0; !w.state("r1").Over(); i++ {
					if pass(time.Second); i > 60 {
						t.Fatalf("%v", w.status("r1"))
					}
				}
				if got := weightsOf(w.causes("orders")); got != "1000 0" {
					t.Errorf("weights %s", got)
				}
			})
		})
	}
}

// Another server took the run: this one leaves it, and changes nothing more.
func TestSomebodyElseWrites(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.run(document(ungated))
		w.until("r1", rollout.Baking)
		w.change(func() { w.foreign = true })
		pass(time.Minute)
		if st := w.status("r1"); st.GetState() != "Baking" || !strings.Contains(st.GetWaitingFor(), "somebody else has written") {
			t.Errorf("%v", st)
		}
		_, err := w.engine.Act(t.Context(), "r1", act0(rollout.Abort, "ann"))
		if e := (*policy.Error)(nil); !errors.As(err, &e) || e.Code != "rollout_unwalked" {
			t.Error(err)
		}
		if got := weightsOf(w.causes("orders")); got != "1000" {
			t.Errorf("weights %s", got)
		}
	})
}
