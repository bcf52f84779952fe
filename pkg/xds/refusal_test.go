package xds

import (
	"testing"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

func TestCleanMessage(t *testing.T) {
	for in, want := range map[string]string{
		"cannot bind '0.0.0.0:80'":                            "cannot bind '0.0.0.0:80'",
		"Error adding/updating listener(s) a: no such file\n": "Error adding/updating listener(s) a: no such file",
		"two lines\nare kept\r\n":                             "two lines\nare kept",
		"goo.gle/debugonly {\n  x: 1\n}\n: weights are 0\n":   "weights are 0",
		"goo.gle/debugonly without an end\n":                  "goo.gle/debugonly without an end",
		"\n":                                                  "",
	} {
		if got := cleanMessage(in); got != want {
			t.Errorf("cleanMessage(%q) = %q, want %q", in, got, want)
		}
	}
}

// A proxy that keeps a cluster which it should have otherwise was noted to have all of the clusters when others were removed.
func TestRemovalOfClustersIsNotAllOfThem(t *testing.T) {
	f, s := connected(t)
	named := func(name, version string) translate.Resource { return translate.Resource{Name: name, Version: version} }
	clustersOf := func(rs ...translate.Resource) *table { return newTable(rs, nil) }
	c := *f.config.Load()
	c.structure = newStructure(translate.Build(&policy.Fleet{Name: "default"}, nil, translate.Options{}), nil)
	for name, parked := range map[string]map[string]string{"refused one": {"bad/ecs": "2"}, "has all others": nil} {
		c.structure.clusters = clustersOf(named("bad/ecs", "2"))
		has := named("bad/ecs", "2")
		if parked != nil {
			has.Version = "1"
		}
		s.reduced, s.parking = nil, true
		s.kinds[clusters] = kindState{asked: true, parked: parked, have: holding{base: clustersOf(has, named("gone/ecs", "1"))}}
		s.removeClusters(&c)
		if sent := s.kinds[clusters].sent; sent == nil || len(sent.delta.removals) != 1 || sent.final != (parked == nil) {
			t.Errorf("%s: sent %+v", name, sent)
		}
	}
}
