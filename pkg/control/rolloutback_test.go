package control_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/engine"
)

// A primary that was scaled down to nothing that is ready gets its traffic back by steps, as the plan says: that something fails is no time to ask for
// permission.
func TestStepsBackToAPrimaryThatIsShortOfEndpoints(t *testing.T) {
	dir, finds, s := t.TempDir(), newScript(), &sound{}
	w := newWorldWith(t, dir, control.Config{
		Discovery: control.Discovery{Watch: finds.watch, File: filepath.Join(dir, "endpoints.json"), Rules: discovery.Rules{}},
		Rollouts: func(c engine.Control) control.Rollouts {
			return engine.New(engine.Config{Control: c, Traffic: s, Dir: dir, Roles: bobApproves.RolesOf})
		},
		RolloutRules: control.RolloutRules{Roles: bobApproves.Gates},
	})
	doc := moving("prod", 10000)
	doc.GetService().Primary = "eks"
	finds.say(shop, "1")
	w.applyAll(doc)
	w.proxy()
	r := rolloutDoc("r1")
	r.To, r.OnFailure, r.BackPause = "ecs", "gradual", durationpb.New(time.Second)
	r.Steps = []*crossfadev1.RolloutStep{{Weight: 1000}, {Weight: 5000}, {Weight: 10000, Bake: durationpb.New(time.Hour)}}
	w.startRollout(r)
	if err := inTime(t, time.Minute, func() error {
		if st, _ := w.Rollout("r1"); st.GetStep() != 3 || st.GetState() != "Baking" {
			return fmt.Errorf("step %d: %s, %s", st.GetStep(), st.GetState(), st.GetWaitingFor())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	finds.say(shop, "1d")
	if err := inTime(t, time.Minute, func() error {
		if found, err := w.Origins("orders", "eks"); err != nil || found[0].GetState() != control.OriginEmpty {
			return fmt.Errorf("eks: %v, %w", found, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	s.failing.Store(true)
	w.awaitRollout("r1", "RolledBack")
	var back []int32
	for _, r := range w.history() {
		back = append(back, r.GetAfter().GetService().GetSplit().GetWeights()["ecs"])
	}
	if got := back[:4]; got[0] != 0 || got[1] != 1000 || got[2] != 5000 || got[3] != 10000 {
		t.Errorf("weights, the last one first: %v", back)
	}
}

// A rollback that keeps pins to the new origin does not end a rollout with the words that the primary has everything.
func TestARolloutThatEndsWithPinsKeptSaysSo(t *testing.T) {
	w, _ := rolloutWorld(t, t.TempDir())
	doc := orders(0)
	doc.GetService().Pins = []*crossfadev1.Pin{betaPin()}
	w.applyAll(doc)
	w.proxy()
	w.startRollout(rolloutDoc("r1"))
	w.awaitRollout("r1", "AwaitingGate")
	if _, err := w.Controller.Rollback(t.Context(), control.RollbackTarget{Service: "orders", KeepPins: true}, none()); err != nil {
		t.Fatal(err)
	}
	if st := w.awaitRollout("r1", "RolledBack"); !strings.Contains(st.GetReason(), "pins to eks are on") {
		t.Errorf("it ended with %q", st.GetReason())
	}
}
