package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// fleetRole is the process that simulates a fleet: a client with a connection of its own for each proxy.
type fleetRole struct {
	workload workload
	address  string
	clients  []*deltaclient.Client
	holding  holding

	streams  sync.WaitGroup
	hangUp   context.CancelFunc
	lost     atomic.Int64 // streams that ended by themselves
	lastLoss atomic.Pointer[error]
}

// holding counts the clients that hold exactly what they should.
type holding struct {
	mu    sync.Mutex
	want  uint64
	right []bool
	count int
	all   chan struct{} // closed when count reaches everybody
}

// expect begins to count anew.
func (h *holding) expect(want uint64, clients []*deltaclient.Client) <-chan struct{} {
	h.mu.Lock()
	h.want, h.right, h.count, h.all = want, make([]bool, len(clients)), 0, make(chan struct{})
	all := h.all
	h.mu.Unlock()
	for i, c := range clients {
		h.changed(i, c)
	}
	return all
}

func (h *holding) changed(i int, c *deltaclient.Client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	digest := c.Stats().Digest // under the lock: of two calls for a client, the later one knows better
	if i >= len(h.right) || h.right[i] == (digest == h.want) {
		return
	}
	if h.right[i] = !h.right[i]; !h.right[i] {
		h.count--
		return
	}
	if h.count++; h.count == len(h.right) {
		close(h.all)
	}
}

// FleetArgs describe the fleet.
type FleetArgs struct {
	Workload workload
	At       state
	Clients  int
	Address  string
}

// Counts of a fleet.
type Counts struct {
	Seconds   float64 // from the beginning of the call until every client held what it should
	Bytes     int64   // of all responses to all clients since they began
	Responses int
	Upserts   int
	Lost      int64 // streams that ended by themselves
}

// Connect connects all clients at once, each new, and waits until all hold everything.
func (r *fleetRole) Connect(args FleetArgs, counts *Counts) error {
	r.workload, r.address = args.Workload, args.Address
	for i := range args.Clients {
		var c *deltaclient.Client
		c = deltaclient.New(deltaclient.Config{
			ID: fmt.Sprintf("proxy-%05d", i), Fleet: fleetName, ListenAddress: listenAddress, Layers: translate.LayerNames(),
			Changed: func() { r.holding.changed(i, c) },
		})
		r.clients = append(r.clients, c)
	}
	began := time.Now()
	all := r.expect(args.At)
	if err := r.dial(); err != nil {
		return err
	}
	return r.await(began, all, counts)
}

func (r *fleetRole) expect(at state) <-chan struct{} {
	return r.holding.expect(digest(r.workload.resources(at)), r.clients)
}

// dial opens a stream of each client on a connection of its own.
func (r *fleetRole) dial() error {
	ctx, cancel := context.WithCancel(context.Background())
	r.hangUp = cancel
	for _, c := range r.clients {
		conn, err := grpc.NewClient(r.address, append(deltaclient.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
		if err != nil {
			cancel()
			return err
		}
		r.streams.Go(func() {
			defer conn.Close()
			r.follow(ctx, c, conn)
		})
	}
	return nil
}

// Like the bootstrap's retry_back_off.
const minBackOff, maxBackOff = 100 * time.Millisecond, 2 * time.Second

// follow keeps a stream of a client open until ctx ends. One that ends by itself is counted, and opened again as an Envoy does.
func (r *fleetRole) follow(ctx context.Context, c *deltaclient.Client, conn *grpc.ClientConn) {
	for wait := minBackOff; ; wait = min(2*wait, maxBackOff) {
		err := c.Run(ctx, conn)
		if ctx.Err() != nil {
			return
		}
		r.lost.Add(1)
		r.lastLoss.Store(&err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(rand.Int64N(int64(wait)))):
		}
	}
}

// holdTimeout bounds how long a fleet takes to hold what it should.
const holdTimeout = 2 * time.Minute

func (r *fleetRole) await(began time.Time, all <-chan struct{}, counts *Counts) error {
	select {
	case <-all:
	case <-time.After(holdTimeout):
		return r.behind()
	}
	*counts = r.counts(time.Since(began))
	return nil
}

func (r *fleetRole) behind() error {
	r.holding.mu.Lock()
	defer r.holding.mu.Unlock()
	text := "no stream was lost"
	if err := r.lastLoss.Load(); err != nil {
		text = fmt.Sprintf("%d streams were lost, the last by: %v", r.lost.Load(), *err)
	}
	i := slices.Index(r.holding.right, false)
	return fmt.Errorf("%d of %d proxies do not hold what was published after %v; one of them: %+v; %s",
		len(r.clients)-r.holding.count, len(r.clients), holdTimeout, r.clients[max(i, 0)].Stats(), text)
}

func (r *fleetRole) counts(took time.Duration) Counts {
	out := Counts{Seconds: took.Seconds(), Lost: r.lost.Load()}
	for _, c := range r.clients {
		s := c.Stats()
		out.Bytes += s.Bytes
		out.Responses += s.Responses
		out.Upserts += s.Upserts
	}
	return out
}

// HoldArgs name a state.
type HoldArgs struct {
	At state
}

// Hold waits until every client holds exactly what belongs to a state: each resource, byte for byte, and none besides.
func (r *fleetRole) Hold(args HoldArgs, counts *Counts) error {
	return r.await(time.Now(), r.expect(args.At), counts)
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
	all := r.expect(args.At)
	began := time.Now()
	if err := r.dial(); err != nil {
		return err
	}
	return r.await(began, all, counts)
}
