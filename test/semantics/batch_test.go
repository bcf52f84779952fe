package semantics

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/policytest"
)

// batch is random configurations that a fleet has at one time.
type batch struct {
	fleetDoc *crossfadev1.Fleet
	docs     []*crossfadev1.Service
	settings *policy.Fleet
	services []*policy.Service
}

// newBatch makes n services for a fleet, with the settings of the fleet.
func newBatch(t *testing.T, r *rand.Rand, f *fleet, n int, endpoints func(service, origin string) []string) batch {
	t.Helper()
	b := batch{
		fleetDoc: &crossfadev1.Fleet{ApiVersion: policy.APIVersion, Kind: policy.KindFleet, Name: f.name, TrustedHops: r.Int32N(3), ProxyProtocol: r.IntN(3) == 0},
		docs:     policytest.Services(r, n, policytest.Options{Ports: f.ports, Fleet: f.name, Endpoints: endpoints}),
	}
	if f.name == policy.DefaultFleet {
		for _, d := range b.docs {
			d.Fleet = "" // the default
		}
	}
	b.settings, b.services = compile(t, b.fleetDoc, b.docs...)
	return b
}

// compile gives documents their meaning.
func compile(t *testing.T, fleetDoc *crossfadev1.Fleet, docs ...*crossfadev1.Service) (*policy.Fleet, []*policy.Service) {
	t.Helper()
	settings, errs := policy.CompileFleet(fleetDoc)
	if err := errs.Err(); err != nil {
		t.Fatal(err)
	}
	var services []*policy.Service
	for _, d := range docs {
		s, errs := policy.CompileService(d)
		if err := errs.Err(); err != nil {
			t.Fatal(err)
		}
		services = append(services, s)
	}
	if err := policy.CheckServices(services).Err(); err != nil {
		t.Fatal(err)
	}
	return settings, services
}

// origins are real origins by cluster. From one batch to the next some stay, some are replaced, and some are dead: their endpoint refuses
// connections.
type origins struct {
	*rand.Rand
	w       *world
	live    map[string][]*origin.Origin
	dead    map[string][]string
	retired []*origin.Origin
}

func newOrigins(w *world, r *rand.Rand) *origins {
	o := &origins{Rand: r, w: w, live: map[string][]*origin.Origin{}, dead: map[string][]string{}}
	w.t.Cleanup(func() {
		for _, all := range o.live {
			o.retired = append(o.retired, all...)
		}
		o.retire()
	})
	return o
}

// endpoints returns where an origin is from now on.
func (o *origins) endpoints(service, name string) []string {
	cluster := policy.ClusterName(service, name)
	if o.IntN(2) == 0 {
		if o.live[cluster] != nil || o.dead[cluster] != nil {
			return o.addresses(cluster)
		}
	}
	o.retired = append(o.retired, o.live[cluster]...)
	delete(o.live, cluster)
	delete(o.dead, cluster)
	if o.IntN(12) == 0 {
		o.dead[cluster] = []string{o.w.reserve("127.0.0.1").Addr()}
		return o.addresses(cluster)
	}
	for range 1 + o.IntN(2) {
		one, err := origin.Start(origin.Config{Name: cluster, Keep: -1, Stamps: 1})
		if err != nil {
			o.w.t.Fatal(err)
		}
		o.live[cluster] = append(o.live[cluster], one)
	}
	return o.addresses(cluster)
}

func (o *origins) addresses(cluster string) []string {
	out := o.dead[cluster]
	for _, one := range o.live[cluster] {
		out = append(out, one.Addr())
	}
	return out
}

func (o *origins) isDead(cluster string) bool { return o.dead[cluster] != nil }

// retire closes the origins that no proxy has any more.
func (o *origins) retire() {
	for _, one := range o.retired {
		one.Close()
	}
	o.retired = nil
}

// addresses reads HOST:PORT texts.
func addresses(t *testing.T, all ...string) []netip.AddrPort {
	t.Helper()
	var out []netip.AddrPort
	for _, a := range all {
		p, err := netip.ParseAddrPort(a)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

func staticOrigin(name string, endpoints ...string) *crossfadev1.Origin {
	return &crossfadev1.Origin{Name: name, Discovery: &crossfadev1.Origin_Static{Static: &crossfadev1.StaticEndpoints{Endpoints: endpoints}}}
}
