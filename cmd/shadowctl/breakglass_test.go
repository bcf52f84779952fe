package main

import (
	"slices"
	"testing"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// TestBreakGlassEndsTriesAtTheOtherOrigin: by hand as by a rollback, nothing of what fails goes to the origin that was left.
func TestBreakGlassEndsTriesAtTheOtherOrigin(t *testing.T) {
	s := &policy.Service{
		Name: "orders", Primary: "ecs", Origins: []policy.Origin{{Name: "ecs"}, {Name: "eks"}},
		Retries: &policy.Retries{OtherOrigin: &policy.OtherOrigin{MaxConcurrent: 10}},
	}
	g := &glass{service: s, origin: "ecs"}
	got := g.settings()
	for _, key := range []string{"o.orders.ecs.eks", "circuit_breakers.orders.orders/ecs.default.max_retries", "circuit_breakers.orders.orders/eks.default.max_retries"} {
		if !slices.Contains(got, struct{ key, value string }{key, "0"}) {
			t.Errorf("%s is not set to 0 in %v", key, got)
		}
	}
	s.Retries = nil
	if got := g.settings(); len(got) != 2 {
		t.Errorf("without the other origin: %v", got)
	}
}
