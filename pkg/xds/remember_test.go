package xds_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/xds"
)

// TestARememberedProxyIsLostUntilItComesBack: a server that was restarted names the proxies that its predecessor served. It knows nothing of
// what they have, so they keep no levers of removed origins alive, and get what is right for them when they come back.
func TestARememberedProxyIsLostUntilItComesBack(t *testing.T) {
	f := deltaFixture(t)
	orders := f.service("orders", map[string]int32{"ecs": 5000, "eks": 5000}, "ecs", "eks")
	f.apply(orders)
	back, gone := f.simulate("back", nil), f.simulate("gone", nil)
	for _, s := range []*simulated{back, gone} {
		s.holds(nil, "orders")
	}
	f.await("the acknowledgements", func() bool {
		return !slices.ContainsFunc(f.fleet.Proxies(), func(p xds.ProxyStatus) bool { return p.State != xds.StateOK })
	})
	memories := f.server.Memories()
	for _, m := range memories {
		if m.Fleet != "default" || m.Version != "1.40.0" || m.AckedRevision == 0 || m.LastSeen.IsZero() {
			t.Errorf("remembered: %+v", m)
		}
	}
	back.end()
	gone.end()
	f.replace()
	f.acked(f.apply(orders))
	if taken := f.server.Remember(memories); len(taken) != 2 {
		t.Fatalf("taken: %+v of %+v", taken, memories)
	}
	if lost := f.fleet.Lost(); !slices.Equal(lost, []string{"back", "gone"}) {
		t.Fatalf("lost after the restart: %v", lost)
	}
	p, ok := f.fleet.Proxy("gone")
	if !ok || p.State != xds.StateLost || p.Version != "1.40.0" || p.AckedRevision != memories[1].AckedRevision || !p.LastSeen.Equal(memories[1].LastSeen) ||
		!strings.Contains(p.Detail, "has not come back since the server was started") {
		t.Errorf("shown: %+v", p)
	}
	back.connect()
	f.await("one to be back", func() bool { return slices.Equal(f.fleet.Lost(), []string{"gone"}) })

	f.acked(f.apply(f.service("orders", map[string]int32{"ecs": 5000, "new": 5000}, "ecs", "new")))
	folded := f.fold()
	back.holds(folded) // the lever of eks is gone, though who knows what the lost one has
	gone.connect()
	gone.holds(folded)
	if lost := f.fleet.Lost(); len(lost) > 0 {
		t.Errorf("lost in the end: %v", lost)
	}
	if again := f.server.Remember(memories); len(again) > 0 {
		t.Errorf("remembered although they are known: %+v", again)
	}
}

// TestMemoriesAreBounded: of too many, those that were seen last are kept; what is no proxy of a fleet of ours, or was not seen for a day, is not.
func TestMemoriesAreBounded(t *testing.T) {
	f := deltaFixture(t)
	f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
	now := time.Now()
	many := func(from, to int) (out []xds.Memory) {
		for i := from; i < to; i++ {
			out = append(out, xds.Memory{Fleet: "default", Proxy: fmt.Sprintf("p%05d", i), LastSeen: now.Add(time.Duration(i-20_000) * time.Second)})
		}
		return out
	}
	f.server.Remember(append(many(0, 12_000), []xds.Memory{
		{Fleet: "nobody", Proxy: "p", LastSeen: now},
		{Fleet: "default", Proxy: "", LastSeen: now},
		{Fleet: "default", Proxy: strings.Repeat("x", 257), LastSeen: now},
		{Fleet: "default", Proxy: "old", LastSeen: now.Add(-25 * time.Hour)},
	}...))
	if n := len(f.fleet.Lost()); n != xds.MaxMemories-3 {
		t.Errorf("%d proxies are known, want %d", n, xds.MaxMemories-3)
	}
	f.server.Remember(append(many(12_000, 19_000), xds.Memory{Fleet: "default", Proxy: "tomorrow", LastSeen: now.Add(24 * time.Hour)}))
	got := f.server.Memories()
	if len(got) != xds.MaxMemories || got[0].Proxy != "p09001" || got[xds.MaxMemories-2].Proxy != "p18999" || got[xds.MaxMemories-1].Proxy != "tomorrow" {
		t.Errorf("%d remembered, %v to %v", len(got), got[0], got[len(got)-1])
	}
	if last := got[len(got)-1].LastSeen; last.After(time.Now()) {
		t.Errorf("seen in the future: %v", last)
	}
}
