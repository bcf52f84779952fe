package xds

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	runtimev3 "github.com/envoyproxy/go-control-plane/envoy/service/runtime/v3"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// bodies remembers what was sent under each version: clients keep versions only.
type bodies struct{ sync.Map }

func (*bodies) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*bodies) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*bodies) HandleConn(context.Context, stats.ConnStats)                       {}

// note takes the resources of a response before it leaves.
func (b *bodies) note(m any) {
	if r, ok := m.(interface {
		GetTypeUrl() string
		GetResources() []*discovery.Resource
	}); ok {
		for _, x := range r.GetResources() {
			b.Store(r.GetTypeUrl()+" "+x.GetName()+" "+x.GetVersion(), x.GetResource().GetValue())
		}
	}
}

func (b *bodies) HandleRPC(context.Context, stats.RPCStats) {}

type notingStream struct {
	grpc.ServerStream
	bodies *bodies
}

func (s notingStream) SendMsg(m any) error {
	s.bodies.note(m)
	return s.ServerStream.SendMsg(m)
}

// fleetWorld is a control plane without a store and some proxies without a data plane.
type fleetWorld struct {
	t        *testing.T
	r        *rand.Rand
	seed     uint64
	bodies   bodies
	server   *Server
	fleet    *Fleet
	grpc     *grpc.Server
	conn     *grpc.ClientConn
	revision int64
	docs     map[string]*crossfadev1.Service
	mirrors  map[string]*policy.Mirror // that run, by service
	clients  []*client
	calm     bool // no proxy refuses anything
}

// client is one proxy, again and again.
type client struct {
	*deltaclient.Client
	w     *fleetWorld
	id    string
	stop  context.CancelFunc
	ended chan struct{}
	mu    sync.Mutex
	rand  *rand.Rand
	ready bool // had the steady service right once, in this process
	log   []string
}

func (w *fleetWorld) serve() {
	if w.grpc != nil {
		for _, c := range w.clients {
			c.leave()
		}
		w.conn.Close()
		w.grpc.Stop()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.server = NewServer(Options{})
	w.fleet = w.server.Fleet("default")
	w.grpc = grpc.NewServer(append(GRPCOptions(), grpc.StreamInterceptor(
		func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
			return h(srv, notingStream{s, &w.bodies})
		}))...)
	w.server.Register(w.grpc)
	g := w.grpc
	go func() { _ = g.Serve(l) }()
	if w.conn, err = grpc.NewClient(l.Addr().String(), append(deltaclient.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...); err != nil {
		w.t.Fatal(err)
	}
	if len(w.docs) > 0 {
		w.publish(true, slices.Sorted(maps.Keys(w.docs))...).Close()
		w.fleet.Fold(0)
		w.fleet.Fold(0)
	}
	for _, c := range w.clients {
		c.come()
	}
}

// publish makes what docs say of these services live.
func (w *fleetWorld) publish(structural bool, names ...string) *Waiter {
	u := Update{Named: true, Levers: map[string][]translate.Lever{}}
	for _, name := range names {
		u.Levers[name] = nil
		if w.docs[name] == nil {
			continue
		}
		s := w.compiled(name)
		u.Levers[name] = translate.Levers(s)
		u.Endpoints = append(u.Endpoints, endpointsOf(s)...)
	}
	if structural {
		var all []*policy.Service
		for name := range w.docs {
			all = append(all, w.compiled(name))
		}
		u.Structure = translate.Build(&policy.Fleet{Name: "default"}, all, translate.Options{})
	}
	w.revision++
	u.Revision, u.Stamp = w.revision, fmt.Sprint("r", w.revision)
	return w.fleet.Publish(u)
}

func documentOf(name string, weights map[string]int32, origins ...string) *crossfadev1.Service {
	s := &crossfadev1.Service{
		ApiVersion: "crossfade/v1", Kind: "Service", Name: name, Hosts: []string{name + ".test"}, Primary: origins[0],
		Split: &crossfadev1.Split{Weights: weights},
	}
	for _, o := range origins {
		s.Origins = append(s.Origins, &crossfadev1.Origin{Name: o, Discovery: &crossfadev1.Origin_Static{
			Static: &crossfadev1.StaticEndpoints{Endpoints: []string{"127.0.0.2:8080"}},
		}})
	}
	return s
}

// randomService has the primary first, mostly the same one.
func (w *fleetWorld) randomService(name string) *crossfadev1.Service {
	origins := []string{"a", "b", "c", "d"}
	w.r.Shuffle(len(origins), func(i, j int) { origins[i], origins[j] = origins[j], origins[i] })
	origins = origins[:2+w.r.IntN(2)]
	s := documentOf(name, nil, origins...)
	w.shift(s)
	return s
}

// shift moves traffic at random.
func (w *fleetWorld) shift(s *crossfadev1.Service) {
	weights := map[string]int32{}
	for _, o := range s.GetOrigins() {
		weights[o.GetName()] = 0
	}
	weights[s.GetOrigins()[w.r.IntN(len(s.GetOrigins()))].GetName()] = 10000
	s.Split = &crossfadev1.Split{Weights: weights}
}

func (c *client) come() {
	ctx, cancel := context.WithCancel(context.Background())
	c.stop, c.ended = cancel, make(chan struct{})
	cl, conn, ended := c.Client, c.w.conn, c.ended
	go func() {
		defer close(ended)
		_ = cl.Run(ctx, conn)
	}()
}

func (c *client) leave() {
	c.stop()
	<-c.ended
}

// renew makes it a new process that knows nothing.
func (c *client) renew() {
	c.ready = false
	c.Client = deltaclient.New(deltaclient.Config{
		ID: c.id, Fleet: "default", ListenAddress: "127.0.0.1", Layers: translate.LayerNames(), Answer: c.answer, Changed: c.check,
	})
}

func (c *client) answer(r deltaclient.Response) deltaclient.Verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = append(c.log, fmt.Sprintf("%s +%v -%v", r.Type[strings.LastIndex(r.Type, ".")+1:], r.Upserts, r.Removals))
	if c.rand.IntN(3) == 0 {
		timer := time.NewTimer(time.Duration(c.rand.IntN(3000)) * time.Microsecond) // a slow one
		<-timer.C
	}
	if !c.w.calm && c.rand.IntN(30) == 0 && (r.Type == resource.VirtualHostType || r.Type == resource.ClusterType) {
		return deltaclient.Verdict{Refuse: "no"}
	}
	return deltaclient.Verdict{}
}

