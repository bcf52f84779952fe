package engine

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// in runs a test in virtual time, with an engine that walks nothing yet.
func in(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		defer func() { w.engine.Close() }() // also of a restarted one
		f(t, w)
	})
}

// weightsOf are the weights that a plan set, in order.
func weightsOf(history []string) string {
	var out []string
	for _, h := range history {
		out = append(out, h[strings.LastIndexByte(h, ' ')+1:])
	}
	return strings.Join(out, " ")
}

func TestAPlanWalksToItsEnd(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.run(document())
		w.until("r1", rollout.AwaitingGate)
		if _, err := w.engine.Act(t.Context(), "r1", act0(rollout.Approve, "ann@laptop")); err == nil {
			t.Error("who has not the role approved")
		}
		st, err := w.engine.Act(t.Context(), "r1", act0(rollout.Approve, "bob@desk"))
		if err != nil || st.GetState() == string(rollout.AwaitingGate) {
			t.Fatalf("%v, %s", err, st.GetState())
		}
		w.until("r1", rollout.Completed)
		if got := weightsOf(w.causes("orders")); got != "1000 5000 10000" {
			t.Errorf("weights %s", got)
		}
		st = w.status("r1")
		if st.GetRetained() == nil || len(st.GetGuards()) != 2 || st.GetGuards()[1].GetVerdict() != "Pass" || len(st.GetNotes()) == 0 {
			t.Errorf("%v", st)
		}
		for _, s := range w.saves {
			if !strings.HasPrefix(s, "rollout ") {
				t.Error(s)
			}
		}
		if n := len(w.saves); n > 9 { // two a step, a gate, an approval and the end
			t.Errorf("%d revisions:\n%s", n, strings.Join(w.saves, "\n"))
		}
	})
}

// With 40 requests a second at 10 %, 20 % errors are seen within seconds; all is back in the same look.
func TestErrorsRollBack(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.run(document(ungated))
		w.until("r1", rollout.Baking)
		time.Sleep(5 * time.Second)
		w.change(func() { w.errors["eks"] = 0.2 })
		began := time.Now()
		w.until("r1", rollout.RolledBack)
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("took %s", took)
		}
		if s := w.split("orders"); s.weight != 0 || !s.rollback || !strings.HasSuffix(s.cause, "/back") {
			t.Errorf("%+v", s)
		}
		if st := w.status("r1"); st.GetEnded() == nil || !strings.Contains(strings.Join(w.saves, "\n"), "error rate") {
			t.Errorf("%v\n%s", st, strings.Join(w.saves, "\n"))
		}
	})
}

func TestAFullStoreHoldsStepsAndNoRollback(t *testing.T) {
	for name, trouble := range map[string]func(*world){"full": func(w *world) { w.full = true }, "hung": func(w *world) { w.hung = true }} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, w *world) {
				w.run(document(ungated))
				w.until("r1", rollout.Baking)
				w.change(func() { trouble(w) })
				time.Sleep(time.Minute)
				if got := weightsOf(w.causes("orders")); got != "1000" {
					t.Fatalf("weights %s", got)
				}
				if name == "full" && !strings.Contains(w.status("r1").GetWaitingFor(), "no space left") {
					t.Errorf("%s", w.status("r1").GetWaitingFor())
				}
				w.change(func() { w.errors["eks"] = 0.5 })
				time.Sleep(5 * time.Second)
				if s := w.split("orders"); s.weight != 0 {
					t.Fatalf("not back: %+v, %s", s, w.status("r1").GetWaitingFor())
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

// killed ends the engine at the n-th place where something is done, and starts another: whatever n is, the plan is walked, each step once.
func TestKilledAnywhere(t *testing.T) {
	for _, fails := range []bool{false, true} {
		for n := 1; ; n++ {
			reached := false
			t.Run(fmt.Sprintf("fails=%v/%d", fails, n), func(t *testing.T) {
				in(t, func(t *testing.T, w *world) {
					i, dead := 0, make(chan string, 1)
					w.kill = func(what string) bool {
						w.mu.Lock()
						defer w.mu.Unlock()
						if i++; i == n {
							dead <- what
						}
						return i >= n
					}
					w.run(document(ungated))
					end := rollout.Completed
					if fails {
						end = rollout.RolledBack
						w.change(func() { w.errors["eks"] = 0.3 }) // of what it gets, once it gets something
					}
					select {
					case what := <-dead:
						reached = true
						t.Log("killed", what)
						time.Sleep(2 * time.Second)
						w.change(func() { w.kill = nil })
						w.restart()
					case <-time.After(90 * time.Second):
						w.change(func() { w.kill = nil })
					}
					w.until("r1", end)
					want := "1000 5000 10000"
					if got := weightsOf(w.causes("orders")); !fails && got != want || fails && !strings.HasSuffix(got, " 0") && got != "0" {
						t.Errorf("weights %s", got)
					}
				})
			})
			if !reached {
				if n < 5 {
					t.Fatalf("only %d places", n)
				}
				break
			}
		}
	}
}

func TestAHookHoldsAStep(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.refuses = func(e Event) error {
			if e.Type == "step.before" {
				return errors.New("not during the sale")
			}
			return nil
		}
		w.run(document(ungated, hooked))
		time.Sleep(time.Minute)
		if got := w.causes("orders"); len(got) != 0 || !strings.Contains(w.status("r1").GetWaitingFor(), "not during the sale") {
			t.Fatalf("%v %s", got, w.status("r1").GetWaitingFor())
		}
		w.change(func() { w.refuses = nil })
		w.until("r1", rollout.Completed)
		time.Sleep(2 * time.Minute)
		var types []string
		ids := map[string]bool{}
		for _, e := range w.hooks {
			types = append(types, e.Type)
			if ids[e.ID] {
				t.Errorf("%s twice", e.ID)
			}
			ids[e.ID] = true
		}
		if got := strings.Join(types, " "); strings.Count(got, "step.before") != 3 || !strings.Contains(got, "completed") || !strings.Contains(got, "started") {
			t.Error(got)
		}
		if w.status("r1").GetUndelivered() != 0 {
			t.Error(w.status("r1").GetUndelivered())
		}
	})
}

