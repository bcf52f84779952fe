package control_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// proxyOf is the proxy p1 of a fleet. It may connect to one world after the other.
func proxyOf(fleet string) *deltaclient.Client { return proxyWith(fleet, "p1") }

func proxyWith(fleet, id string) *deltaclient.Client {
	return deltaclient.New(deltaclient.Config{ID: id, Fleet: fleet, ListenAddress: "127.0.0.1", Layers: translate.LayerNames()})
}

// thousand are as many services as an apply takes: as many revisions.
func thousand(eks int32) (docs []*crossfadev1.Document) {
	for i := range 1000 {
		doc := orders(eks)
		s := doc.GetService()
		s.Name, s.Hosts = fmt.Sprintf("s%d", i), []string{fmt.Sprintf("s%d.test", i)}
		docs = append(docs, doc)
	}
	return docs
}

var atOnce = control.Options{Wait: crossfadev1.Wait_WAIT_NONE}

// A fleet whose levers nobody changed for as many revisions as a start looks back was held at it, as if they came from another store. Changes of its
// hosts are none of its levers.
func TestAQuietFleetIsNotHeldAfterManyChangesElsewhere(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir)
	w.applyAll(spread(5000, "quiet"))
	quiet := proxyOf("quiet")
	end := w.connect(quiet)
	w.awaitProxy("quiet", "p1", xds.StateOK)
	for i := range int32(11) {
		hosts := spread(5000, "quiet")
		hosts.GetService().Hosts = []string{fmt.Sprintf("orders-%d.test", i)}
		if _, err := w.Apply(t.Context(), append(thousand(i), hosts), atOnce); err != nil {
			t.Fatal(err)
		}
	}
	w.awaitProxy("quiet", "p1", xds.StateOK)
	end()
	w.stop()
	w = newWorld(t, dir)
	w.connect(quiet)
	w.awaitProxy("quiet", "p1", xds.StateOK)
}

// Rollbacks elsewhere are revisions, too; and the stamp of a fleet whose services are all gone becomes as old as others.
func TestStampsAreRenewedAfterManyRollbacksElsewhere(t *testing.T) {
	w := newWorld(t, t.TempDir())
	gone := spread(5000, "empty")
	gone.GetService().Name, gone.GetService().Hosts = "gone", []string{"gone.test"}
	w.applyAll(spread(5000, "quiet"), gone)
	proxies, before := map[string]*deltaclient.Client{}, map[string]string{}
	top := func(fleet string) string {
		return proxies[fleet].Held(deltaclient.Runtime)[translate.TopLayer]
	}
	for _, fleet := range []string{"quiet", "empty"} {
		proxies[fleet] = proxyOf(fleet)
		w.connect(proxies[fleet])
		w.awaitProxy(fleet, "p1", xds.StateOK)
	}
	if _, err := w.Delete(t.Context(), "service", "gone", control.Options{}); err != nil {
		t.Fatal(err)
	}
	for fleet := range proxies {
		before[fleet] = top(fleet)
	}
	w.applyAll(thousand(0)...)
	for range 2 {
		if _, err := w.Rollback(t.Context(), control.RollbackTarget{All: true, Fleet: "default"}, atOnce); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for fleet, p := range proxies {
		if err := p.Await(ctx, func() bool { return top(fleet) != before[fleet] }); err != nil {
			t.Errorf("%s: %v: %s as ever", fleet, err, before[fleet])
		}
	}
}
