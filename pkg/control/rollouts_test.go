package control_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/pkg/access"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/engine"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
)

// sound is traffic of which a share may fail.
type sound struct{ failing atomic.Bool }

func (s *sound) Watch(string, []string, ...string) engine.Watch { return &soundWatch{s, time.Now()} }

type soundWatch struct {
	s    *sound
	last time.Time
}

func (w *soundWatch) Read(now time.Time) []guard.Window {
	a, b := guard.Window{Length: now.Sub(w.last)}, guard.Window{Length: now.Sub(w.last)}
	w.last = now
	a.Completed, b.Completed = uint64(a.Length.Milliseconds()), uint64(a.Length.Milliseconds())
	if w.s.failing.Load() {
		a.Failed = a.Completed
	}
	return []guard.Window{a, b}
}

func (w *soundWatch) Reporting(time.Time) (int, int) { return 1, 0 }
func (w *soundWatch) Changed() <-chan struct{}       { return nil }
func (w *soundWatch) Close()                         {}

// bobApproves are rules by which bob opens gates.
var bobApproves = access.New(map[string][]access.Member{access.Approver: {{Name: "bob"}}})

// rolloutWorld is a world with an engine, a service and a proxy.
func rolloutWorld(t *testing.T, dir string) (*world, *sound) {
	t.Helper()
	s := &sound{}
	w := newWorldWith(t, dir, control.Config{
		Rollouts: func(c engine.Control) control.Rollouts {
			return engine.New(engine.Config{Control: c, Traffic: s, Dir: dir, Roles: bobApproves.RolesOf})
		},
		RolloutRules: control.RolloutRules{Roles: bobApproves.Gates},
	})
	return w, s
}

func rolloutDoc(name string) *crossfadev1.Rollout {
	return &crossfadev1.Rollout{
		ApiVersion: policy.APIVersion, Kind: policy.KindRollout, Name: name, Service: "orders", To: "eks", Bake: durationpb.New(time.Second),
		Steps:  []*crossfadev1.RolloutStep{{Weight: 1000}, {Weight: 10000, Gate: &crossfadev1.RolloutGate{Approval: &crossfadev1.RolloutApproval{Role: "approver"}}}},
		Guards: []*crossfadev1.RolloutGuard{{Name: "err", Metric: "errorRate", Max: "0.5%", Window: durationpb.New(time.Second)}},
	}
}

func (w *world) startRollout(doc *crossfadev1.Rollout) {
	w.t.Helper()
	if _, _, err := w.StartRollout(w.t.Context(), doc, "", 0, control.Options{Who: "ann"}); err != nil {
		w.t.Fatal(err)
	}
}

// proxy connects a proxy that takes everything.
func (w *world) proxy() {
	w.proxyThat("default", "p1", func(deltaclient.Response) deltaclient.Verdict { return deltaclient.Verdict{} })
}