func TestNobodyWaits(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		leased := func(r *crossfadev1.Rollout) { r.Run = &crossfadev1.RolloutRun{Lease: durationpb.New(time.Minute)} }
		leave := w.engine.Attend("r1")
		w.run(document(leased))
		time.Sleep(5 * time.Minute)
		if w.state("r1") != rollout.AwaitingGate {
			t.Fatal(w.state("r1"))
		}
		leave()
		time.Sleep(30 * time.Second)
		leave = w.engine.Attend("r1")
		time.Sleep(5 * time.Minute)
		if w.state("r1") != rollout.AwaitingGate {
			t.Fatal(w.state("r1"))
		}
		leave()
		w.until("r1", rollout.Aborted)
		if w.split("orders").weight != 0 {
			t.Error("not back")
		}
	})
}

func TestAChangeByHandPauses(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.run(document(ungated))
		w.until("r1", rollout.Baking)
		w.byHand("orders", 2000, false)
		w.until("r1", rollout.Paused)
		if r := w.status("r1").GetReason(); !strings.Contains(r, "cleo") {
			t.Error(r)
		}
		if _, err := w.engine.Act(t.Context(), "r1", act0(rollout.Resume, "ann")); err != nil {
			t.Fatal(err)
		}
		w.until("r1", rollout.Completed)
		if got := weightsOf(w.causes("orders")); got != "1000 2000 1000 5000 10000" {
			t.Error(got)
		}
		w.byHand("orders", 0, true)
		w.until("r1", rollout.RolledBack)
		_, err := w.engine.Act(t.Context(), "r1", act0(rollout.Abort, "ann"))
		if e := (*policy.Error)(nil); !errors.As(err, &e) || e.Code != "rollout_over" {
			t.Error(err)
		}
	})
}

// The primary fails as well: nothing is sent there.
func TestBothSidesFail(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.run(document(ungated))
		w.until("r1", rollout.Baking)
		time.Sleep(3 * time.Second)
		w.change(func() { w.errors["ecs"], w.errors["eks"] = 0.3, 0.3 })
		w.until("r1", rollout.Frozen)
		if w.split("orders").weight != 1000 || len(w.status("r1").GetPrimaryGuards()) != 2 {
			t.Errorf("%v", w.status("r1"))
		}
	})
}

func TestNoTrafficHolds(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.rate = map[string]float64{}
		w.run(document(ungated))
		time.Sleep(10 * time.Minute)
		if st := w.status("r1"); st.GetState() != "Baking" || st.GetVerdict() != "Inconclusive" || !strings.Contains(st.GetWaitingFor(), "no requests") {
			t.Fatalf("%v", st)
		}
		w.change(func() { w.rate = map[string]float64{"ecs": 100, "eks": 100} })
		w.until("r1", rollout.Completed)
	})
}

func TestMirrorsAndQueriesAreGuards(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.run(document(ungated, func(r *crossfadev1.Rollout) {
			r.Guards = append(r.Guards, &crossfadev1.RolloutGuard{Name: "mir", Mirror: "m1"})
		}))
		w.until("r1", rollout.Baking)
		w.change(func() { w.verdict = rollout.Inconclusive })
		time.Sleep(time.Minute)
		if st := w.status("r1"); st.GetState() != "Baking" || st.GetStep() != 1 {
			t.Fatalf("%v", st)
		}
		w.change(func() { w.verdict = rollout.Fail })
		w.until("r1", rollout.RolledBack)
	})
}

// A clock that is set changes what is written down, and nothing else.
func TestTheClockOfTheWallJumps(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, -time.Hour} {
		in(t, func(t *testing.T, w *world) {
			w.run(document(ungated))
			w.until("r1", rollout.Baking)
			began := time.Now()
			w.wall.Store(int64(jump))
			w.until("r1", rollout.Completed)
			if took := time.Since(began); took < 25*time.Second || took > 50*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

// What was observed before a restart counts after it.
func TestABakeGoesOn(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.run(document(ungated, func(r *crossfadev1.Rollout) { r.Bake = durationpb.New(10 * time.Minute) }))
		w.until("r1", rollout.Baking)
		time.Sleep(8 * time.Minute)
		w.restart()
		time.Sleep(time.Second)
		if b := w.status("r1").GetSteps()[0].GetBaked().AsDuration(); b < 7*time.Minute+50*time.Second {
			t.Errorf("baked %s", b)
		}
	})
}

func TestTwoHundredAtOnce(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		for i := range 200 {
			w.run(document(ungated, func(r *crossfadev1.Rollout) { r.Name, r.Service = fmt.Sprintf("r%d", i), fmt.Sprintf("s%d", i) }))
		}
		for i := range 200 {
			w.until(fmt.Sprintf("r%d", i), rollout.Completed)
		}
	})
}