// weights returns the effective weights of every virtual host that it holds, by cluster.
func (c *client) weights() (map[string]map[string]float64, error) {
	runtime := map[string]float64{}
	layers := c.Held(resource.RuntimeType)
	for _, name := range translate.LayerNames() {
		if layers[name] == "" {
			continue
		}
		var m runtimev3.Runtime
		if err := c.body(resource.RuntimeType, name, layers[name], &m); err != nil {
			return nil, err
		}
		for key, v := range m.GetLayer().GetFields() {
			runtime[key] = v.GetNumberValue()
		}
	}
	clusters := c.Held(resource.ClusterType)
	out := map[string]map[string]float64{}
	for name, version := range c.Held(resource.VirtualHostType) {
		var v routev3.VirtualHost
		if err := c.body(resource.VirtualHostType, name, version, &v); err != nil {
			return nil, err
		}
		for _, route := range v.GetRoutes() {
			for _, m := range route.GetRoute().GetRequestMirrorPolicies() {
				if clusters[m.GetCluster()] == "" {
					return nil, fmt.Errorf("%s copies to %s, which it does not hold", name, m.GetCluster())
				}
			}
			wc := route.GetRoute().GetWeightedClusters()
			if wc == nil {
				continue
			}
			sum, weights := 0.0, map[string]float64{}
			for _, x := range wc.GetClusters() {
				weight := float64(x.GetWeight().GetValue())
				if live, ok := runtime[wc.GetRuntimeKeyPrefix()+"."+x.GetName()]; ok {
					weight = live
				}
				sum += weight
				weights[x.GetName()] = weight
				if clusters[x.GetName()] == "" {
					return nil, fmt.Errorf("%s names cluster %s, which it does not hold", name, x.GetName())
				}
			}
			if sum == 0 {
				return nil, fmt.Errorf("the weights of %s sum to 0: %v", name, weights)
			}
			out[name] = weights
		}
	}
	return out, nil
}

func (c *client) body(typeURL, name, version string, m proto.Message) error {
	b, ok := c.w.bodies.Load(typeURL + " " + name + " " + version)
	if !ok {
		return fmt.Errorf("%s %s has version %q, which was never sent", typeURL, name, version)
	}
	return proto.Unmarshal(b.([]byte), m)
}

// check holds what must be true after every response.
func (c *client) check() {
	weights, err := c.weights()
	for name, w := range weights {
		if !strings.HasSuffix(name, "/steady.test") {
			continue
		}
		right := w["steady/a"] == 0 && w["steady/b"] == 10000
		if c.ready && !right {
			err = fmt.Errorf("nobody touched steady, and it has %v", w)
		}
		c.ready = c.ready || right
	}
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.w.t.Errorf("seed %d, %s: %v; the last responses:\n%s\n%s", c.w.seed, c.id, err, strings.Join(c.log[max(0, len(c.log)-12):], "\n"), c.w.fleet.state())
	}
}

// state is what the server knows, for a test that failed.
func (f *Fleet) state() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	for _, tr := range f.levers.transitions {
		fmt.Fprintf(&b, "transition %d of %s: had %v, primary %s\n", tr.seq, tr.service, sortedKeys(tr.had), tr.primary)
	}
	for _, s := range f.sessions() {
		s.mu.Lock()
		fmt.Fprintf(&b, "%s: structure %d, before %d, stale %v, strange %v, top %v\n", s.proxy.id, s.structureSeq, s.lastSeq, sortedKeys(s.stale), s.strange, sortedKeys(s.top))
		s.mu.Unlock()
	}
	fmt.Fprintf(&b, "live %v, retired %v", f.levers.live, f.levers.retired)
	return b.String()
}

