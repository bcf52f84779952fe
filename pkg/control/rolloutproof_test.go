package control_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/engine"
	"github.com/crossfade-proxy/crossfade/pkg/telemetry"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// patientWorld has rollouts, and a clock that is put forward by hand.
func patientWorld(t *testing.T, ahead *atomic.Int64) (*world, *telemetry.Telemetry) {
	t.Helper()
	began := time.Now()
	now := func() time.Time { return began.Add(time.Duration(ahead.Load())) }
	dir, reports := t.TempDir(), telemetry.New(telemetry.Options{Now: now})
	return newWorldWith(t, dir, control.Config{
		Now: now, Telemetry: reports,
		Rollouts: func(c engine.Control) control.Rollouts {
			return engine.New(engine.Config{Control: c, Traffic: &sound{}, Dir: dir, Roles: bobApproves.RolesOf})
		},
		RolloutRules: control.RolloutRules{Roles: bobApproves.Gates},
	}), reports
}

// awaitBack waits until rollout r1 goes back, and says what it waits for, and that it does so for 15 s.
func (w *world) awaitBack(waits string) {
	w.t.Helper()
	if err := inTime(w.t, time.Minute, func() error {
		if st, _ := w.Rollout("r1"); st.GetState() != "RollingBack" || !strings.Contains(st.GetWaitingFor(), waits) || !strings.Contains(st.GetWaitingFor(), "15s") {
			return fmt.Errorf("%s: %s", st.GetState(), st.GetWaitingFor())
		}
		return nil
	}); err != nil {
		w.t.Error(err)
	}
}

// An aborted rollout with a proxy that reports nothing says what it waits for, how long, and in the end what was not shown.
func TestAnAbortWithoutReportsSaysWhatItWaitsFor(t *testing.T) {
	var ahead atomic.Int64
	w, reports := patientWorld(t, &ahead)
	w.apply(0)
	w.proxy()
	reports.Connected("default", "p1", true)
	w.startRollout(rolloutDoc("r1"))
	w.awaitRollout("r1", "AwaitingGate")
	if _, err := w.ActOnRollout(t.Context(), "r1", "abort", 0, control.Options{Who: "ann"}); err != nil {
		t.Fatal(err)
	}
	w.awaitBack("waits for the proof of the proxies: fleet default: p1: has sent no metrics yet")
	ahead.Store(int64(time.Minute))
	st := w.awaitRollout("r1", "Aborted")
	if !strings.Contains(st.GetReason(), "without the proof of fleet default for 15s: p1: has sent no metrics yet") {
		t.Errorf("it ended with %q", st.GetReason())
	}
}

// TestAnAbortWithoutProxiesEnds: where all proxies of a fleet are gone nobody can show anything, and nobody can be waited for.
func TestAnAbortWithoutProxiesEnds(t *testing.T) {
	var ahead atomic.Int64
	w, reports := patientWorld(t, &ahead)
	w.apply(0)
	end := w.connect(deltaclient.New(deltaclient.Config{ID: "p1", Fleet: "default", ListenAddress: "127.0.0.1", Layers: translate.LayerNames()}))
	w.awaitProxy("default", "p1", xds.StateOK)
	reports.Connected("default", "p1", true)
	w.startRollout(rolloutDoc("r1"))
	w.awaitRollout("r1", "AwaitingGate")
	end()
	if _, err := w.ActOnRollout(t.Context(), "r1", "abort", 0, control.Options{Who: "ann"}); err != nil {
		t.Fatal(err)
	}
	w.awaitBack("no proxy is connected")
	ahead.Store(int64(time.Minute))
	if st := w.awaitRollout("r1", "Aborted"); !strings.Contains(st.GetReason(), "no proxy is connected") || w.weight() != 0 {
		t.Errorf("it ended with %q, at %d", st.GetReason(), w.weight())
	}
}
