package engine

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

func pairOf(requests uint64) guard.Pair {
	one := guard.Window{Length: time.Second, Completed: requests, Latency: []guard.Bucket{{Above: time.Millisecond, UpTo: 2 * time.Millisecond, Count: requests}}}
	return guard.Pair{Candidate: one, Control: one}
}

func TestAHookHoldsAStep(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.refuses = func(_ context.Context, e Event) error {
			if e.Type == "step.before" {
				return errors.New("not during the sale")
			}
			return nil
		}
		w.run(document(ungated, hooked))
		pass(time.Minute)
		if got := w.causes("orders"); len(got) != 0 || !strings.Contains(w.status("r1").GetWaitingFor(), "not during the sale") {
			t.Fatalf("%v %s", got, w.status("r1").GetWaitingFor())
		}
		w.change(func() { w.refuses = nil })
		w.until("r1", rollout.Completed)
		pass(2 * time.Minute)
		var types []string
		ids := map[string]bool{}
		for _, e := range w.events() {
			types = append(types, e.Type)
			if ids[e.ID] {
				t.Errorf("%s twice", e.ID)
			}
			if ids[e.ID] = true; e.Rollout.GetRun() == "" || len(e.Rollout.GetNotes()) > 0 {
				t.Errorf("%s: %v", e.ID, e.Rollout)
			}
		}
		if got := strings.Join(types, " "); strings.Count(got, "step.before") != 3 || !strings.Contains(got, "completed") || !strings.Contains(got, "started") {
			t.Error(got)
		}
		if w.status("r1").GetUndelivered() != 0 {
			t.Error(w.status("r1").GetUndelivered())
		}
	})
}

// One that hangs is asked again; a rollback does not wait for it, and it is told of that when it answers.
func TestAHookHangs(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		hangs := func(ctx context.Context, _ Event) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		w.run(document(ungated, hooked))
		w.until("r1", rollout.Baking)
		w.change(func() { w.refuses = hangs })
		pass(5 * time.Minute)
		st := w.status("r1")
		if st.GetState() != "Progressing" || st.GetStep() != 2 || st.GetUndelivered() == 0 || !strings.Contains(st.GetWaitingFor(), "did not answer within 30s") {
			t.Fatalf("%v", st)
		}
		w.change(func() { w.errors["eks"] = 0.5 })
		w.until("r1", rollout.RolledBack)
		pass(10 * time.Minute)
		w.change(func() { w.refuses = nil })
		pass(3 * time.Minute)
		if last := w.events()[len(w.events())-1]; last.Type != "rolledback" || w.status("r1").GetUndelivered() != 0 {
			t.Error(last.Type)
		}
	})
}

// The end of a long run is told, also if the webhook is away just then.
func TestTheEndOfALongRunIsTold(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.run(document(hooked))
		w.until("r1", rollout.AwaitingGate)
		w.change(func() { w.stands = 30 * time.Hour })
		pass(30*time.Hour + time.Second)
		w.change(func() { w.refuses = func(context.Context, Event) error { return errors.New("away") } })
		if _, err := w.engine.Act(t.Context(), "r1", act0(rollout.Abort, "ann")); err != nil {
			t.Fatal(err)
		}
		w.until("r1", rollout.Aborted)
		pass(time.Minute)
		w.change(func() { w.refuses = nil })
		pass(2 * time.Minute)
		if last := w.events()[len(w.events())-1]; last.Type != "aborted" {
			t.Error(last.Type)
		}
	})
}

func TestAMirrorIsAGuard(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.run(document(ungated, func(r *crossfadev1.Rollout) {
			r.Guards = append(r.Guards, &crossfadev1.RolloutGuard{Name: "mir", Mirror: "m1"})
		}))
		w.until("r1", rollout.Baking)
		w.change(func() { w.verdict = rollout.Inconclusive })
		pass(time.Minute)
		if st := w.status("r1"); st.GetState() != "Baking" || st.GetStep() != 1 || st.GetGuards()[2].GetMetric() != "mirror" {
			t.Fatalf("%v", st)
		}
		w.change(func() { w.verdict = rollout.Fail })
		w.until("r1", rollout.RolledBack)
	})
}

// query is a guard that asks each 10 s for a number of at most 5, and fails at the third in a row that is more.
func query(r *crossfadev1.Rollout) {
	r.Bake = durationpb.New(time.Minute)
	r.Guards = append(r.Guards, &crossfadev1.RolloutGuard{Name: "queue", Max: "5", Prometheus: &crossfadev1.RolloutQuery{Server: "main", Query: "sum(queue_length)"}})
}

func answers(value float64) func(context.Context) (float64, bool, string, error) {
	return func(context.Context) (float64, bool, string, error) { return value, true, "", nil }
}

func TestAQueryIsAGuard(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.asks = answers(3)
		w.run(document(ungated, query))
		w.until("r1", rollout.Baking)
		verdict := func(after time.Duration, want string) {
			t.Helper()
			pass(after)
			st := w.status("r1")
			if g := st.GetGuards()[2]; g.GetVerdict() != want || g.GetMetric() != "prometheus" || g.GetLimit() != 5 || st.GetStep() != 1 {
				t.Fatalf("not %s: %v", want, st)
			}
		}
		verdict(11*time.Second, "Pass")
		w.change(func() { w.asks = answers(7) })
		verdict(15*time.Second, "Inconclusive") // once or twice
		w.change(func() { w.asks = answers(4) })
		verdict(11*time.Second, "Pass")
		w.change(func() {
			w.asks = func(context.Context) (float64, bool, string, error) { return 0, false, "no element", nil }
		})
		verdict(time.Minute, "Inconclusive")
		w.change(func() {
			w.asks = func(context.Context) (float64, bool, string, error) {
				return 0, false, "", errors.New("connection refused")
			}
		})
		verdict(time.Minute, "Error")
		var before, after int
		w.change(func() { before = w.asked })
		pass(time.Minute)
		w.change(func() { after = w.asked })
		if n := after - before; n != 6 {
			t.Errorf("asked %d times a minute", n)
		}
		w.change(func() { w.asks = answers(4) })
		verdict(11*time.Second, "Pass")
		w.change(func() {
			w.asks = func(ctx context.Context) (float64, bool, string, error) { <-ctx.Done(); return 0, false, "", ctx.Err() }
		})
		verdict(45*time.Second, "Error") // the last answer is old
	})
}

func TestAQueryBeyondItsLimitRollsBack(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.asks = answers(3)
		w.run(document(ungated, query))
		w.until("r1", rollout.Baking)
		w.change(func() { w.asks = answers(7) })
		began := time.Now()
		w.until("r1", rollout.RolledBack)
		if took := time.Since(began); took < 20*time.Second || took > 31*time.Second {
			t.Errorf("took %s", took)
		}
		if reason := w.history(); !strings.Contains(reason, "queue: 7, beyond at most 5, 3 times in a row") {
			t.Error(reason)
		}
	})
}
