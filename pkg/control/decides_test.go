package control_test

import (
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// A split that is what the store has says where traffic goes, too: it did nothing for held proxies, and after a restore it is what one says first.
// It is no revision, and nothing is sent to proxies that have it.
func TestASplitAsItIsReleasesAHeldProxy(t *testing.T) {
	pay := orders(5000)
	pay.GetService().Name, pay.GetService().Hosts = "pay", []string{"pay.test"}
	docs := []*crossfadev1.Document{orders(5000), pay}
	first := newWorld(t, t.TempDir())
	first.applyAll(docs...)
	held, other := proxyOf("default"), proxyWith("default", "p2")
	end := first.connect(held)
	first.awaitProxy("default", "p1", xds.StateOK)
	end()

	w := newWorld(t, t.TempDir())
	w.applyAll(docs...)
	w.connect(held)
	w.connect(other)
	w.awaitProxy("default", "p1", xds.StateHeld)
	w.awaitProxy("default", "p2", xds.StateOK)
	within(t, "p2 to be sent the last, that it is ready", func() bool {
		return other.Held(deltaclient.Runtime)[translate.ReadyLayer] == translate.Ready(true).Version
	})
	revision, sent := w.Revision(), other.Stats()
	for _, service := range []string{"orders", "pay"} {
		c, err := w.SetSplit(t.Context(), service, split(5000), control.Options{Wait: crossfadev1.Wait_WAIT_ACKED})
		if err != nil || c.GetAction() != "none" || c.GetFleet().GetAcked() != 2 {
			t.Fatalf("%s: %v %v", service, c, err)
		}
	}
	w.awaitProxy("default", "p1", xds.StateOK)
	if w.Revision() != revision || other.Stats() != sent {
		t.Errorf("revision %d, then %d; the other proxy got %v, then %v", revision, w.Revision(), sent, other.Stats())
	}
}

// An apply with force that moves traffic after a rollback left the service rolled back, for whoever asked.
func TestAForcedApplyEndsRolledBack(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir)
	w.apply(5000)
	w.rollBack(orderTarget)
	for _, eks := range []int32{0, 5000} {
		if _, err := w.Apply(t.Context(), []*crossfadev1.Document{orders(eks)}, control.Options{Force: true}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if back := w.List("")[0].GetRolledBack(); back != (eks == 0) {
				t.Fatalf("rolled back: %v, with %d at eks", back, eks)
			}
			w.stop()
			w = newWorld(t, dir)
		}
	}
}
