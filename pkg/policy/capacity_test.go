package policy_test

import (
	"strings"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// supplied is the service of the tests of capacity: ecs is the primary, and eks is discovered.
func supplied(t *testing.T, eks int32, capacity int32) *policy.Service {
	t.Helper()
	doc := orders()
	doc.Origins[1].Discovery = &crossfadev1.Origin_Kubernetes{Kubernetes: &crossfadev1.KubernetesService{Cluster: "c", Namespace: "n", Service: "s"}}
	if capacity > 0 {
		doc.Origins[1].Capacity = &crossfadev1.Capacity{RequestsPerSecond: capacity}
	}
	doc.Split = &crossfadev1.Split{Weights: map[string]int32{"ecs": 10000 - eks, "eks": eks}}
	return mustCompile(t, doc)
}

func TestCheckCapacity(t *testing.T) {
	for name, c := range map[string]struct {
		from, to int32
		capacity int32
		ecs, eks int // -1: not known
		rps      float64
		want     string
	}{
		"nothing ready":                         {0, 1, 0, 20, 0, 0, "eks has no endpoint ready"},
		"a small share to a small origin":       {0, 1000, 0, 20, 1, 0, ""},
		"as much as is allowed":                 {0, 5000, 0, 20, 5, 0, ""},
		"one endpoint too few":                  {0, 5000, 0, 20, 4, 0, "eks would get 50% with 4 endpoints ready; when ecs has everything, each of its 20 endpoints gets 5%: an endpoint of eks would get 2.5 times as much, and 2 times is the most; 5 would be enough"},
		"everything to one":                     {5000, 10000, 0, 20, 1, 0, "eks would get 100% with 1 endpoint ready"},
		"a primary of nothing sets no measure":  {0, 10000, 0, 0, 1, 0, ""},
		"said, and enough":                      {0, 5000, 100, 20, 2, 400, ""},
		"said, and too few":                     {0, 5000, 100, 20, 2, 401, "eks would get 50% of 401 requests per second, 200.5, and has 2 endpoints ready for 100 each, 200: 3 would be enough"},
		"said, whatever the primary has":        {0, 10000, 1000, 100, 1, 10, ""},
		"lowered":                               {5000, 4000, 0, 20, 1, 0, ""},
		"kept":                                  {5000, 5000, 0, 20, 0, 0, ""},
		"back to a primary of few":              {9000, 0, 0, 1, 20, 0, ""},
		"back to a primary of none":             {9000, 0, 0, 0, 20, 0, "ecs has no endpoint ready"},
		"nobody knows how many there are":       {0, 10000, 0, 20, -1, 0, ""},
		"nobody knows how many the primary has": {0, 10000, 0, -1, 1, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			supply := policy.Supply{Ready: map[string]int{}, RPS: c.rps}
			for origin, n := range map[string]int{"ecs": c.ecs, "eks": c.eks} {
				if n >= 0 {
					supply.Ready[origin] = n
				}
			}
			got := policy.CheckCapacity(supplied(t, c.from, c.capacity), supplied(t, c.to, c.capacity), supply)
			switch {
			case c.want == "" && got != nil:
				t.Errorf("refused: %v", got)
			case c.want != "" && got == nil:
				t.Error("not refused")
			case got != nil && (!strings.HasPrefix(got.Message, c.want) || got.Kind != policy.Held || got.Code != "capacity"):
				t.Errorf("got  %s\nwant %s", got.Message, c.want)
			}
			if policy.CheckCapacity(nil, supplied(t, c.to, c.capacity), supply) != nil {
				t.Error("a new service was refused")
			}
		})
	}
}

// TestHeldEndpointsCountAtThePrimaryOnly: whoever goes back to where it is safe is not stopped because a source has a bad day.
func TestHeldEndpointsCountAtThePrimaryOnly(t *testing.T) {
	back := policy.Supply{Ready: map[string]int{"ecs": 0, "eks": 2}, Held: map[string]int{"ecs": 2}}
	if err := policy.CheckCapacity(supplied(t, 9000, 0), supplied(t, 0, 0), back); err != nil {
		t.Errorf("back to the primary: %v", err)
	}
	away := policy.Supply{Ready: map[string]int{"ecs": 2, "eks": 0}, Held: map[string]int{"eks": 2}}
	if err := policy.CheckCapacity(supplied(t, 0, 0), supplied(t, 100, 0), away); err == nil || err.Message != "eks has no endpoint ready: its source names none of the 2 that it had" {
		t.Errorf("away from it: %v", err)
	}
}

func TestShortage(t *testing.T) {
	s := supplied(t, 5000, 0)
	if got := policy.Shortage(s, policy.Supply{Ready: map[string]int{"ecs": 0}}); got != "ecs has no endpoint ready" {
		t.Errorf("got %q", got)
	}
	if got := policy.Shortage(s, policy.Supply{Ready: map[string]int{"ecs": 1}}); got != "" {
		t.Errorf("got %q", got)
	}
	s.Origins[0].Capacity = 10
	if got := policy.Shortage(s, policy.Supply{Ready: map[string]int{"ecs": 3}, RPS: 100}); !strings.HasPrefix(got, "ecs would get 100% of 100 requests per second, 100, and has 3 endpoints ready for 10 each") {
		t.Errorf("got %q", got)
	}
}