// awaitRollout waits until a rollout is in a state.
func (w *world) awaitRollout(name, state string) *crossfadev1.RolloutStatus {
	w.t.Helper()
	var st *crossfadev1.RolloutStatus
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	if err := poll.Until(ctx, 10*time.Millisecond, func(context.Context) error {
		if st, _ = w.Rollout(name); st.GetState() != state {
			return fmt.Errorf("%s is %s: %s (%s)", name, st.GetState(), st.GetWaitingFor(), st.GetReason())
		}
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	return st
}

func (w *world) weight() int32 {
	_, st, err := w.Get("service", "orders")
	if err != nil {
		w.t.Fatal(err)
	}
	return st.GetSplit()["eks"]
}

func TestARolloutIsWalkedByRevisions(t *testing.T) {
	w, _ := rolloutWorld(t, t.TempDir())
	w.apply(0)
	w.proxy()
	w.startRollout(rolloutDoc("r1"))
	w.awaitRollout("r1", "AwaitingGate")
	if _, err := w.ActOnRollout(t.Context(), "r1", "approve", 0, control.Options{Who: "ann"}); !has(err, "role_needed") {
		t.Errorf("somebody without the role: %v", err)
	}
	if _, err := w.ActOnRollout(t.Context(), "r1", "approve", 0, control.Options{Who: "bob", Reason: "fine"}); err != nil {
		t.Fatal(err)
	}
	w.awaitRollout("r1", "Completed")
	if w.weight() != 10000 {
		t.Error(w.weight())
	}
	all, err := w.History(t.Context(), "", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, r := range all {
		if r.GetAfter().GetRollout().GetRun().GetWalk() != nil {
			t.Error("the walk is shown")
		}
		told = append(told, r.GetAction()+" by "+r.GetWho()+" "+strings.SplitN(r.GetCause(), "/", 2)[len(strings.SplitN(r.GetCause(), "/", 2))-1])
	}
	text := strings.Join(told, "\n")
	for _, want := range []string{"rollout start by ann", "split set by rollout r1 (started by ann) step-1/set", "split set by rollout r1 (started by ann) step-2/set", "rollout approve by bob", "rollout complete"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the history:\n%s", want, text)
		}
	}
	// The origin that was left is kept.
	doc := orders(0).GetService()
	doc.Split, doc.Origins, doc.Primary = nil, doc.Origins[1:], "eks"
	if _, err := w.Apply(t.Context(), []*crossfadev1.Document{{Object: &crossfadev1.Document_Service{Service: doc}}}, none()); err == nil {
		t.Error("the old origin was removed")
	}
	if _, err := w.Controller.Rollback(t.Context(), control.RollbackTarget{Service: "orders"}, none()); err != nil {
		t.Fatal(err)
	}
	w.awaitRollout("r1", "RolledBack")
}

func TestAFailingGuardRollsBackWithItsReason(t *testing.T) {
	w, s := rolloutWorld(t, t.TempDir())
	w.apply(0)
	w.proxy()
	w.startRollout(rolloutDoc("r1"))
	w.awaitRollout("r1", "AwaitingGate")
	s.failing.Store(true)
	w.awaitRollout("r1", "RolledBack") // RollingBack may be over before anybody looks
	if w.weight() != 0 {
		t.Error(w.weight())
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := poll.Until(ctx, 10*time.Millisecond, func(context.Context) error {
		all, err := w.History(t.Context(), "orders", 0, 1)
		if err != nil || all[0].GetAction() != control.ActionRollback || !strings.Contains(all[0].GetReason(), "guard err: error rate ") || !strings.HasSuffix(all[0].GetCause(), "/back") {
			return fmt.Errorf("recorded: %v, %w", all, err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func TestWhatARolloutMayNot(t *testing.T) {
	w, _ := rolloutWorld(t, t.TempDir())
	start := func(change func(*crossfadev1.Rollout)) error {
		doc := rolloutDoc("r1")
		change(doc)
		_, _, err := w.StartRollout(t.Context(), doc, "", 0, control.Options{Who: "ann"})
		return err
	}
	same := func(*crossfadev1.Rollout) {}
	if err := start(same); !has(err, "unknown_service") {
		t.Error(err)
	}
	w.apply(0)
	for code, change := range map[string]func(*crossfadev1.Rollout){
		"origin_unknown": func(r *crossfadev1.Rollout) { r.To = "gke" },
		"mirror_unknown": func(r *crossfadev1.Rollout) {
			r.Guards = append(r.Guards, &crossfadev1.RolloutGuard{Name: "m", Mirror: "m1"})
		},
		"steps_order": func(r *crossfadev1.Rollout) { r.Steps[1].Weight = 500 },
	} {
		if err := start(change); !has(err, code) {
			t.Errorf("%s: %v", code, err)
		}
	}
	if err := start(func(r *crossfadev1.Rollout) { r.Hook = &crossfadev1.RolloutHook{Url: "https://hooks.test/x"} }); err == nil {
		t.Error("a hook that nobody allowed")
	}
	if err := start(func(r *crossfadev1.Rollout) { r.Steps[1].Gate.Approval.Role = "pope" }); err == nil {
		t.Error("a role that nobody has")
	}
	if err := start(same); err != nil {
		t.Fatal(err)
	}
	if err := start(same); !has(err, "rollout_underway") {
		t.Error(err)
	}
	if err := start(func(r *crossfadev1.Rollout) { r.Name = "r2" }); !has(err, "rollout_running") {
		t.Error(err)
	}
	for what, f := range map[string]func() error{
		"delete of the service": func() error { _, err := w.Delete(t.Context(), "service", "orders", none()); return err },
		"delete of the rollout": func() error { _, err := w.Delete(t.Context(), "rollout", "r1", none()); return err },
		"an origin removed": func() error {
			doc := orders(0).GetService()
			doc.Split, doc.Origins = nil, doc.Origins[:1]
			_, err := w.Apply(t.Context(), []*crossfadev1.Document{{Object: &crossfadev1.Document_Service{Service: doc}}}, none())
			return err
		},
	} {
		if f() == nil {
			t.Errorf("%s was done", what)
		}
	}
	if _, err := w.ActOnRollout(t.Context(), "r1", "abort", 0, control.Options{Who: "ann"}); err != nil {
		t.Fatal(err)
	}
	w.awaitRollout("r1", "Aborted")
	if _, err := w.Delete(t.Context(), "rollout", "r1", none()); err != nil {
		t.Error(err)
	}
	if _, err := w.Rollout("r1"); !has(err, "unknown_rollout") {
		t.Error(err)
	}
}

// An apply without a split, and one that changes something else, leave a rollout on its way; a split set by hand pauses it, with the same weights as well.
func TestWhoseSplitItIs(t *testing.T) {
	w, _ := rolloutWorld(t, t.TempDir())
	w.apply(0)
	w.proxy()
	w.startRollout(rolloutDoc("r1"))
	w.awaitRollout("r1", "AwaitingGate")
	doc := orders(0).GetService()
	doc.Split = nil
	doc.Timeouts = &crossfadev1.Timeouts{Request: durationpb.New(7 * time.Second)}
	if _, err := w.Apply(t.Context(), []*crossfadev1.Document{{Object: &crossfadev1.Document_Service{Service: doc}}}, none()); err != nil {
		t.Fatal(err)
	}
	if st := w.awaitRollout("r1", "AwaitingGate"); st.GetWeight() != 1000 {
		t.Error(st.GetWeight())
	}
	if _, err := w.SetSplit(t.Context(), "orders", map[string]int32{"eks": 1500}, control.Options{Who: "cleo", Wait: crossfadev1.Wait_WAIT_NONE}); err != nil {
		t.Fatal(err)
	}
	if st := w.awaitRollout("r1", "Paused"); !strings.Contains(st.GetReason(), "cleo") {
		t.Error(st.GetReason())
	}
}

// A server that starts again goes on where the one before it was.
func TestARolloutGoesOnAfterARestart(t *testing.T) {
	dir := t.TempDir()
	w, _ := rolloutWorld(t, dir)
	w.apply(0)
	w.proxy()
	w.startRollout(rolloutDoc("r1"))
	w.awaitRollout("r1", "AwaitingGate")
	w.stop()
	w, _ = rolloutWorld(t, dir)
	w.proxy()
	if st := w.awaitRollout("r1", "AwaitingGate"); st.GetStep() != 2 || st.GetStartedBy() != "ann" {
		t.Errorf("%v", st)
	}
	if _, err := w.ActOnRollout(t.Context(), "r1", "approve", 0, control.Options{Who: "bob"}); err != nil {
		t.Fatal(err)
	}
	w.awaitRollout("r1", "Completed")
}

// TestGatesByVerifiedNames: roles and who has started are those of certificates, whatever the caller calls itself, and so says the history.
func TestGatesByVerifiedNames(t *testing.T) {
	w, _ := rolloutWorld(t, t.TempDir())
	w.apply(0)
	w.proxy()
	doc := rolloutDoc("r1")
	doc.Steps[1].Gate.Approval.NotStarter = true
	if _, _, err := w.StartRollout(t.Context(), doc, "", 0, control.Options{Who: "ann (as bob@desk)", Name: "ann", Verified: true}); err != nil {
		t.Fatal(err)
	}
	w.awaitRollout("r1", "AwaitingGate")
	for _, o := range []control.Options{{Who: "ann (as bob)", Name: "ann"}, {Who: "bob@desk", Name: "bob@desk"}, {Who: "spiffe://e.test/bob", Name: "spiffe://e.test/bob"}} {
		o.Verified = true
		if _, err := w.ActOnRollout(t.Context(), "r1", "approve", 0, o); err == nil {
			t.Errorf("%s has approved", o.Who)
		}
	}
	if _, err := w.ActOnRollout(t.Context(), "r1", "approve", 0, control.Options{Who: "bob (as ann@laptop)", Name: "bob", Verified: true}); err != nil {
		t.Fatal(err)
	}
	found, err := w.History(t.Context(), "", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range found {
		if r.GetKind() == policy.KindRollout && !r.GetVerified() {
			t.Errorf("%s by %s is not verified", r.GetAction(), r.GetWho())
		}
	}
}
