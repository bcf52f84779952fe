package xds_test

import (
	"bytes"
	"net/http"
	"net/netip"
	"regexp"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/deploy/envoy"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
)

// TestABootstrapBeforeTheOtherOriginTakesEverything: a proxy with a bootstrap of version 1 refuses nothing of a service that is tried at the other
// origin, serves it and all others, and makes the tries. It says which bootstrap it has, so that somebody can be told what it does not report.
func TestABootstrapBeforeTheOtherOriginTakesEverything(t *testing.T) {
	counts := regexp.MustCompile(`(?m)^.*@either.*\n`)
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		f := newFixture(t)
		f.origin("ecs")
		f.origins["eks"] = netip.MustParseAddrPort(envoytest.Port(t).Addr()) // nobody answers there
		hidden := f.service("orders", map[string]int32{"ecs": 5000, "eks": 5000}, "ecs", "eks")
		hidden.Retries = &crossfadev1.Retries{OtherOrigin: &crossfadev1.OtherOrigin{}}
		f.acked(f.apply(f.service("carts", map[string]int32{"ecs": 10000}, "ecs", "eks"), hidden))
		e, ready := f.start(version, "p", func(b []byte) []byte {
			one := bytes.Replace(counts.ReplaceAll(b, nil), []byte(`crossfade.bootstrap: "`+envoy.Version+`"`), []byte(`crossfade.bootstrap: "1"`), 1)
			if bytes.Equal(one, b) || bytes.Contains(one, []byte("@either")) || !bytes.Contains(one, []byte(`crossfade.bootstrap: "1"`)) {
				t.Fatalf("no bootstrap of version 1 could be made of\n%s", b)
			}
			return one
		})
		e.AwaitReady()
		f.await("the readiness listener", func() bool { return status(ready) == http.StatusOK })
		if p, _ := f.fleet.Proxy("p"); p.Bootstrap != "1" || p.State != "ok" || p.LastNack != nil {
			t.Errorf("%+v", p)
		}
		if got := f.get("carts.test", "/"); got != "200 ecs" {
			t.Errorf("the other service: %s", got)
		}
		for range 20 {
			if got := f.get("orders.test", "/"); got != "200 ecs" {
				t.Fatalf("orders, where half of all are tried at the other origin: %s", got)
			}
		}
	})
}
