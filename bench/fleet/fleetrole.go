package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// fleetRole is the process that simulates a fleet: a client with a connection of its own for each proxy.
type fleetRole struct {
	profiler
	digester digester
	address  string
	manners  manners
	clients  []*deltaclient.Client
	holding  holding
	all      <-chan struct{} // of what is expected
	began    time.Time
	cpuFrom  float64

	streams  sync.WaitGroup
	hangUp   context.CancelFunc
	lost     atomic.Int64 // streams that ended by themselves
	lastLoss atomic.Pointer[error]
}

// FleetArgs describe the fleet.
type FleetArgs struct {
	Workload workload
	At       state
	Clients  int
	Manners  Manners
	Address  string
}

// Counts of a fleet.
type Counts struct {
	Seconds   float64 // from the beginning of the call until every client held what it should
	CPU       float64 // seconds of the fleet's process, since it began to expect that
	Bytes     int64   // of all responses to all clients since they began
	Responses int
	Refusing  int // responses to those that refuse
	Refused   int // responses that were
	Upserts   int
	Lost      int64  // streams that ended by themselves
	Late      string // not empty: who did not hold it in time
}

// Connect connects all clients at once, each new, and waits until all hold everything.
func (r *fleetRole) Connect(args FleetArgs, counts *Counts) error {
	r.digester, r.address, r.manners.Manners = digester{workload: args.Workload}, args.Address, args.Manners
	for i := range args.Clients {
		var c *deltaclient.Client
		c = deltaclient.New(deltaclient.Config{
			ID: clientID(i, args.Manners.unruly(i)), Fleet: fleetName, ListenAddress: args.Workload.host(), Layers: translate.LayerNames(),
			Answer: r.manners.of(i, args.Workload.marked(0).Name), Changed: func() { r.holding.changed(i, c) },
		})
		r.clients = append(r.clients, c)
	}
	if err := r.Expect(HoldArgs{At: args.At}, nil); err != nil {
		return err
	}
	r.dial()
	return r.Await(struct{}{}, counts)
}

// HoldArgs name a state. Of those that misbehave, who refuses holds the marked resource as it was, and nobody waits for who is slow.
type HoldArgs struct {
	At        state
	Unruly    bool
	MarkedWas int
}

// Expect begins to wait until every client holds exactly what belongs to a state: each resource, byte for byte, and none besides.
func (r *fleetRole) Expect(args HoldArgs, _ *struct{}) (err error) {
	want := make([]wanted, len(r.clients))
	digest := r.digester.digest(args.At)
	stubborn := digest
	if args.Unruly {
		args.At.Marked = args.MarkedWas
		stubborn = r.digester.digest(args.At)
	}
	for i := range want {
		want[i] = wanted{digest: digest, ignored: args.Unruly && r.manners.slow(i)}
		if r.manners.refuses(i) {
			want[i].digest = stubborn
		}
	}
	r.all = r.holding.expect(want, r.clients)
	r.began = time.Now()
	r.cpuFrom, err = cpuSeconds()
	return err
}

// holdTimeout bounds how long a fleet takes to hold what it should.
const holdTimeout = 2 * time.Minute

// Await waits until they do.
func (r *fleetRole) Await(_ struct{}, counts *Counts) error {
	late := ""
	select {
	case <-r.all:
	case <-time.After(holdTimeout):
		late = r.behind()
	}
	*counts = Counts{Seconds: time.Since(r.began).Seconds(), Lost: r.lost.Load(), Late: late}
	now, err := cpuSeconds()
	counts.CPU = now - r.cpuFrom
	for i, c := range r.clients {
		s := c.Stats()
		counts.Bytes += s.Bytes
		counts.Responses += s.Responses
		counts.Refused += s.Refused
		counts.Upserts += s.Upserts
		if r.manners.refuses(i) {
			counts.Refusing += s.Responses
		}
	}
	return err
}

// Hold is both.
func (r *fleetRole) Hold(args HoldArgs, counts *Counts) error {
	if err := r.Expect(args, nil); err != nil {
		return err
	}
	return r.Await(struct{}{}, counts)
}

func (r *fleetRole) behind() string {
	text := "no stream was lost"
	if err := r.lastLoss.Load(); err != nil {
		text = fmt.Sprintf("%d streams were lost, the last by: %v", r.lost.Load(), *err)
	}
	count, one := r.holding.missing()
	return fmt.Sprintf("%d of %d proxies do not hold what was published after %v; one of them: %+v; %s",
		count, len(r.clients), holdTimeout, r.clients[one].Stats(), text)
}

// dial opens a stream of each client on a connection of its own.
func (r *fleetRole) dial() {
	ctx, cancel := context.WithCancel(context.Background())
	r.hangUp = cancel
	for _, c := range r.clients {
		r.streams.Go(func() { r.follow(ctx, c) })
	}
}

// Like the bootstrap's retry_back_off.
const minBackOff, maxBackOff = 100 * time.Millisecond, 2 * time.Second

// follow keeps a stream of a client open until ctx ends. One that ends by itself is counted, and opened again as an Envoy does.
func (r *fleetRole) follow(ctx context.Context, c *deltaclient.Client) {
	for wait := minBackOff; ; wait = min(2*wait, maxBackOff) {
		err := c.Run(ctx, deltaclient.Direct(r.address))
		if ctx.Err() != nil {
			return
		}
		r.lost.Add(1)
		r.lastLoss.Store(&err)
		if poll.Pause(ctx, time.Duration(rand.Int64N(int64(wait)))) != nil {
			return
		}
	}
}

// HangUp ends all streams and connections; the clients keep what they hold.
func (r *fleetRole) HangUp(struct{}, *struct{}) error {
	if r.hangUp == nil {
		return errors.New("not connected")
	}
	r.hangUp()
	r.streams.Wait()
	return nil
}

// ComeBack connects all clients at once, with what they hold, and waits until they hold what belongs to a state that they missed.
func (r *fleetRole) ComeBack(args HoldArgs, counts *Counts) error {
	if err := r.Expect(args, nil); err != nil {
		return err
	}
	r.dial()
	return r.Await(struct{}{}, counts)
}
