package xds_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/envoyproc"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// mirror publishes a service with a mirror of it, or without, as the control loop does.
func (f *fixture) mirror(s *policy.Service, m *policy.Mirror) *xds.Waiter {
	s = s.WithMirror(m)
	f.services[s.Name] = s
	u := xds.Update{Named: true, Levers: map[string][]translate.Lever{s.Name: translate.Levers(s)}, Structure: f.build(translate.Options{})}
	u.Inline = func() *translate.Structure { return f.build(translate.Options{InlineWeights: true}) }
	for _, o := range s.Origins {
		u.Endpoints = append(u.Endpoints, translate.Endpoints(s.Name, o.Name, translate.Static(o.Static)))
		if m != nil {
			u.Endpoints = append(u.Endpoints, translate.ShadowEndpoints(s.Name, o.Name, translate.Static(o.Static)))
		}
	}
	if m != nil {
		u.Endpoints = append(u.Endpoints, translate.Comparators(nil))
	}
	return f.publish(u)
}

// A mirror comes and goes while a proxy serves: nothing waits for a comparator that is not there yet, copies come once one is, a halt is a
// change of levers, and at the end nothing is left.
func TestMirrorComesAndGoes(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		f := newFixture(t)
		f.origin("ecs")
		f.origin("eks")
		var copies atomic.Int64
		comparator := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != policy.ComparatorReadyPath && r.Header.Get(policy.HeaderProxy) == "p" {
				copies.Add(1)
			}
			w.WriteHeader(http.StatusOK)
		}))
		t.Cleanup(comparator.Close)
		f.acked(f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks")))
		plain := f.services["orders"]
		experiment := envoytest.Port(t)
		e, ready := f.start(version, "p", func(b []byte) []byte {
			return []byte(strings.Replace(string(b), `crossfade.experiment_address: ""`, fmt.Sprintf("crossfade.experiment_address: %q", experiment.Addr()), 1))
		})
		e.AwaitReady()
		f.await("the readiness listener", func() bool { return status(ready) == http.StatusOK })
		if p, _ := f.fleet.Proxy("p"); p.Experiment != experiment.Addr() {
			t.Errorf("experiments through %q, want %q", p.Experiment, experiment.Addr())
		}

		m := &policy.Mirror{
			Name: "try", Service: "orders", Control: "ecs", Candidate: "eks", Share: policy.Whole, Methods: []string{"GET"}, Run: policy.MirrorRun{ID: "r1"},
		}
		f.acked(f.mirror(plain, m))
		if got := f.get("orders.test", "/"); got != "200 ecs" {
			t.Error(got)
		}
		if got := e.ListenerAddress(translate.ExperimentListener); got != experiment.Addr() {
			t.Errorf("the experiment listener is at %s", got)
		}
		f.acked(f.publish(xds.Update{Endpoints: []translate.Resource{translate.Comparators([]netip.AddrPort{netip.MustParseAddrPort(comparator.Listener.Addr().String())})}}))
		f.await("copies", func() bool { f.get("orders.test", "/"); return copies.Load() > 0 })
		if got := through(t, experiment.Addr(), "orders/eks@shadow"); got != "200 eks" {
			t.Error(got)
		}

		halted := plain.WithMirror(m.Halted())
		f.services["orders"] = halted
		sent := f.sent()
		f.acked(f.publish(xds.Update{Levers: map[string][]translate.Lever{"orders": translate.Levers(halted)}, Structure: f.build(translate.Options{})}))
		if n := f.sent() - sent; n != 1 {
			t.Errorf("%d responses for a halt, want one of levers", n)
		}
		e.AwaitRuntime(policy.MirrorKey("orders", "try"), "0")
		before := copies.Load()
		for range 20 {
			f.get("orders.test", "/")
		}

		f.acked(f.mirror(plain, nil))
		f.await("no listener", func() bool {
			l, err := e.Listeners(t.Context())
			return err == nil && l[translate.ExperimentListener] == ""
		})
		f.await("no clusters of a mirror", func() bool {
			hosts, err := e.Hosts(t.Context())
			if err != nil {
				return false
			}
			return !slices.ContainsFunc(hosts, func(h envoyproc.Host) bool { return strings.Contains(h.Cluster, "@") })
		})
		if got := f.get("orders.test", "/"); got != "200 ecs" {
			t.Error(got)
		}
		if n := copies.Load() - before; n != 0 {
			t.Errorf("%d copies after the halt", n)
		}
	})
}

// A proxy that cannot listen for comparators, as where another process has the address, is not one to ask through: that process would be asked.
func TestAnAddressThatIsTakenIsNotAsked(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		f := newFixture(t)
		f.origin("ecs")
		f.origin("eks")
		f.acked(f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks")))
		taken, err := net.Listen("tcp", net.JoinHostPort(loopback.Host(), "0"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { taken.Close() })
		e, ready := f.start(version, "p", func(b []byte) []byte {
			return []byte(strings.Replace(string(b), `crossfade.experiment_address: ""`, fmt.Sprintf("crossfade.experiment_address: %q", taken.Addr()), 1))
		})
		e.AwaitReady()
		f.await("the readiness listener", func() bool { return status(ready) == http.StatusOK })
		m := &policy.Mirror{
			Name: "try", Service: "orders", Control: "ecs", Candidate: "eks", Share: policy.Whole, Methods: []string{"GET"}, Run: policy.MirrorRun{ID: "r1"},
		}
		w := f.mirror(f.services["orders"], m)
		f.event("refused", w.Refused())
		f.await("the address to be taken back", func() bool { p, _ := f.fleet.Proxy("p"); return p.Experiment == "" && p.State == xds.StateRefused })
	})
}

// through asks an origin by the experiment listener.
func through(t *testing.T, address, target string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(policy.HeaderTarget, target)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(resp.StatusCode, " ", string(body))
}
