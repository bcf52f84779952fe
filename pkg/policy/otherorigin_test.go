package policy_test

import (
	"slices"
	"strings"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// elsewhere is orders, whose requests are tried at the other origin.
func elsewhere(eks int32) *crossfadev1.Service {
	doc := orders()
	doc.Retries = &crossfadev1.Retries{OtherOrigin: &crossfadev1.OtherOrigin{}}
	doc.Split = &crossfadev1.Split{Weights: map[string]int32{"ecs": 10000 - eks, "eks": eks}}
	return doc
}

func TestOtherOriginDefaults(t *testing.T) {
	r := mustCompile(t, elsewhere(5000)).Retries
	if !slices.Equal(r.On, []string{"connect-failure", "refused-stream"}) || r.Attempts != 3 {
		t.Errorf("within an origin: %+v, want what is safe", r)
	}
	if o := r.OtherOrigin; !slices.Equal(o.On, []string{"connect-failure", "gateway-error", "refused-stream", "reset"}) ||
		!slices.Equal(o.Methods, []string{"GET", "HEAD", "OPTIONS"}) || o.MaxConcurrent != 10 {
		t.Errorf("%+v", o)
	}
	doc := elsewhere(5000)
	doc.Retries.On = []string{"none"}
	if r := mustCompile(t, doc).Retries; len(r.On) > 0 || r.Attempts != 0 || r.OtherOrigin == nil {
		t.Errorf("none within an origin: %+v", r)
	}
	if !r.Answered() || mustCompile(t, orders()).Retries.Answered() {
		t.Error("load reports would count tries")
	}
}

// TestOtherTriesEndWithAWeightOf0: also in the one fleet that is rolled back.
func TestOtherTriesEndWithAWeightOf0(t *testing.T) {
	for eks, want := range map[int32]bool{0: false, 1: true, 9999: true, 10000: false} {
		if got := mustCompile(t, elsewhere(eks)).OtherTries(); got != want {
			t.Errorf("eks has %d: %v", eks, got)
		}
	}
	if mustCompile(t, policy.RolledBack(elsewhere(5000), true)).OtherTries() {
		t.Error("after a rollback")
	}
	doc := elsewhere(5000)
	doc.Fleets, doc.RolledBackIn = []string{"eu", "us"}, []*crossfadev1.FleetRollback{{Fleet: "eu"}}
	if s := mustCompile(t, doc); s.In("eu").OtherTries() || !s.In("us").OtherTries() {
		t.Error("after a rollback in one fleet")
	}
}

// TestRouteSaysWhatIsTriedElsewhere and does not say so of pins, or where an origin gets nothing.
func TestRouteSaysWhatIsTriedElsewhere(t *testing.T) {
	const words = "if it fails there and its method is GET, HEAD or OPTIONS, it is tried once at the other origin, at most 10 of them at a time on each proxy"
	for eks, want := range map[int32]bool{5000: true, 0: false} {
		doc := elsewhere(eks)
		doc.Pins = []*crossfadev1.Pin{headerPin("beta", exact("x-beta", "1"))}
		r := routerOf(t, nil, doc)
		if d := r.Route(policy.Request{Host: "orders.test", Path: "/"}); slices.Contains(d.Steps, words) != want {
			t.Errorf("eks has %d:\n%s", eks, strings.Join(d.Steps, "\n"))
		}
		q := headers("x-beta", "1")
		q.Host, q.Path = "orders.test", "/"
		if d := r.Route(q); d.Pin == "" || slices.Contains(d.Steps, words) {
			t.Errorf("pinned: %s", strings.Join(d.Steps, "\n"))
		}
	}
}
