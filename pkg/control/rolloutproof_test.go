package control_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/engine"
	"github.com/crossfade-proxy/crossfade/pkg/telemetry"
)

// An aborted rollout with a proxy that reports nothing says what it waits for, how long, and in the end what was not shown.
func TestAnAbortWithoutReportsSaysWhatItWaitsFor(t *testing.T) {
	var ahead atomic.Int64 // how far the clock was put forward; else it stands still
	began := time.Now()
	now := func() time.Time { return began.Add(time.Duration(ahead.Load())) }
	dir, reports := t.TempDir(), telemetry.New(telemetry.Options{Now: now})
	w := newWorldWith(t, dir, control.Config{
		Now: now, Telemetry: reports,
		Rollouts: func(c engine.Control) control.Rollouts {
			return engine.New(engine.Config{Control: c, Traffic: &sound{}, Dir: dir, Roles: bobApproves.RolesOf})
		},
		RolloutRules: control.RolloutRules{Roles: bobApproves.Gates},
	})
	w.apply(0)
	w.proxy()
	reports.Connected("default", "p1", true)
	w.startRollout(rolloutDoc("r1"))
	w.awaitRollout("r1", "AwaitingGate")
	if _, err := w.ActOnRollout(t.Context(), "r1", "abort", 0, control.Options{Who: "ann"}); err != nil {
		t.Fatal(err)
	}
	const waits = "waits for the proof of the proxies: fleet default: p1: has sent no metrics yet"
	if err := inTime(t, time.Minute, func() error {
		if st, _ := w.Rollout("r1"); st.GetState() != "RollingBack" || !strings.Contains(st.GetWaitingFor(), waits) || !strings.Contains(st.GetWaitingFor(), "15s") {
			return fmt.Errorf("%s: %s", st.GetState(), st.GetWaitingFor())
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	ahead.Store(int64(time.Minute))
	st := w.awaitRollout("r1", "Aborted")
	if !strings.Contains(st.GetReason(), "without the proof of fleet default for 15s: p1: has sent no metrics yet") {
		t.Errorf("it ended with %q", st.GetReason())
	}
}
