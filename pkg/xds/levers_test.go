package xds

import (
	"fmt"
	"testing"

	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// What brings no other levers changes nothing: Envoy would read all of them anew.
func TestSetSaysWhetherLeversChange(t *testing.T) {
	weights := func(ecs, eks uint32, primary string) []translate.Lever {
		return []translate.Lever{{Key: "w.ecs", Value: ecs, Primary: primary == "ecs"}, {Key: "w.eks", Value: eks, Primary: primary == "eks"}}
	}
	pin := translate.Lever{Key: "p.beta", Value: translate.On, Fraction: true}
	live := append(weights(9000, 1000, "ecs"), pin)
	for _, c := range []struct {
		name    string
		levers  []translate.Lever
		changed bool
	}{
		{"the same", append(weights(9000, 1000, "ecs"), pin), false},
		{"another weight", append(weights(8000, 2000, "ecs"), pin), true},
		{"another primary", append(weights(9000, 1000, "eks"), pin), true},
		{"a pin less", weights(9000, 1000, "ecs"), true},
		{"a pin more", append(weights(9000, 1000, "ecs"), pin, translate.Lever{Key: "p.more", Fraction: true}), true},
		{"gone", nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newLeverState()
			if !s.set("orders", live, 1, true) {
				t.Fatal("new levers change nothing")
			}
			if got := s.set("orders", c.levers, 2, true); got != c.changed {
				t.Errorf("changed: %v, want %v", got, c.changed)
			}
		})
	}
	t.Run("back before it is forgotten", func(t *testing.T) {
		s := newLeverState()
		s.set("orders", live, 1, true)
		s.set("orders", weights(9000, 1000, "ecs"), 2, true)
		if s.set("orders", weights(9000, 1000, "ecs"), 3, true) {
			t.Error("the same again, beside a retired pin, is a change")
		}
		if !s.set("orders", live, 4, true) {
			t.Error("a retired pin that is back is no change")
		}
	})
}

// A proxy that had a service which is gone was given the levers of another one of that name: what it had of routes then had a sum of 0.
func TestAStrangeProxyGetsNoLeversOfServicesThatCome(t *testing.T) {
	s := newLeverState()
	s.set("orders", []translate.Lever{{Key: "w.orders/eks", Value: 10000, Primary: true}}, 1, true)
	s.set("old", []translate.Lever{{Key: "w.old/ecs", Value: 10000, Primary: true}}, 1, true)
	s.forget(1)
	s.set("new", []translate.Lever{{Key: "w.new/ecs", Value: 0, Primary: true}, {Key: "w.new/eks", Value: 10000}}, 2, true)
	tables := s.tables(nil, "")
	if top := tables.forSession(fit{seq: 1, stale: map[string]bool{}, strange: true}).top; mapHas(top, "new") || !mapHas(top, "orders") {
		t.Errorf("a strange proxy has levers of %v", sortedKeys(top))
	}
	if top := tables.forSession(fit{seq: 1}).top; !mapHas(top, "new") {
		t.Errorf("an ordinary proxy has levers of %v", sortedKeys(top))
	}
}

// TestVariantsAreBounded: which services are stale of a proxy, it says itself, anew with each stream.
func TestVariantsAreBounded(t *testing.T) {
	s := newLeverState()
	for i := range 200 {
		name := fmt.Sprint("s", i)
		s.set(name, []translate.Lever{{Key: "w." + name + "/ecs", Value: 10000, Primary: true}}, 1, true)
	}
	tables := s.tables(nil, "")
	for i := range 200 {
		name := fmt.Sprint("s", i)
		if l := tables.forSession(fit{seq: 1, stale: map[string]bool{name: true}}); mapHas(l.top, name) || len(l.top) != 199 {
			t.Fatalf("%s is stale, and %d services have levers", name, len(l.top))
		}
	}
	if n := len(tables.variants); n > maxVariants {
		t.Errorf("%d variants are kept", n)
	}
}
