package semantics

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/policytest"
)

// TestShares sends many requests to random configurations that divide them, at random or by the keys of many users, and compares the
// share of every origin with its weight. Half of the configurations come with their weights, the others get them by levers. The bound holds
// for all comparisons of a run together.
func TestShares(t *testing.T) {
	eachVersion(t, func(t *testing.T, version string) {
		w, r := newWorld(t, version), random(2)
		f := w.fleet("default", 1, false)
		f.envoy.AwaitReady()
		settings := &policy.Fleet{Name: f.name, TrustedHops: 1}
		divided := findDivided(t, r, f, settings)

		before := make([]*policy.Service, len(divided))
		for i, d := range divided {
			before[i] = d.service
			if i%2 == 1 {
				before[i] = withWeights(d.service, map[string]policy.BasisPoints{d.service.Primary: policy.Whole})
			}
		}
		f.publish(settings, before)
		for i, d := range divided {
			if i%2 == 1 {
				f.flip(d.service)
			}
		}

		comparisons := 0
		for _, d := range divided {
			comparisons += len(run.versions) * len(d.service.Origins)
		}
		counts := f.count(t, r, divided)
		for i, d := range divided {
			for _, o := range d.service.Origins {
				weight := d.service.Split.Weights[o.Name]
				k, p := counts[i][policy.ClusterName(d.service.Name, o.Name)], float64(weight)/float64(policy.Whole)
				if surprising(k, run.shareRequests, p, falseAlarm/float64(comparisons)) {
					t.Errorf("%s of %s has %d basis points and got %d of %d requests\nkey: %s, host %s, path %s", o.Name, d.service.Name, weight, k, run.shareRequests, d.key, d.host, d.path)
				}
			}
		}
		t.Logf("%s=%d: %d configurations, %d requests each, %d comparisons in the run, false alarm below %g", seedVariable, run.seed, len(divided), run.shareRequests, comparisons, falseAlarm)
	})
}

// divided is a service that several origins share, and a request of it that no pin takes.
type divided struct {
	service         *policy.Service
	host, path, key string
}

// findDivided makes random configurations until there are enough that divide their requests.
func findDivided(t *testing.T, r *rand.Rand, f *fleet, settings *policy.Fleet) []divided {
	t.Helper()
	docs := policytest.Services(r, 20*run.shares, policytest.Options{Ports: f.ports, MaxOrigins: 4})
	_, all := compile(t, &crossfadev1.Fleet{ApiVersion: policy.APIVersion, Kind: policy.KindFleet, Name: f.name}, docs...)
	router := policy.NewRouter(settings, all)
	var out []divided
	for _, s := range all {
		s = s.In(f.name)
		d := divided{service: s, host: s.Hosts[len(s.Hosts)-1], path: s.PathPrefixes[0], key: keyOf(s)}
		if d.host[0] == '*' {
			d.host = "x" + d.host[1:]
		}
		decision := router.Route(policy.Request{Port: s.Port, Host: d.host, Path: d.path, Headers: headers(d.user(1)), ClientAddress: "127.0.0.1"})
		sharing := slices.DeleteFunc(slices.Collect(maps.Values(s.Split.Weights)), func(w policy.BasisPoints) bool { return w == 0 })
		if decision.Service != s.Name || decision.Pin != "" || len(sharing) < 2 {
			continue
		}
		startOrigins(t, s)
		if out = append(out, d); len(out) == run.shares {
			return out
		}
	}
	t.Fatalf("only %d of %d configurations divide their requests", len(out), len(all))
	return nil
}

// keyOf is what a split knows users by.
func keyOf(s *policy.Service) string {
	switch k := s.Split.Sticky; {
	case k == nil:
		return "none"
	case k.Cookie != nil:
		return "cookie"
	case k.Header != "":
		return k.Header
	}
	return "address"
}

// user makes a request that of a user; all numbers are different users. Users of cookies come without one.
func (d divided) user(n uint32) [][2]string {
	switch d.key {
	case "none", "cookie":
		return nil
	case "address":
		return [][2]string{{"x-forwarded-for", fmt.Sprintf("%d.%d.%d.%d", 1+n>>24%200, n>>16&255, n>>8&255, n&255)}}
	}
	return [][2]string{{d.key, fmt.Sprint("user-", n)}}
}

func headers(pairs [][2]string) []policy.Header {
	var out []policy.Header
	for _, p := range pairs {
		out = append(out, policy.Header{Name: p[0], Value: p[1]})
	}
	return out
}

// startOrigins starts an origin for each of a service, and makes it the only endpoint.
func startOrigins(t *testing.T, s *policy.Service) {
	t.Helper()
	for i := range s.Origins {
		o, err := origin.Start(origin.Config{Name: policy.ClusterName(s.Name, s.Origins[i].Name), Plain: true, Keep: -1, Stamps: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(o.Close)
		s.Origins[i].Static = addresses(t, o.Addr())
	}
}

// withWeights is a service with another split.
func withWeights(s *policy.Service, weights map[string]policy.BasisPoints) *policy.Service {
	out := *s
	out.Split.Weights = map[string]policy.BasisPoints{}
	for _, o := range s.Origins {
		out.Split.Weights[o.Name] = weights[o.Name]
	}
	return &out
}

// count sends requests to the configurations in turn, each from another user, and counts the answers by configuration and origin.
func (f *fleet) count(t *testing.T, r *rand.Rand, of []divided) []map[string]int {
	t.Helper()
	const atOnce = 5_000 // of each; a generator's queue is bounded
	counts := make([]map[string]int, len(of))
	for i := range counts {
		counts[i] = map[string]int{}
	}
	first := r.Uint32()
	var mu sync.Mutex
	for rest := run.shareRequests; rest > 0; rest -= atOnce {
		n := min(rest, atOnce) * len(of)
		report, err := loadgen.Do(t.Context(), loadgen.Config{
			Target: net.JoinHostPort(f.host, fmt.Sprint(f.ports[0])), Connections: 32, Count: uint64(n),
			Rate: loadgen.MaxRate, Timeout: 2 * time.Minute, // all due at once: as fast as the machine can
			Make: func(i uint64) loadgen.Request {
				d := of[i%uint64(len(of))]
				return loadgen.Request{Host: d.host, Path: d.path, Header: d.user(first + uint32(i))}
			},
			OnResult: func(res loadgen.Result) {
				mu.Lock()
				defer mu.Unlock()
				counts[res.Index%uint64(len(of))][res.Origin]++
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if report.Failed > 0 {
			t.Fatalf("%d of %d requests failed: %v", report.Failed, report.Done, report.Failures)
		}
		first += uint32(n)
	}
	return counts
}
