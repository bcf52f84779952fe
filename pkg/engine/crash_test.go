package engine

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// killed is a plan that is walked with an engine that dies at some place.
type killed struct {
	doc  *crossfadev1.Rollout
	bad  float64 // share of errors at eks
	ends rollout.Phase
}

// Wherever it dies, before or after a save, a change of the split, or a call of the webhook: the plan is walked to its end, each step once.
func TestKilledAnywhere(t *testing.T) {
	for name, k := range map[string]killed{
		"passes":  {document(ungated), 0, rollout.Completed},
		"asks":    {document(hooked), 0, rollout.Completed},
		"fails":   {document(ungated), 0.3, rollout.RolledBack},
		"by step": {document(ungated, func(r *crossfadev1.Rollout) { r.OnFailure = "gradual" }), 0, rollout.RolledBack},
	} {
		t.Run(name, func(t *testing.T) {
			for n := 1; ; n++ {
				reached := false
				t.Run(fmt.Sprint(n), func(t *testing.T) {
					in(t, func(t *testing.T, w *world) { reached = k.dies(t, w, n) })
				})
				if t.Failed() || !reached {
					if n < 8 {
						t.Errorf("only %d places", n)
					}
					return
				}
			}
		})
	}
}

// dies walks a plan with an engine that dies at its n-th place, and says whether there is one.
func (k killed) dies(t *testing.T, w *world, n int) (reached bool) {
	i, dead := 0, make(chan string, 1)
	var left map[string][]byte
	w.kill = func(what string) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		if i++; i == n {
			left = w.files()
			dead <- what
		}
		return i >= n
	}
	w.change(func() { w.errors["eks"] = k.bad })
	w.run(k.doc)
	deadline := time.After(3 * time.Minute)
	for !w.state("r1").Over() || !reached {
		select {
		case what := <-dead:
			reached = true
			t.Log("killed", what)
			pass(2 * time.Second)
			w.crash(left)
		case <-deadline:
			if reached {
				t.Fatalf("%v", w.status("r1"))
			}
			return false
		default:
		}
		pass(time.Second)
		if len(dead) == 0 {
			k.goOn(t, w)
		}
	}
	if pass(5 * time.Second); k.doc.GetHook() != nil {
		pass(time.Minute) // until the webhook is asked again
	}
	k.judge(t, w)
	return true
}

// goOn is what people and the world do meanwhile.
func (k killed) goOn(t *testing.T, w *world) {
	if w.state("r1") == rollout.AwaitingGate {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // it may die of it
		defer cancel()
		if _, err := w.engine.Act(ctx, "r1", act0(rollout.Approve, "bob")); err != nil {
			t.Log(err)
		}
	}
	if k.bad == 0 && k.ends == rollout.RolledBack && w.split("orders").weight == 10000 {
		w.change(func() { w.errors["eks"] = 0.3 })
	}
}

func (k killed) judge(t *testing.T, w *world) {
	if w.state("r1") != k.ends {
		t.Fatalf("%v", w.status("r1"))
	}
	got := weightsOf(w.causes("orders"))
	got = strings.Replace(got, " 0 0", " 0", 1) // one that was done and not stored is done once more, in the place of the gradual one that is stored
	switch {
	case k.ends == rollout.Completed && got != "1000 5000 10000",
		k.bad > 0 && got != "1000 0",
		k.bad == 0 && k.ends == rollout.RolledBack && got != "1000 5000 10000 5000 1000 0":
		t.Errorf("weights %s", got)
	}
	if k.doc.GetHook() == nil {
		return
	}
	asked := map[string]int{}
	for _, e := range w.events() {
		asked[e.Type+" "+e.ID[strings.IndexByte(e.ID, '/'):]]++
	}
	for what, times := range asked {
		if times > 2 { // at least once, and once more after a crash
			t.Errorf("%s: %d times", what, times)
		}
	}
	for step := 1; step <= 3; step++ {
		if asked[fmt.Sprintf("step.before /step-%d/before", step)] == 0 {
			t.Errorf("step %d was not asked for: %v", step, asked)
		}
	}
	approved := false
	for _, s := range strings.Split(w.history(), "\n") {
		approved = approved || strings.HasPrefix(s, "rollout approve")
	}
	if !approved {
		t.Errorf("nobody approved:\n%s", w.history())
	}
}

