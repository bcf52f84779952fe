package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// roster waits until the file of proxies says something.
func (p *process) rosterSays(dir, text string) {
	p.t.Helper()
	p.await("the file of proxies", func() bool {
		b, err := os.ReadFile(filepath.Join(dir, rosterFile))
		return err == nil && strings.Contains(string(b), text)
	})
}

// TestAProxyIsKnownToBeLostOverARestart, also after a kill.
func TestAProxyIsKnownToBeLostOverARestart(t *testing.T) {
	for name, end := range map[string]syscall.Signal{"kill": syscall.SIGKILL, "SIGTERM": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			p := launch(t, dir)
			if _, err := p.client().Apply(t.Context(), &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{orders()}}); err != nil {
				t.Fatal(err)
			}
			silentProxy(t, p)
			if end == syscall.SIGKILL { // otherwise it is written at the end
				p.rosterSays(dir, `"deaf"`)
			}
			p.signal(end)
			<-p.ended
			p = launch(t, dir)
			got, err := p.client().ListProxies(t.Context(), &crossfadev1.ListProxiesRequest{})
			if err != nil || len(got.GetItems()) != 1 || got.GetItems()[0].GetProxy() != "deaf" || got.GetItems()[0].GetState() != "lost" || got.GetItems()[0].GetLastSeen() == nil {
				t.Fatalf("after the restart: %v, %v", got, err)
			}
			change, err := p.client().Rollback(t.Context(), &crossfadev1.RollbackRequest{Service: "orders"})
			if err != nil {
				t.Fatal(err)
			}
			c := change.GetChanges()[0]
			if lost := c.GetFleet().GetLost(); len(lost) != 1 || lost[0] != "deaf" || c.GetProof().GetState() != "unknown" {
				t.Errorf("a rollback says %v", c)
			}
		})
	}
}

// TestADamagedFileOfProxiesIsSaid and is in nobody's way.
func TestADamagedFileOfProxiesIsSaid(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := launch(t, dir)
	if _, err := p.client().Apply(t.Context(), &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{orders()}}); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGTERM)
	<-p.ended
	if err := os.WriteFile(filepath.Join(dir, rosterFile), []byte(`{"version":1,"prox`), 0o600); err != nil {
		t.Fatal(err)
	}
	p = launch(t, dir)
	if missing := lacks(p.stderr.String(), []string{"level=WARN", "cannot be read", "not known to be lost", rosterFile, "it is damaged"}); len(missing) > 0 {
		t.Errorf("the log lacks %q", missing)
	}
	got, err := p.client().ListProxies(context.WithoutCancel(t.Context()), &crossfadev1.ListProxiesRequest{})
	if err != nil || len(got.GetItems()) > 0 {
		t.Errorf("proxies: %v, %v", got, err)
	}
	silentProxy(t, p)
	p.rosterSays(dir, `"deaf"`)
}
