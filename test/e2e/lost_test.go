package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// TestLostOverARestart: a proxy that was there before the control plane was killed, and is not after it, is named and keeps proof away until
// it is back.
func TestLostOverARestart(t *testing.T) {
	w := newWorld(t, "", 2)
	w.apply(w.service("orders", "http1", 5000))
	w.ready()
	gone := w.Proxies[1]
	w.await("the file of proxies", func() bool {
		b, err := os.ReadFile(filepath.Join(w.Dir, "data", "proxies.json"))
		return err == nil && strings.Contains(string(b), gone.ID)
	})
	w.KillServer()
	gone.Kill()
	if err := w.RestartServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.await("the other one to be back", func() bool {
		got, err := w.API.ListProxies(t.Context(), &crossfadev1.ListProxiesRequest{})
		if err != nil || len(got.GetItems()) != 2 {
			t.Fatalf("proxies: %v, %v", got, err)
		}
		return got.GetItems()[0].GetState() == "ok"
	})
	w.ctl("rollback", "orders").want(t, 0, "1/1 proxies acknowledged", "whether eks still gets requests is unknown", gone.ID)
	rollback := func() *crossfadev1.Change {
		t.Helper()
		got, err := w.API.Rollback(t.Context(), &crossfadev1.RollbackRequest{Service: "orders"})
		if err != nil {
			t.Fatal(err)
		}
		return got.GetChanges()[0]
	}
	if c := rollback(); !slices.Equal(c.GetFleet().GetLost(), []string{gone.ID}) || c.GetProof().GetState() != "unknown" {
		t.Errorf("with one lost: %v", c)
	}
	if _, err := w.AddTwin(t.Context(), gone); err != nil { // the lost one, on another address
		t.Fatal(err)
	}
	w.await("the lost one to be back", func() bool {
		got, err := w.API.ListProxies(t.Context(), &crossfadev1.ListProxiesRequest{})
		return err == nil && len(got.GetItems()) == 2 && got.GetItems()[1].GetState() == "ok"
	})
	if c := rollback(); len(c.GetFleet().GetLost()) > 0 || c.GetFleet().GetAcked() != 2 || c.GetProof().GetState() == "unknown" {
		t.Errorf("with none lost: %v", c)
	}
}