// What was observed before a restart counts after it, and what happened is still told.
func TestABakeGoesOn(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.run(document(ungated, func(r *crossfadev1.Rollout) { r.Bake = durationpb.New(10 * time.Minute) }))
		w.until("r1", rollout.Baking)
		pass(8 * time.Minute)
		notes := len(w.status("r1").GetNotes())
		w.crash(w.files())
		pass(time.Second)
		st := w.status("r1")
		if b := st.GetSteps()[0].GetBaked().AsDuration(); b < 7*time.Minute+50*time.Second {
			t.Errorf("baked %s", b)
		}
		if len(st.GetNotes()) != notes || notes == 0 {
			t.Errorf("%d notes, were %d", len(st.GetNotes()), notes)
		}
	})
}

// What guards learnt at one weight makes no Pass at the next, also if the engine died between the two.
func TestACrashBetweenWeightsBringsNoOldPass(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.run(document(ungated))
		w.until("r1", rollout.Baking)
		pass(9 * time.Second)
		old := w.files() // of the first weight
		for w.status("r1").GetStep() != 2 || w.state("r1") != rollout.Baking {
			pass(50 * time.Millisecond)
		}
		w.change(func() { w.rate = map[string]float64{} })
		w.crash(old)
		pass(2 * time.Second)
		if st := w.status("r1"); st.GetVerdict() != "Inconclusive" {
			t.Errorf("%v", st)
		}
	})
}

func TestABrokenFileIsAStepThatTakesLonger(t *testing.T) {
	for name, text := range map[string]string{
		"cut": `{"run":"r1@`, "null": "null", "foreign": `{"run":"r1@other","bake":3600000000000}`, "long": strings.Repeat(" ", maxKept+1), "negative": `{"bake":-1}`,
		"guards": `{"guards":{"lat":{"guard":"x"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, w *world) {
				w.run(document(ungated))
				w.until("r1", rollout.Baking)
				w.crash(map[string][]byte{"r1.json": []byte(text)})
				w.until("r1", rollout.Completed)
				w.engine.Close()
				if said := strings.Contains(w.log.String(), "observed anew"); said != (name != "foreign" && name != "null") {
					t.Error(w.log.String())
				}
			})
		})
	}
}

// A file belongs to its run: one that is over, or was deleted, leaves none.
func TestFilesGoWithTheirRuns(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		short := func(r *crossfadev1.Rollout) { r.Retention = durationpb.New(time.Minute) }
		w.run(document(ungated, short))
		w.run(document(ungated, func(r *crossfadev1.Rollout) { r.Name, r.Service = "r2", "cart" }))
		w.until("r1", rollout.Completed)
		pass(2 * time.Minute)
		if f := w.files(); len(f) != 1 || f["r2.json"] == nil {
			t.Errorf("%d files", len(f))
		}
		w.engine.Forget("r2")
		if f := w.files(); len(f) != 0 || w.status("r2") != nil || w.state("r1") != rollout.Completed {
			t.Errorf("%d files, %v", len(f), w.status("r2"))
		}
	})
}

// FuzzKept: whatever is in a file, it is refused or can be gone on from.
func FuzzKept(f *testing.F) {
	w := newWorld(f)
	w.start()
	defer w.engine.Close()
	doc := w.plan(document())
	x, err := w.engine.newWalker(doc, 1)
	if err != nil {
		f.Fatal(err)
	}
	w.engine.keep.write("r1", x.keepable())
	f.Add(w.files()["r1.json"])
	f.Add([]byte(`{"run":"r1@0","guards":{"lat":null},"past":[{"id":"x"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := parseKept(data)
		if err != nil {
			return
		}
		s := k.over(x.stored)
		if s.Bake < 0 || s.Requests < 0 || s.Kept < 0 {
			t.Fatalf("%+v", s)
		}
		g := newWatched(x.guards[0].g, x.plan)
		g.restore(k.Guards["lat"], k.Primary["lat"])
		g.observe(pairOf(100))
		if g.result.Code == "unusable" {
			t.Fatal(g.result.Message)
		}
	})
}
