package semantics

import (
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// TestWithoutLeversEverythingIsAtThePrimary spoils the levers of a proxy: Envoy falls back to what the structure says, and that must be the
// primary everything, the others nothing, and pins off, whatever the split is.
func TestWithoutLeversEverythingIsAtThePrimary(t *testing.T) {
	eachVersion(t, func(t *testing.T, version string) {
		f := newWorld(t, version).fleet("default", 1, false)
		f.envoy.AwaitReady()
		doc := &crossfadev1.Service{
			ApiVersion: policy.APIVersion, Kind: policy.KindService, Name: "orders", Hosts: []string{"orders.test"}, Primary: "eks",
			Listener: &crossfadev1.Listener{Port: int32(f.ports[0])}, Split: &crossfadev1.Split{Weights: map[string]int32{"ecs": 4_000, "blue": 6_000}},
			Pins: []*crossfadev1.Pin{{Name: "beta", Origin: "blue", Match: &crossfadev1.Pin_Header{Header: &crossfadev1.ValueMatch{Name: "x-beta", Condition: &crossfadev1.ValueMatch_Exact{Exact: "1"}}}}},
		}
		for _, name := range []string{"ecs", "eks", "blue"} {
			o, err := origin.Start(origin.Config{Name: "orders/" + name})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(o.Close)
			doc.Origins = append(doc.Origins, staticOrigin(name, o.Addr()))
		}
		settings, services := compile(t, &crossfadev1.Fleet{ApiVersion: policy.APIVersion, Kind: policy.KindFleet, Name: f.name}, doc)
		f.publish(settings, services)

		q := policy.Request{Port: f.ports[0], Host: "orders.test", Path: "/", ClientAddress: "127.0.0.1"}
		pinned := q
		pinned.Headers = []policy.Header{{Name: "X-Beta", Value: "1"}}
		c := newClient(f)
		defer c.close()
		seen := func(q policy.Request) map[string]bool {
			out := map[string]bool{}
			for range 50 {
				a, err := c.do(q)
				if err != nil {
					t.Fatal(err)
				}
				out[a.origin] = true
			}
			return out
		}
		if got := seen(q); len(got) != 2 || got["orders/eks"] {
			t.Errorf("with levers: %v, want ecs and blue", got)
		}
		if got := seen(pinned); len(got) != 1 || !got["orders/blue"] {
			t.Errorf("pinned, with levers: %v, want blue", got)
		}
		spoilt := map[string]string{policy.PinKey("orders", "beta"): "spoilt"}
		for _, o := range doc.Origins {
			spoilt[policy.WeightKey("orders", o.Name)] = "spoilt"
		}
		if err := f.envoy.ModifyRuntime(t.Context(), spoilt); err != nil {
			t.Fatal(err)
		}
		f.barrier()
		for _, q := range []policy.Request{q, pinned} {
			if got := seen(q); len(got) != 1 || !got["orders/eks"] {
				t.Errorf("without levers, headers %v: %v, want the primary", q.Headers, got)
			}
		}
	})
}
