package policy_test

import (
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// TestTakesFrom holds what is said against what the router does: a service takes from another if some request goes to it that went to the other.
func TestTakesFrom(t *testing.T) {
	hosts := [][]string{{"*"}, {"*.test"}, {"*.shop.test"}, {"orders.shop.test"}, {"shop.test"}, {"orders.test", "*.shop.test"}}
	prefixes := [][]string{{"/"}, {"/login"}, {"/login/new"}, {"/loginx"}, {"/a", "/login"}}
	service := func(name string, hosts, prefixes []string) *policy.Service {
		s, errs := policy.CompileService(named(name, func(d *crossfadev1.Service) { d.Hosts, d.PathPrefixes = hosts, prefixes }))
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		return s
	}
	fleet, takes := &policy.Fleet{Name: policy.DefaultFleet}, 0
	for _, h := range hosts {
		for _, p := range prefixes {
			for _, otherHosts := range hosts {
				for _, otherPrefixes := range prefixes {
					s, other := service("s", h, p), service("other", otherHosts, otherPrefixes)
					both := []*policy.Service{other, s}
					if len(policy.CheckServices(both)) > 0 {
						continue // refused anyway
					}
					before, after, want := policy.NewRouter(fleet, both[:1]), policy.NewRouter(fleet, both), false
					for _, host := range []string{"orders.shop.test", "pay.shop.test", "shop.test", "orders.test", "x.test", "elsewhere"} {
						for _, path := range []string{"/", "/login", "/login/new", "/login/new/x", "/loginx", "/a"} {
							q := policy.Request{Host: host, Path: path}
							want = want || before.Route(q).Service == "other" && after.Route(q).Service != "other"
						}
					}
					if got := s.TakesFrom(other); got != want {
						t.Errorf("hosts %v, prefixes %v beside %v, %v: takes %v, want %v", h, p, otherHosts, otherPrefixes, got, want)
					}
					if want {
						takes++
					}
				}
			}
		}
	}
	if takes < 100 {
		t.Errorf("only %d pairs take", takes)
	}
}
