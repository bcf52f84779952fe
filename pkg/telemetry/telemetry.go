package telemetry

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// MaxMessage is the size, in bytes, that the gRPC server must take: a flush of 2,000 services that are all busy is 10 MB. Give it to
// grpc.MaxRecvMsgSize.
const MaxMessage = 16 << 20

// Bounds of what is kept.
const (
	defaultMaxProxies = 10_000
	maxFleets         = 512
	maxSeries         = 20_000           // per fleet
	maxSeriesInAll    = 40_000           // of all fleets
	keepLost          = 24 * time.Hour   // how long a proxy that is not connected counts as lost
	keepIdle          = time.Hour        // a series without data gives way to a new one after so long
	keepUnknown       = 10 * time.Minute // a proxy that reports and never connected
)

// Options of a Telemetry. All are optional.
type Options struct {
	Log *slog.Logger
	Now func() time.Time
	// Admit says whether the caller may be a proxy of a fleet; its error is the status of the call. Nil: everybody may.
	Admit func(ctx context.Context, fleet, proxy string) error
	// MaxProxies bounds the proxies that are known at a time. One that connects takes the place of one that is not connected. Default 10,000.
	MaxProxies int
	// MaxFollowed bounds the proxies that report every 250 ms at a time, at 250 kB/s each. Default 64.
	MaxFollowed int
	// Retried says whether proxies try requests of a service again that were answered, reset, or took too long, and not only those that reached
	// nobody. Load reports count each try, so a [Watch] uses metrics alone then, and is slower. Without it none are. It is called with no lock held.
	Retried func(service string) bool
}

// Telemetry receives what the proxies report. Its methods may be called from several goroutines.
type Telemetry struct {
	log        *slog.Logger
	now        func() time.Time
	admit      func(ctx context.Context, fleet, proxy string) error
	maxProxies int
	tryAgain   func(service string) bool
	layouts    layouts
	lanes      lanes
	flushes    sync.Pool // of *flush
	decoders   decoders
	counters   counters
	proxies    atomic.Int64
	room       room

	mu     sync.Mutex
	fleets map[string]*fleet
}

// New returns a Telemetry that knows nobody.
func New(o Options) *Telemetry {
	t := &Telemetry{log: o.Log, now: o.Now, admit: o.Admit, maxProxies: o.MaxProxies, tryAgain: o.Retried, fleets: map[string]*fleet{}}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	if t.admit == nil {
		t.admit = func(context.Context, string, string) error { return nil }
	}
	if t.now == nil {
		t.now = time.Now
	}
	if t.maxProxies <= 0 {
		t.maxProxies = defaultMaxProxies
	}
	t.lanes.init(o.MaxFollowed)
	t.decoders.init()
	t.flushes.New = func() any { return &flush{} }
	return t
}

// Register adds the receivers of metrics and load reports to the gRPC server that proxies reach.
func (t *Telemetry) Register(r grpc.ServiceRegistrar) {
	t.registerOTLP(r)
	t.registerLRS(r)
}

// Connected notes that a proxy's xDS stream began or ended: give it to xds.Options.OnConnect. A proxy that was connected and is not any more
// counts as lost for 24 h, or until [Telemetry.Forget].
func (t *Telemetry) Connected(fleet, proxy string, connected bool) {
	f, p, err := t.enterFor(fleet, proxy, connected)
	if err != nil {
		t.log.Warn("a proxy is not followed", "proxy", proxy, "fleet", fleet, "error", err)
		return
	}
	defer f.mu.Unlock()
	now := t.now()
	p.lastSeen = now
	if connected {
		p.streams++
		p.known = true
	} else {
		p.streams = max(0, p.streams-1)
	}
	f.recount()
	for proof := range f.proofs {
		proof.tracker.connected(proxy, p.streams > 0, now)
		proof.changed()
	}
	t.attend(f, p)
}

// Remember makes a proxy known that was connected to an earlier process: it counts as lost since it was seen, until it connects.
func (t *Telemetry) Remember(fleet, proxy string, seen time.Time) {
	f, p, err := t.enter(fleet, proxy)
	if err != nil {
		t.log.Warn("a proxy is not remembered", "proxy", proxy, "fleet", fleet, "error", err)
		return
	}
	defer f.mu.Unlock()
	if !p.known {
		p.known, p.lastSeen = true, seen
	}
}

