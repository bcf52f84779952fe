package control_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// A rollback that is sent twice leaves no stamp at the proxies that the store does not know: they would be held after a restart.
func TestARollbackThatIsSentTwiceHoldsNoProxy(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir)
	w.apply(5000)
	c := deltaclient.New(deltaclient.Config{ID: "p1", Fleet: "default", ListenAddress: "127.0.0.1", Layers: translate.LayerNames()})
	end := w.connect(c)
	w.awaitProxy("default", "p1", xds.StateOK)
	for range 2 {
		changes, err := w.Rollback(t.Context(), orderTarget, control.Options{Key: "k", Digest: []byte("rollback"), Wait: crossfadev1.Wait_WAIT_ACKED})
		if err != nil || !changes[0].GetRecorded() || changes[0].GetRevision() != w.history()[0].GetRevision() {
			t.Fatalf("%v %v", changes, err)
		}
	}
	end()
	w.stop()
	w = newWorld(t, dir)
	w.connect(c)
	w.awaitProxy("default", "p1", xds.StateOK)
}

// Nor does one of a service that is being deleted, of which there is nothing to record.
func TestARollbackOfADeletedServiceHoldsNoProxy(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir)
	pay := orders(5000)
	pay.GetService().Name, pay.GetService().Hosts = "pay", []string{"pay.test"}
	w.applyAll(orders(5000), pay)
	c := deltaclient.New(deltaclient.Config{ID: "p1", Fleet: "default", ListenAddress: "127.0.0.1", Layers: translate.LayerNames()})
	end := w.connect(c)
	w.awaitProxy("default", "p1", xds.StateOK)
	w.store.close()
	deleted := make(chan error, 1)
	go func() {
		_, err := w.Delete(context.Background(), "service", "orders", control.Options{Wait: crossfadev1.Wait_WAIT_ACKED})
		deleted <- err
	}()
	<-w.store.arrived
	rolled := make(chan error, 1)
	go func() {
		_, err := w.Rollback(context.Background(), orderTarget, control.Options{Wait: crossfadev1.Wait_WAIT_ACKED})
		rolled <- err
	}()
	for w.eks() != 0 { // live at once
		runtime.Gosched()
	}
	w.store.open()
	if err := errors.Join(<-deleted, <-rolled); err != nil {
		t.Fatal(err)
	}
	end()
	w.stop()
	w = newWorld(t, dir)
	w.connect(c)
	w.awaitProxy("default", "p1", xds.StateOK)
}

// undone says whether an error is that of a key whose change was undone.
func undone(err error, kind policy.Kind) bool {
	var e *policy.Error
	return errors.As(err, &e) && e.Code == "undone" && e.Kind == kind
}

// A key does not say "done" of what a proxy refused and was undone.
func TestAKeyOfARefusedChangeIsRefusedAgain(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.apply(5000)
	refuse := make(chan struct{})
	w.proxyThat("default", "p1", refuseVirtualHosts(refuse))
	close(refuse)
	o := control.Options{Key: "k", Digest: []byte("pin")}
	_, err := w.PutPin(t.Context(), "orders", betaPin(), o)
	changesIn(t, err)
	if _, err := w.PutPin(t.Context(), "orders", betaPin(), o); !undone(err, policy.Refused) {
		t.Fatalf("again: %v", err)
	}
}

// Nor of what was refused because the disk did not answer, and taken back when it did.
func TestAKeyOfAChangeThatWasTakenBackIsRefused(t *testing.T) {
	w := newWorld(t, t.TempDir())
	late := newLate(w)
	w.apply(1000)
	late.sleep()
	o := control.Options{Key: "k", Digest: []byte("split")}
	if _, err := w.SetSplit(t.Context(), "orders", split(9000), o); !is(err, policy.Unavailable) {
		t.Fatalf("on a disk that hangs: %v", err)
	}
	late.wake()
	<-late.landed
	if _, err := w.SetSplit(t.Context(), "orders", split(9000), o); !undone(err, policy.Unavailable) || w.eks() != 1000 {
		t.Fatalf("again: %v, eks %d", err, w.eks())
	}
	w.sameAsStore()
}

// Where something else holds since, the answer says so.
func TestAKeyOfAChangeThatWasRolledBackSaysWhatHolds(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.apply(1000)
	o := control.Options{Key: "k", Digest: []byte("split")}
	first, err := w.SetSplit(t.Context(), "orders", split(5000), o)
	if err != nil {
		t.Fatal(err)
	}
	w.rollBack(orderTarget)
	again, err := w.SetSplit(t.Context(), "orders", split(5000), o)
	if err != nil || again.GetRevision() != first.GetRevision() || again.GetSplit()["eks"] != 0 || !strings.Contains(strings.Join(again.GetWarnings(), "\n"), "it was changed since: revision 3 (rollback by ") {
		t.Fatalf("%v %v", again, err)
	}
}

// What was undone is no change that an undo would go back to, nor is what undid it.
func TestUndoPassesOverWhatWasUndone(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.apply(1000)
	if _, err := w.SetSplit(t.Context(), "orders", split(2000), control.Options{}); err != nil {
		t.Fatal(err)
	}
	refuse := make(chan struct{})
	w.proxyThat("default", "p1", refuseVirtualHosts(refuse))
	close(refuse)
	for range 2 {
		_, err := w.PutPin(t.Context(), "orders", betaPin(), control.Options{})
		changesIn(t, err)
	}
	if _, err := w.Undo(t.Context(), "orders", 0, control.Options{}); err != nil || w.eks() != 1000 {
		t.Fatalf("%v, eks %d", err, w.eks())
	}
}
