package translate_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// What is built from an earlier structure is what would be built from nothing, and what did not change is not built at all.
func TestReuseChangesNothing(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var services []*policy.Service
	last := map[bool]*translate.Structure{}
	for step := range 60 {
		switch i := r.IntN(12); {
		case i < len(services) && r.IntN(3) == 0:
			services = slices.Delete(slices.Clone(services), i, i+1)
		case i < len(services):
			services = slices.Clone(services)
			services[i] = randomVariant(t, r, services[i].Name)
		default:
			services = append(slices.Clone(services), randomVariant(t, r, fmt.Sprint("s", step)))
		}
		for _, inline := range []bool{false, true} {
			got := translate.Build(nil, services, translate.Options{InlineWeights: inline, Reuse: last[r.IntN(4) != 0 == inline]})
			want := translate.Build(nil, services, translate.Options{InlineWeights: inline})
			sameResources(t, "clusters", got.Clusters, want.Clusters)
			sameResources(t, "routes", got.Routes, want.Routes)
			sameResources(t, "virtual hosts", got.VirtualHosts, want.VirtualHosts)
			sameResources(t, "listeners", got.Listeners("127.0.0.1", "127.0.0.1:1"), want.Listeners("127.0.0.1", "127.0.0.1:1"))
			last[inline] = got
		}
	}
	again := translate.Build(nil, services, translate.Options{Reuse: last[false]})
	for i, v := range again.VirtualHosts {
		if v.Body != last[false].VirtualHosts[i].Body {
			t.Errorf("%s was made again", v.Name)
		}
	}
	for i, c := range again.Clusters {
		if c.Body != last[false].Clusters[i].Body {
			t.Errorf("%s was made again", c.Name)
		}
	}
}

// randomVariant is one of a few shapes of a service; some share hosts with others.
func randomVariant(t *testing.T, r *rand.Rand, name string) *policy.Service {
	t.Helper()
	doc := &crossfadev1.Service{
		ApiVersion: "crossfade/v1", Kind: "Service", Name: name, Hosts: []string{name + ".test"}, PathPrefixes: []string{"/" + name}, Primary: "ecs",
		Split: &crossfadev1.Split{},
	}
	for i, origin := range []string{"ecs", "eks"} {
		static := &crossfadev1.StaticEndpoints{Endpoints: []string{fmt.Sprintf("127.0.0.%d:8080", i+2)}}
		doc.Origins = append(doc.Origins, &crossfadev1.Origin{Name: origin, Discovery: &crossfadev1.Origin_Static{Static: static}})
	}
	if r.IntN(2) == 0 {
		doc.Hosts = []string{"shared.test", name + ".test"}
	}
	if r.IntN(3) == 0 {
		doc.Origins[1].Protocol = "http2"
	}
	doc.Split.Weights = map[string]int32{"ecs": 10000, "eks": 0}
	if r.IntN(2) == 0 {
		doc.Split.Weights = map[string]int32{"ecs": 2500, "eks": 7500}
	}
	s, errs := policy.CompileService(doc)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return s
}

func sameResources(t *testing.T, what string, got, want []translate.Resource) {
	t.Helper()
	same := slices.EqualFunc(got, want, func(a, b translate.Resource) bool {
		return a.Name == b.Name && a.Version == b.Version && slices.Equal(a.Services, b.Services)
	})
	if !same {
		t.Fatalf("%s differ: %v, want %v", what, got, want)
	}
}
