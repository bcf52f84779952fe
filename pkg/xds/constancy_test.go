package xds_test

import (
	"context"
	"fmt"
	"math"
	"net"
	"runtime"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// sizes are the numbers of services over which a change of weights must cost the same, within margin.
var sizes = []int{20, 200, 2000}

const margin = 0.2

// sized is a fleet with so many services, and proxies without a data plane.
type sized struct {
	tb       testing.TB
	fleet    *xds.Fleet
	docs     []*crossfadev1.Service
	proxies  []*deltaclient.Client
	revision int64
}

// newSized publishes services and connects proxies; everything is folded, and nothing on its way.
func newSized(tb testing.TB, services, proxies int) *sized {
	tb.Helper()
	server := xds.NewServer(xds.Options{})
	f := &sized{tb: tb, fleet: server.Fleet("default")}
	u := xds.Update{Levers: map[string][]translate.Lever{}, Named: true}
	var all []*policy.Service
	for i := range services {
		static := func(host int) *crossfadev1.Origin_Static {
			return &crossfadev1.Origin_Static{Static: &crossfadev1.StaticEndpoints{Endpoints: []string{fmt.Sprintf("10.%d.%d.%d:8080", host, i/250, i%250)}}}
		}
		f.docs = append(f.docs, &crossfadev1.Service{
			ApiVersion: policy.APIVersion, Kind: policy.KindService, Name: fmt.Sprintf("service-%04d", i), Hosts: []string{fmt.Sprintf("s%d.test", i)}, Primary: "ecs",
			Origins: []*crossfadev1.Origin{{Name: "ecs", Discovery: static(1)}, {Name: "eks", Discovery: static(2)}},
		})
		s := f.compiled(i, 0)
		all = append(all, s)
		u.Levers[s.Name] = translate.Levers(s)
		for _, o := range s.Origins {
			u.Endpoints = append(u.Endpoints, translate.Endpoints(s.Name, o.Name, translate.Static(o.Static)))
		}
	}
	u.Structure = translate.Build(policy.DefaultFleetSettings("default"), all, translate.Options{})
	f.acked(f.fleet.Publish(u))
	f.serve(server, proxies)
	f.fold()
	return f
}

// serve connects proxies and waits until they have everything.
func (f *sized) serve(server *xds.Server, proxies int) {
	f.tb.Helper()
	l, err := net.Listen("tcp", loopback.Host()+":0")
	if err != nil {
		f.tb.Fatal(err)
	}
	g := grpc.NewServer(xds.GRPCOptions()...)
	server.Register(g)
	go func() { _ = g.Serve(l) }()
	f.tb.Cleanup(g.Stop)
	ctx, cancel := context.WithTimeout(f.tb.Context(), time.Minute)
	defer cancel()
	for i := range proxies {
		c := deltaclient.New(deltaclient.Config{ID: fmt.Sprint("p", i), Fleet: "default", ListenAddress: "127.0.0.1", Layers: translate.LayerNames()})
		conn, err := grpc.NewClient(l.Addr().String(), append(deltaclient.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
		if err != nil {
			f.tb.Fatal(err)
		}
		f.tb.Cleanup(func() { conn.Close() })
		go func() { _ = c.Run(f.tb.Context(), conn) }()
		f.proxies = append(f.proxies, c)
		if err := c.Await(ctx, func() bool {
			p, ok := f.fleet.Proxy(fmt.Sprint("p", i))
			return ok && p.State == xds.StateOK && c.Held(deltaclient.Runtime)["ready"] != ""
		}); err != nil {
			f.tb.Fatalf("p%d: %v %+v", i, err, f.fleet.Proxies())
		}
	}
}

// compiled is a service with so many basis points for eks.
func (f *sized) compiled(i int, eks int32) *policy.Service {
	f.docs[i].Split = &crossfadev1.Split{Weights: map[string]int32{"ecs": 10000 - eks, "eks": eks}}
	s, errs := policy.CompileService(f.docs[i])
	if len(errs) > 0 {
		f.tb.Fatal(errs)
	}
	return s
}

// acked waits until every proxy has a publication.
func (f *sized) acked(w *xds.Waiter) {
	f.tb.Helper()
	defer w.Close()
	select {
	case <-w.Done():
	case <-time.After(30 * time.Second):
		f.tb.Fatalf("not acknowledged by %v", w.Pending())
	}
}

// fold folds what there is to fold, both steps.
func (f *sized) fold() {
	f.tb.Helper()
	for range 2 {
		f.fleet.Fold(0)
		f.acked(f.fleet.Follow())
	}
}

// change changes the weights of one of the ten services that the rounds take turns with.
func (f *sized) change(n int) {
	s := f.compiled(n%10*len(f.docs)/10, int32(1000+n%8000))
	f.revision++
	f.acked(f.fleet.Publish(xds.Update{Revision: f.revision, Levers: map[string][]translate.Lever{s.Name: translate.Levers(s)}, Stamp: "0123456789abcdef"}))
}

// bytes returns what a proxy was sent by do, on average.
func (f *sized) bytes(do func()) float64 {
	total := func() (sum int64) {
		for _, c := range f.proxies {
			sum += c.Stats().Bytes
		}
		return sum
	}
	before := total()
	do()
	return float64(total()-before) / float64(len(f.proxies))
}

// TestAChangeOfWeightsCostsTheSame for 20 and for 2,000 services, within 20 %: what each proxy is sent, and what we allocate for it. A fold does
// not: it brings the base layers that the changes were in, whole. It comes when all is quiet.
func TestAChangeOfWeightsCostsTheSame(t *testing.T) {
	const changes = 40
	costs := map[string][]float64{}
	for _, n := range sizes {
		f := newSized(t, n, 3)
		round := func() {
			for i := range changes {
				f.change(i)
			}
		}
		first := f.bytes(round) / changes
		fold := f.bytes(f.fold)
		second := f.bytes(round) / changes
		f.fold()
		objects, memory := f.allocated(round)
		t.Logf("%4d services: %.0f bytes a change, %.0f after a fold; %.0f objects and %.0f bytes allocated; a fold of ten services is %.0f bytes",
			n, first, second, objects/changes, memory/changes, fold)
		for what, cost := range map[string]float64{
			"bytes of a change": first, "bytes after a fold": second, "objects allocated": objects, "bytes allocated": memory,
		} {
			costs[what] = append(costs[what], cost)
		}
	}
	for what, all := range costs {
		for i, cost := range all {
			if cost == 0 || math.Abs(cost/all[0]-1) > margin {
				t.Errorf("%s: %.0f with %d services, %.0f with %d", what, cost, sizes[i], all[0], sizes[0])
			}
		}
	}
}

// allocated returns what do allocates, with what the proxies of the test do about it.
func (f *sized) allocated(do func()) (objects, bytes float64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs - before.Mallocs), float64(after.TotalAlloc - before.TotalAlloc)
}

// BenchmarkChangeOfWeights is our time for a change of weights by the number of services: without proxies, and with four of them, whose own work
// is in the figure.
func BenchmarkChangeOfWeights(b *testing.B) {
	for _, proxies := range []int{0, 4} {
		for _, n := range sizes {
			b.Run(fmt.Sprintf("proxies=%d/services=%d", proxies, n), func(b *testing.B) {
				f := newSized(b, n, proxies)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					f.change(i)
				}
			})
		}
	}
}
