package e2e

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/envoybin"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

// TestRollouts walks plans beside each other, with real Envoys. What proxies measure is tried with the oldest of them as well.
func TestRollouts(t *testing.T) {
	t.Parallel() // like all of these: most of the time they wait
	measured := map[string]func(*app){
		"ramp":     (*app).aHealthyRamp,
		"latency":  (*app).slowAnswersGoBack,
		"grpc":     (*app).statusesOfGRPCGoBack,
		"refusing": (*app).closedPortsGoBack,
		"hidden":   (*app).hiddenFailuresGoBack,
	}
	decided := map[string]func(*app){
		"hook":     (*app).aHookHoldsTheStep,
		"rollback": (*app).aRollbackByHandEndsIt,
		"split":    (*app).aSplitByHandPausesIt,
		"gates":    (*app).whoMayOpenAGate,
		"reject":   (*app).rejectAndPromote,
		"abort":    (*app).abortLeavesNothing,
		"kept":     (*app).theOldOriginIsKept,
		"back":     (*app).aRollbackAfterPromotion,
		"quiet":    (*app).noTrafficHolds,
		"primary":  (*app).anIllPrimaryFreezes,
		"two":      (*app).twoPlans,
		"onefile":  (*app).serviceAndRolloutInOneFile,
	}
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		w, hooks := newRolloutWorld(t, version, 2, func(*stack.Config) {})
		together(t, w, hooks, measured)
		if version == envoybin.Newest {
			together(t, w, hooks, decided)
		}
	})
}

// TestFivePercentErrorsGoBack: three times, eks gets 60 requests a second at 10 % and then begins to fail 5 % of them. Everything goes back by itself, with the
// numbers as the reason, and ecs fails nobody.
func TestFivePercentErrorsGoBack(t *testing.T) {
	const rate, limit = 600, 20 * time.Second
	t.Parallel()
	w, hooks := newRolloutWorld(t, "", 2, func(*stack.Config) {})
	a := w.newApp(t, "orders", hooks)
	for run := range 3 {
		q := a.ask(rate)
		st := a.start(long(a.doc(1000, 10000)))
		a.bakes(1000)
		before := a.eks.Total()
		a.await("requests at eks", func() bool { return a.eks.Total() > before+2*rate/10 }) // 2 s
		a.errors(a.eks, 0.05)
		a.ended("RolledBack", 0)
		last, _ := a.eks.Last("orders.test")
		a.left(a.eks.Total())
		took := last - q.firstError()
		t.Logf("run %d: the last request reached eks %v after its first error", run+1, took.Round(time.Millisecond))
		if q.firstError() == 0 || took > limit {
			t.Errorf("run %d: %v from the first error to the last request at eks", run+1, took)
		}
		a.recorded(st.GetRun())
		a.wentBackFor("guard err", "%")
		q.noneAtECS()
		a.errors(a.eks, 0)
	}
}

// aHealthyRamp ends at 100 %, nobody sees a failure, and the webhook was asked before each step and told the rest.
func (a *app) aHealthyRamp() {
	q := a.ask(usualRate)
	doc := a.told(a.doc(1000, 5000, 10000))
	doc.Bake = durationpb.New(3 * time.Second)
	doc.Guards = append(doc.Guards, &crossfadev1.RolloutGuard{Name: "lat", Metric: "p50", Max: "5s", Window: doc.Bake, Settle: durationpb.New(0)})
	var early []string
	a.answer(func(c call) int {
		if c.event == "step.before" && a.share(a.name) != []int32{0, 1000, 5000, 10000}[c.rollout.GetStep()-1] {
			early = append(early, c.id)
		}
		return http.StatusOK
	})
	st := a.start(doc)
	a.ended("Completed", 10000)
	a.hookWas(st.GetRun(), "step.before", "started", "step.before", "step.after", "step.before", "step.after", "step.after", "completed")
	if len(early) > 0 {
		a.t.Errorf("at %q the weight was set already", early)
	}
	a.once(st.GetRun(), "step-1/set 1000", "step-2/set 5000", "step-3/set 10000")
	a.bakedFor(3*time.Second, nil)
	a.neverAbove()
	q.none()
}

// slowAnswersGoBack: the candidate becomes slow.
func (a *app) slowAnswersGoBack() {
	q := a.asking(usualRate, loadgen.Config{Connections: 128})
	a.faulty(a.ecs, origin.Faults{Latency: 20 * time.Millisecond}) // below 10 ms, proxies measure whole milliseconds
	a.faulty(a.eks, origin.Faults{Latency: 20 * time.Millisecond})
	doc := long(a.doc(2000, 10000))
	doc.Guards = []*crossfadev1.RolloutGuard{{Name: "rel", Metric: "p90", MaxRatio: 1.5, Against: "ecs"}, doc.Guards[0]}
	a.start(doc)
	a.bakes(2000)
	a.until("known to be fast enough", func(st *crossfadev1.RolloutStatus) bool { return st.GetGuards()[0].GetVerdict() == "Pass" })
	a.faulty(a.eks, origin.Faults{Latency: time.Second})
	began := time.Now()
	a.ended("RolledBack", 0)
	a.wentBackFor("guard rel")
	a.t.Logf("over %v after the first slow request", time.Since(began).Round(time.Millisecond))
	q.none()
}

// closedPortsGoBack: nobody listens any more where the candidate was.
func (a *app) closedPortsGoBack() {
	q := a.ask(usualRate)
	a.start(long(a.doc(2000, 10000)))
	a.bakes(2000)
	total := a.eks.Total()
	a.await("requests at eks", func() bool { return a.eks.Total() > total+20 })
	if err := a.eks.SetState(origin.Refusing); err != nil {
		a.t.Fatal(err)
	}
	began, closed := time.Now(), origin.Now()
	a.ended("RolledBack", 0)
	a.wentBackFor("guard err")
	over := time.Since(began)
	a.left(a.eks.Total())
	q.stop()
	a.t.Logf("the last request was lost %v after the port was closed, and it was over after %v; of %d requests %d were lost", (q.last - closed).Round(time.Millisecond),
		over.Round(time.Millisecond), q.done, q.lost)
	if q.lost == 0 || q.errors["ecs"] > 0 || !slices.ContainsFunc(slices.Collect(maps.Keys(q.why)), func(s string) bool { return strings.Contains(s, "503") }) {
		a.t.Errorf("of %d requests %d were lost: %v; errors %v", q.done, q.lost, q.why, q.errors)
	}
	for why := range q.why {
		if !strings.Contains(why, "503") {
			a.t.Errorf("lost with %q", why)
		}
	}
}
