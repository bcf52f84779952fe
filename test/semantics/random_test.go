package semantics

import (
	"math/rand/v2"
	"testing"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/policytest"
)

// TestEnvoyDoesWhatTheModelSays publishes random configurations, one batch after another, to three fleets at once: the default one, one of
// another name, and one whose proxy has no levers. Random requests are aimed at each configuration, and each must end where policy.Router
// says: at that origin, at one of the possible ones where it is drawn, at the error of a dead origin, or nowhere (404). No proxy may ever
// refuse anything.
func TestEnvoyDoesWhatTheModelSays(t *testing.T) {
	eachVersion(t, func(t *testing.T, version string) {
		w, r := newWorld(t, version), random(1)
		fleets := []*fleet{w.fleet("default", 2, false), w.fleet("edge", 2, false), w.fleet("old", 2, true)}
		all := newCoverage()
		for _, f := range fleets {
			f.envoy.AwaitReady()
			f.origins = newOrigins(w, r)
		}
		for n := range run.batches {
			f := fleets[[]int{0, 1, 0, 1, 2}[n%5]]
			b := newBatch(t, r, f, run.services+r.IntN(3), f.origins.endpoints)
			f.publish(b.settings, b.services)
			f.origins.retire()
			f.try(r, b, all)
		}
		t.Logf("%s=%d: %d configurations, %d requests: %v", seedVariable, run.seed, all.configurations, all.requests, all.ends)
		if !testing.Short() {
			all.check(t)
		}
	})
}

// try sends random requests for each service of a batch.
func (f *fleet) try(r *rand.Rand, b batch, all *coverage) {
	f.t.Helper()
	j := newJudge(f, b)
	c := newClient(f)
	defer c.close()
	for i, s := range b.services {
		all.configuration(b.fleetDoc, b.docs[i])
		for range run.requests {
			q := policytest.Request(r, []*policy.Service{s})
			q.ClientAddress = f.peer(r)
			a, err := c.do(q)
			if err != nil {
				f.t.Fatalf("%v\n%s", err, j.describe(q, a))
			}
			all.request(j.router.Route(q), a)
			if wrong := j.wrong(q, a); wrong != "" {
				f.t.Errorf("%s\n%s", wrong, j.describe(j.smallest(c, q), a))
				if all.mismatches++; all.mismatches == 3 {
					f.t.FailNow()
				}
			}
		}
	}
}

// peer is the address of a client: on loopback, or what a PROXY protocol header says.
func (f *fleet) peer(r *rand.Rand) string {
	if f.settings.ProxyProtocol {
		return []string{"203.0.113.9", "198.51.100.77", "2001:db8::9", "10.0.0.7"}[r.IntN(4)]
	}
	return []string{"127.0.0.1", "127.0.0.9", "127.8.7.6", "127.200.1.255"}[r.IntN(4)]
}
