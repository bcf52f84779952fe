package control_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/telemetry"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
)

// Where proxies are replaced all day, thousands are lost. A change counts them all and names some: its answer is sent, and stored with each revision.
func TestThousandsOfLostProxiesAreCountedAndFewAreNamed(t *testing.T) {
	const lost = 5000
	reports := telemetry.New(telemetry.Options{})
	w := newWorldWith(t, t.TempDir(), control.Config{Telemetry: reports})
	var seen []xds.Memory
	for i := range lost {
		id := fmt.Sprintf("task-%04d", i)
		seen = append(seen, xds.Memory{Fleet: "default", Proxy: id, LastSeen: time.Now()})
		reports.Remember("default", id, time.Now())
	}
	w.apply(5000)
	w.fleets.Remember(seen)
	w.proxyThat("default", "task-9999", func(deltaclient.Response) deltaclient.Verdict { return deltaclient.Verdict{} })
	reports.Connected("default", "task-9999", true)
	changes, err := w.Rollback(t.Context(), orderTarget, control.Options{Who: "ann", Wait: crossfadev1.Wait_WAIT_ACKED})
	if err != nil {
		t.Fatal(err)
	}
	c := changes[0]
	if f := c.GetFleet(); f.GetConnected() != 1 || f.GetAcked() != 1 || len(f.GetLost()) != 100 || f.GetLostMore() != lost-100 {
		t.Errorf("%d connected, %d acknowledged, %d named and %d more are lost", f.GetConnected(), f.GetAcked(), len(f.GetLost()), f.GetLostMore())
	}
	if p := c.GetProof(); p.GetState() != string(telemetry.Unknown) || len(p.GetPerProxy()) != 101 || p.GetPerProxy()[100].GetProxy() != "task-9999" {
		t.Errorf("the proof is %s, of %d proxies", p.GetState(), len(p.GetPerProxy()))
	}
	if said := strings.Join(c.GetWarnings(), "\n"); !strings.Contains(said, "task-0004 and 4995 more") {
		t.Errorf("warnings: %s", said)
	}
}
