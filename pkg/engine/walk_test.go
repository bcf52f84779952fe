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
	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// in runs a test in virtual time, with an engine that walks nothing yet.
func in(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		defer w.leaves()
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
		stranger := act0(rollout.Approve, "bob@desk")
		stranger.Name = "bob@desk" // the name in a certificate, whole
		if _, err := w.engine.Act(t.Context(), "r1", stranger); err == nil {
			t.Error("by a certificate somebody else is bob")
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
		for _, s := range strings.Split(w.history(), "\n") {
			if !strings.HasPrefix(s, "rollout ") {
				t.Error(s)
			}
		}
		if n := 1 + strings.Count(w.history(), "\n"); n > 9 { // two a step, a gate, an approval and the end
			t.Errorf("%d revisions:\n%s", n, w.history())
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
		if st := w.status("r1"); st.GetEnded() == nil || !strings.Contains(w.history(), "error rate") {
			t.Errorf("%v\n%s", st, w.history())
		}
	})
}

func TestNobodyWaits(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
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

func TestTwoHundredAtOnce(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		for i := range 200 {
			w.run(document(ungated, func(r *crossfadev1.Rollout) {
				r.Name, r.Service, r.Steps = fmt.Sprintf("r%d", i), fmt.Sprintf("s%d", i), r.Steps[:1]
			}))
		}
		for i := range 200 {
			w.until(fmt.Sprintf("r%d", i), rollout.Completed)
		}
	})
}

// A limit of a latency that most requests are beyond is seen as soon.
func TestSlownessRollsBack(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.run(document(ungated))
		w.until("r1", rollout.Baking)
		time.Sleep(6 * time.Second)
		w.change(func() { w.slow["eks"] = 12 * time.Second })
		began := time.Now()
		w.until("r1", rollout.RolledBack)
		if took := time.Since(began); took > 5*time.Second || !strings.Contains(w.status("r1").GetReason()+w.history(), "lat") {
			t.Errorf("took %s: %v", took, w.status("r1"))
		}
	})
}

// Silence is no health: what is not counted was not seen to pass.
func TestProxiesThatReportNothingHold(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.run(document(ungated, func(r *crossfadev1.Rollout) {
			r.Guards = append(r.Guards, &crossfadev1.RolloutGuard{Name: "floor", Metric: "requests", Min: "50"})
		}))
		w.until("r1", rollout.Baking)
		time.Sleep(5 * time.Second)
		w.change(func() { w.mute = true })
		time.Sleep(10 * time.Minute)
		st := w.status("r1")
		if st.GetState() != "Baking" || st.GetStep() != 1 || st.GetGuards()[2].GetCode() != "silent" || st.GetVerdict() != "Inconclusive" || !strings.Contains(st.GetWaitingFor(), "no proxy reports") {
			t.Fatalf("%v", st)
		}
		w.change(func() { w.mute = false })
		w.until("r1", rollout.Completed)
	})
}

func TestFleetsOfAServiceChange(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.run(document(ungated))
		w.until("r1", rollout.Baking)
		w.change(func() { w.fleets = []string{"default", "edge"} })
		time.Sleep(time.Second)
		w.change(func() {
			if w.made != 2 || w.watches != 1 {
				t.Errorf("%d watches, %d open", w.made, w.watches)
			}
		})
		w.until("r1", rollout.Completed)
	})
}

// A machine that stood still has not observed anything meanwhile.
func TestStandingStillIsNotBaking(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.run(document(ungated, func(r *crossfadev1.Rollout) { r.Bake = durationpb.New(time.Minute) }))
		w.until("r1", rollout.Baking)
		time.Sleep(5 * time.Second)
		w.change(func() { w.stands = 5 * time.Minute })
		time.Sleep(5*time.Minute + time.Second)
		st := w.status("r1")
		if b := st.GetSteps()[0].GetBaked().AsDuration(); st.GetStep() != 1 || b > 17*time.Second || st.GetVerdict() == "Error" {
			t.Fatalf("baked %s: %v", b, st)
		}
		w.until("r1", rollout.Completed)
	})
}

func TestTheServiceIsNoMore(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.run(document(ungated))
		w.until("r1", rollout.Baking)
		w.change(func() { w.gone = true })
		time.Sleep(time.Minute)
		if st := w.status("r1"); st.GetDrift() == "" || st.GetStep() != 1 {
			t.Errorf("%v", st)
		}
		_, err := w.engine.Act(t.Context(), "r1", act0(rollout.Pause, "ann"))
		if e := (*policy.Error)(nil); !errors.As(err, &e) || e.Code != "service_gone" {
			t.Error(err)
		}
		w.change(func() { w.gone = false })
		w.until("r1", rollout.Completed)
		if d := w.status("r1").GetDrift(); d != "" {
			t.Error(d)
		}
	})
}

// A primary that was ill and is well again does not hold the rollout for as long as evidence takes to fade.
func TestAPrimaryThatIsWellAgain(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.run(document(ungated))
		w.until("r1", rollout.Baking)
		w.change(func() { w.errors["ecs"] = 0.5 })
		w.until("r1", rollout.Frozen)
		time.Sleep(30 * time.Second)
		w.change(func() { delete(w.errors, "ecs") })
		time.Sleep(15 * time.Second)
		if _, err := w.engine.Act(w.t.Context(), "r1", act0(rollout.Resume, "ann")); err == nil {
			t.Error("resumed at once")
		}
		time.Sleep(90 * time.Second)
		if _, err := w.engine.Act(w.t.Context(), "r1", act0(rollout.Resume, "ann")); err != nil {
			t.Fatal(err)
		}
		w.until("r1", rollout.Completed)
	})
}

// early is traffic whose requests are known before their latencies are, as with load reports and the statistics that come after them.
type early struct {
	Traffic
}

func (e early) Watch(service string, fleets []string, origins ...string) Watch {
	return &earlyWatch{Watch: e.Traffic.Watch(service, fleets, origins...)}
}

type earlyWatch struct {
	Watch
	late [][]guard.Bucket
}

func (e *earlyWatch) Read(now time.Time) []guard.Window {
	windows := e.Watch.Read(now)
	if e.late != nil { // what the last windows lacked, and nothing else
		for i := range windows {
			windows[i] = guard.Window{Length: windows[i].Length, Latency: e.late[i]}
		}
		e.late = nil
		return windows
	}
	for i := range windows {
		e.late = append(e.late, windows[i].Latency)
		windows[i].Latency = nil
	}
	return windows
}

func TestLatenciesThatComeAlone(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.engine.Traffic = early{w.engine.Traffic}
		w.run(document(ungated))
		w.until("r1", rollout.Completed)
		if g := w.status("r1").GetGuards()[0]; g.GetName() != "lat" || g.GetSamples() == 0 {
			t.Errorf("%v", g)
		}
	})
}