var wanderings = flag.Int("wanderings", 40, "random histories of a fleet in TestNoProxyEverHasLeversThatDoNotFit")

// Publications, folds, lost streams, restarts, slow answers and refusals in any order: after every response, what a proxy has of levers
// fits what it has of structure.
func TestNoProxyEverHasLeversThatDoNotFit(t *testing.T) {
	for i := range *wanderings {
		seed := uint64(i)
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) { wander(t, seed) })
	}
}

func wander(t *testing.T, seed uint64) {
	w := &fleetWorld{t: t, r: rand.New(rand.NewPCG(seed, 1)), seed: seed, docs: map[string]*crossfadev1.Service{}, mirrors: map[string]*policy.Mirror{}, calm: seed%2 == 0}
	w.docs["steady"] = documentOf("steady", map[string]int32{"a": 0, "b": 10000}, "a", "b")
	for i := range 4 {
		name := fmt.Sprint("s", i)
		w.docs[name] = w.randomService(name)
	}
	for i := range 3 {
		c := &client{w: w, id: fmt.Sprint("p", i), rand: rand.New(rand.NewPCG(seed, uint64(i)+10))}
		c.renew()
		w.clients = append(w.clients, c)
	}
	w.serve()
	t.Cleanup(func() {
		for _, c := range w.clients {
			c.leave()
		}
		w.conn.Close()
		w.grpc.Stop()
	})
	for range 60 {
		w.act()
		if t.Failed() {
			return
		}
	}
	for _, c := range w.clients {
		c.leave()
		if !w.calm { // what it refused is forgotten with its process
			c.renew()
		}
	}
	w.calm = true
	for _, c := range w.clients {
		c.come()
	}
	w.converge()
}

// act does one thing at random.
func (w *fleetWorld) act() {
	w.levered()
	name := fmt.Sprint("s", w.r.IntN(5))
	c := w.clients[w.r.IntN(len(w.clients))]
	switch n := w.r.IntN(100); {
	case n < 25:
		if w.docs[name] != nil {
			w.docs[name] = proto.CloneOf(w.docs[name])
			w.shift(w.docs[name])
			w.settle(w.publish(false, name))
		}
	case n < 45:
		w.docs[name] = w.randomService(name)
		w.randomMirror(name)
		w.settle(w.publish(true, name))
	case n < 55:
		delete(w.docs, name)
		delete(w.mirrors, name)
		w.settle(w.publish(true, name))
	case n < 75:
		w.fleet.Fold(0)
	case n < 90:
		c.leave()
		c.come()
	case n < 94:
		c.leave()
		c.renew()
		c.come()
	default:
		w.serve()
	}
}

// settle waits for the fleet, sometimes.
// levered holds what is remembered of how far levers have come against a look at every proxy. Proxies move meanwhile, so what counts is a look in which
// none has.
func (w *fleetWorld) levered() {
	f := w.fleet
	for seq := range f.config.Load().seq + 1 {
		for {
			moves := f.moves.Load()
			connected, behind := f.Levered(seq)
			f.mu.Lock()
			f.slowest.as = -1
			f.mu.Unlock()
			n, late := f.Levered(seq)
			if f.moves.Load() != moves {
				continue
			}
			if connected != n || !slices.Equal(behind, late) {
				w.t.Errorf("of publication %d: %d connected, behind %q; by a look at all %d and %q", seq, connected, behind, n, late)
			}
			break
		}
	}
}

func (w *fleetWorld) settle(waiter *Waiter) {
	defer waiter.Close()
	if w.r.IntN(2) == 0 {
		select {
		case <-waiter.Done():
		case <-waiter.Refused():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// converge waits until every proxy has what is published.
func (w *fleetWorld) converge() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for range 3 {
		w.fleet.Fold(0)
	}
	for _, c := range w.clients {
		if err := c.Await(ctx, c.converged); err != nil {
			weights, werr := c.weights()
			w.t.Fatalf("seed %d, %s does not converge: %v %v; %+v", w.seed, c.id, weights, werr, w.fleet.Proxies())
		}
	}
}

func (c *client) converged() bool {
	weights, err := c.weights()
	if err != nil || len(weights) != len(c.w.docs) {
		return false
	}
	for name, d := range c.w.docs {
		w := map[string]float64{}
		for host, x := range weights {
			if strings.HasSuffix(host, "/"+name+".test") {
				w = x
			}
		}
		if len(w) != len(d.GetOrigins()) {
			return false
		}
		for origin, weight := range d.GetSplit().GetWeights() {
			if w[name+"/"+origin] != float64(weight) {
				return false
			}
		}
	}
	return true
}
