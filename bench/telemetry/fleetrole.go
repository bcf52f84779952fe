package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/crossfade-proxy/crossfade/bench/internal/statsim"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

const (
	fleetName     = "default"
	listenAddress = "127.0.0.1"
	comeBack      = 100 * time.Millisecond // after a stream broke
	growTimeout   = 2 * time.Minute
)

// fleetRole is the process that simulates a fleet. Each proxy has a connection of its own, on which it follows its configuration and sends its statistics,
// as an Envoy does.
type fleetRole struct {
	start   StartArgs
	fleet   *statsim.Fleet
	node    statsim.Node
	rnd     *rand.Rand
	meter   statsim.Meter
	proxies []*proxy
	loads   []statsim.Load

	connected sync.WaitGroup
	hangUp    []context.CancelFunc

	flushing  sync.WaitGroup
	stopFlush context.CancelFunc
}

// proxy is one of the fleet.
type proxy struct {
	client *deltaclient.Client
	sender *statsim.Sender
	conn   *grpc.ClientConn
}

// StartArgs describe the fleet.
type StartArgs struct {
	Address  string // of the control plane
	Services int
	Seed     uint64
}

// Start makes a fleet without proxies.
func (r *fleetRole) Start(args StartArgs, _ *struct{}) (err error) {
	r.start, r.rnd = args, rand.New(rand.NewPCG(args.Seed, 0))
	r.fleet = statsim.NewFleet(clusters(args.Services))
	r.loads = make([]statsim.Load, 2*args.Services)
	r.node, err = statsim.NodeOf(deltaclient.Config{ListenAddress: listenAddress, Layers: translate.LayerNames()})
	return err
}

// Grow connects more proxies, until there are so many, and waits until each has a complete configuration. They do not flush before the next call of Flush.
func (r *fleetRole) Grow(proxies int, _ *struct{}) error {
	ctx, hangUp := context.WithCancel(context.Background())
	r.hangUp = append(r.hangUp, hangUp)
	before := len(r.proxies)
	for i := before; i < proxies; i++ {
		p, err := r.proxy(fmt.Sprintf("simulated-%05d", i))
		if err != nil {
			return err
		}
		r.proxies = append(r.proxies, p)
		r.connected.Go(func() { p.follow(ctx) })
		r.connected.Go(func() { p.sender.Report(ctx, p.conn) })
	}
	patience, cancel := context.WithTimeout(ctx, growTimeout)
	defer cancel()
	for _, p := range r.proxies[before:] {
		if err := p.client.Await(patience, p.ready); err != nil {
			return fmt.Errorf("a proxy has no complete configuration after %v: %+v", growTimeout, p.client.Stats())
		}
	}
	return nil
}

func (r *fleetRole) proxy(id string) (*proxy, error) {
	conn, err := grpc.NewClient("passthrough:///"+r.start.Address, append(deltaclient.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		return nil, err
	}
	p := &proxy{conn: conn}
	p.client = deltaclient.New(deltaclient.Config{ID: id, Fleet: fleetName, ListenAddress: listenAddress, Layers: translate.LayerNames()})
	p.sender = statsim.NewSender(id, fleetName, r.node, r.fleet.Proxy(r.rnd, time.Now()), &r.meter)
	p.sender.Serve(r.loads)
	return p, nil
}

func (p *proxy) ready() bool {
	return p.client.Held(deltaclient.Runtime)[translate.ReadyLayer] == translate.Ready(true).Version
}

// follow keeps the discovery stream open.
func (p *proxy) follow(ctx context.Context) {
	defer p.conn.Close()
	for ctx.Err() == nil {
		_ = p.client.Run(ctx, p.conn)
		_ = poll.Pause(ctx, comeBack) // it ends only with ctx
	}
}

// Traffic is what each proxy sends.
type Traffic struct {
	Rate    float64 // requests per second of each service
	Both    bool    // half of them to the candidate, of all services
	Half    []int   // services of which half goes to the candidate
	Failing []int   // services whose candidate fails
	Errors  float64 // as often: a share
}

// loads are of the clusters, in their order.
func (t Traffic) loads(services int) (out []statsim.Load) {
	for i := range services {
		primary, candidate := statsim.Load{Rate: t.Rate}, statsim.Load{}
		if t.Both || slices.Contains(t.Half, i) {
			primary.Rate, candidate.Rate = t.Rate/2, t.Rate/2
		}
		if slices.Contains(t.Failing, i) {
			candidate.Errors = t.Errors
		}
		out = append(out, primary, candidate)
	}
	return out
}

// Serve changes the traffic of all proxies.
func (r *fleetRole) Serve(t Traffic, _ *struct{}) error {
	r.loads = t.loads(r.start.Services)
	for _, p := range r.proxies {
		p.sender.Serve(r.loads)
	}
	return nil
}

// Flush makes all proxies send statistics so often, each from a moment of its own on; 0: no longer. Flushes on their way come to their end.
func (r *fleetRole) Flush(interval time.Duration, _ *struct{}) error {
	if r.stopFlush != nil {
		r.stopFlush()
		r.flushing.Wait()
	}
	if interval == 0 {
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stopFlush = stop
	now := time.Now()
	for _, p := range r.proxies {
		first := now.Add(time.Duration(r.rnd.Int64N(int64(interval))))
		r.flushing.Go(func() { p.sender.Flush(ctx, p.conn, first, interval) })
	}
	return nil
}

// Read reads what was sent.
func (r *fleetRole) Read(_ struct{}, out *statsim.Reading) error {
	*out = r.meter.Read()
	return nil
}

// Close hangs up.
func (r *fleetRole) Close() error {
	if r.stopFlush != nil {
		r.stopFlush()
	}
	for _, hangUp := range r.hangUp {
		hangUp()
	}
	r.flushing.Wait()
	r.connected.Wait()
	return nil
}