// Forget removes a proxy that will not come back.
func (t *Telemetry) Forget(fleet, proxy string) {
	t.mu.Lock()
	f := t.fleets[fleet]
	t.mu.Unlock()
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.proxies[proxy]; p != nil {
		t.drop(f, p)
	}
}

// drop removes a proxy. f.mu is held.
func (t *Telemetry) drop(f *fleet, p *proxy) {
	f.account(p, nil, t.now())
	delete(f.proxies, p.id)
	f.recount()
	t.proxies.Add(-1)
	t.lanes.want(p, idle)
	for proof := range f.proofs {
		proof.tracker.forget(p.id)
		proof.changed()
	}
}

// fleet returns a fleet, which exists from its first mention.
func (t *Telemetry) fleet(name string) *fleet {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, ok := t.fleets[name]
	if !ok {
		f = newFleet(name, t.now(), &t.room)
		t.fleets[name] = f
	}
	return f
}

// reportingFleet returns a fleet that a proxy names, within bounds.
func (t *Telemetry) reportingFleet(name string) (*fleet, error) {
	t.mu.Lock()
	_, known := t.fleets[name]
	full := len(t.fleets) >= maxFleets
	t.mu.Unlock()
	if !known && full {
		return nil, status.Errorf(codes.ResourceExhausted, "fleet %q: %d fleets are known already", name, maxFleets)
	}
	return t.fleet(name), nil
}

// enter returns a proxy, which exists from its first mention, and its fleet, locked.
func (t *Telemetry) enter(fleet, id string) (*fleet, *proxy, error) {
	return t.enterFor(fleet, id, false)
}

// enterFor is enter, also for one that connects: that gets a place, if need be that of one that is not connected.
func (t *Telemetry) enterFor(fleet, id string, connects bool) (*fleet, *proxy, error) {
	f, err := t.reportingFleet(fleet)
	if err != nil {
		return nil, nil, err
	}
	f.mu.Lock()
	if p := f.proxies[id]; p != nil {
		return f, p, nil
	}
	f.mu.Unlock()
	if t.proxies.Add(1) > int64(t.maxProxies) {
		t.sweep()
		if connects && t.proxies.Load() > int64(t.maxProxies) {
			t.dropFirst()
		}
		if t.proxies.Load() > int64(t.maxProxies) {
			t.proxies.Add(-1)
			return nil, nil, status.Errorf(codes.ResourceExhausted, "proxy %q: %d proxies are known already", id, t.maxProxies)
		}
	}
	f.mu.Lock()
	if p := f.proxies[id]; p != nil {
		t.proxies.Add(-1)
		return f, p, nil
	}
	p := &proxy{id: id, lastSeen: t.now()}
	f.proxies[id] = p
	return f, p, nil
}

// dropFirst forgets one proxy that is not connected: of those that never were the one seen first, or else of the others.
func (t *Telemetry) dropFirst() {
	var from *fleet
	var first proxy
	for _, f := range t.all() {
		f.mu.Lock()
		for _, p := range f.proxies {
			if p.streams > 0 {
				continue
			}
			if from == nil || first.known && !p.known || first.known == p.known && p.lastSeen.Before(first.lastSeen) {
				from, first.id, first.known, first.lastSeen = f, p.id, p.known, p.lastSeen
			}
		}
		f.mu.Unlock()
	}
	if from == nil {
		return
	}
	from.mu.Lock()
	defer from.mu.Unlock()
	if p := from.proxies[first.id]; p != nil && p.streams == 0 { // it may have connected meanwhile
		t.drop(from, p)
	}
}

// sweep forgets proxies that are gone for long: it is called when there is no room.
func (t *Telemetry) sweep() {
	now := t.now()
	for _, f := range t.all() {
		f.mu.Lock()
		for _, p := range f.proxies {
			keep := keepUnknown
			if p.known {
				keep = keepLost
			}
			if p.streams == 0 && now.Sub(p.lastSeen) > keep {
				t.drop(f, p)
			}
		}
		f.mu.Unlock()
	}
}

// all returns the fleets by name.
func (t *Telemetry) all() []*fleet {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]*fleet, 0, len(t.fleets))
	for _, f := range t.fleets {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b *fleet) int { return strings.Compare(a.name, b.name) })
	return out
}
