package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/role"
	"github.com/crossfade-proxy/crossfade/bench/internal/usage"
	"github.com/crossfade-proxy/crossfade/internal/envoyproc"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// runner is one subject in one round.
type runner struct {
	subject
	*plan
	number        int
	server, fleet *role.Child
	envoys        []*envoyproc.Process
	address       string // of the server
	at            state
	unruly        bool    // those misbehave that can
	markedWas     int     // when they began
	routed        int     // how often routes changed
	began         Counts  // of the fleet, when the measured flips began
	fleetCPU      float64 // seconds, of the flips since then
	usageBegan    Usage   // of the server, then
	changesMarked bool    // with each flip
	m             measured

	over    atomic.Bool // the server had more memory than it may
	watched context.CancelFunc
	watch   sync.WaitGroup
}

func newRunner(ctx context.Context, p *plan, s subject, number int) (*runner, error) {
	server, err := role.Start(roleServer)
	if err != nil {
		return nil, err
	}
	fleet, err := role.Start(roleFleet)
	if err != nil {
		server.Close()
		return nil, err
	}
	r := &runner{subject: s, plan: p, number: number, server: server, fleet: fleet, at: state{InRoutes: s.system == linearRoutes}}
	ctx, r.watched = context.WithCancel(ctx)
	r.watch.Go(func() { r.watchMemory(ctx) })
	return r, nil
}

// watchMemory ends a server that has more memory than it may, and its fleet, which would wait for it.
func (r *runner) watchMemory(ctx context.Context) {
	for poll.Pause(ctx, 100*time.Millisecond) == nil {
		if usage.Memory(r.server.PID(), "VmRSS") > float64(r.limit) {
			r.over.Store(true)
			r.kill()
			return
		}
	}
}

func (r *runner) kill() {
	r.fleet.Kill()
	r.server.Kill()
}

// stop ends all processes.
func (r *runner) stop() {
	r.watched()
	r.watch.Wait()
	for _, e := range r.envoys {
		e.Kill()
	}
	var both sync.WaitGroup
	both.Go(r.server.Close)
	both.Go(r.fleet.Close)
	both.Wait()
}

// tooMuch is why the server was ended.
func (r *runner) tooMuch() gaveUp {
	return gaveUp(fmt.Sprintf("needs over %.3g GB", float64(r.limit)/1e9))
}

func (r *runner) usage(ctx context.Context, args UsageArgs) (u Usage, err error) {
	if err := r.server.Call(ctx, "Usage", args, &u); err != nil {
		return u, err
	}
	if u.PeakRSS > r.limit { // in between two looks
		return u, r.tooMuch()
	}
	return u, nil
}

// held asks the fleet for something that ends when everybody holds what they should.
func (r *runner) held(ctx context.Context, method string, args any) (c Counts, err error) {
	if err := r.fleet.Call(ctx, method, args, &c); err != nil {
		return c, err
	}
	if c.Late != "" {
		return c, gaveUp(c.Late)
	}
	return c, nil
}

// holds is what everybody should hold.
func (r *runner) holds() HoldArgs { return HoldArgs{r.at, r.unruly, r.markedWas} }

// hold waits until the fleet holds what it should.
func (r *runner) hold(ctx context.Context) (Counts, error) { return r.held(ctx, "Hold", r.holds()) }

// start starts the server and connects all clients at once.
func (r *runner) start(ctx context.Context) error {
	if err := r.server.Call(ctx, "Start", StartArgs{r.system, r.Workload, r.Clients}, &r.address); err != nil {
		return err
	}
	before, err := r.usage(ctx, UsageArgs{Collect: true})
	if err != nil {
		return err
	}
	r.m.RSSBefore, r.m.HeapBefore = before.RSS, before.Heap
	if err := r.profiled(ctx, "StartProfile", "cold"); err != nil {
		return err
	}
	c, err := r.held(ctx, "Connect", FleetArgs{r.Workload, r.at, r.Clients, r.Manners, r.address})
	if err != nil {
		return err
	}
	after, err := r.usage(ctx, UsageArgs{})
	if err != nil {
		return err
	}
	r.m.Cold, r.m.ColdBytes, r.m.ColdCPU = c.Seconds, c.Bytes, after.CPU-before.CPU
	return r.profiled(ctx, "StopProfile", "")
}

// warmUp flips each service once, so that every measured flip carries the same number of levers.
func (r *runner) warmUp(ctx context.Context) error {
	for range r.Workload.Flipping {
		if _, err := r.flip(ctx); err != nil {
			return err
		}
	}
	c, err := r.hold(ctx)
	if err != nil {
		return err
	}
	r.began, r.fleetCPU = c, 0
	if r.usageBegan, err = r.usage(ctx, UsageArgs{}); err != nil {
		return err
	}
	return r.profiled(ctx, "StartProfile", "flips")
}

func (r *runner) measuredFlip(ctx context.Context) error {
	a, err := r.flip(ctx)
	r.m.Last, r.m.Median = append(r.m.Last, a.Last), append(r.m.Median, a.Median)
	r.m.Refused += a.Refused
	if err != nil {
		return err
	}
	return poll.Pause(ctx, r.pause)
}

// flip makes one change and checks that every client holds it, and nothing else that differs.
func (r *runner) flip(ctx context.Context) (a FlipAnswer, err error) {
	if err := r.prepare(ctx); err != nil {
		return a, err
	}
	if err := r.fleet.Call(ctx, "Expect", r.holds(), nil); err != nil {
		return a, err
	}
	streams := r.Clients + r.Envoys
	if r.unruly {
		streams -= r.Manners.Refusing + r.Manners.Slow
	}
	if err := r.server.Call(ctx, "Flip", FlipArgs{streams, !r.unruly}, &a); err != nil {
		return a, err
	}
	if a.Late > 0 {
		return a, gaveUp(fmt.Sprintf("%d of %d streams had not acknowledged a flip after %v", a.Late, streams, flipTimeout))
	}
	c, err := r.held(ctx, "Await", struct{}{})
	r.fleetCPU += c.CPU
	return a, err
}

func (r *runner) prepare(ctx context.Context) error {
	r.at.Flip++
	if r.changesMarked {
		r.at.Marked++
	}
	return r.makeReady(ctx)
}

// makeReady has the server make ready what brings it to where the runner is.
func (r *runner) makeReady(ctx context.Context) error {
	return r.server.Call(ctx, "Prepare", PrepareArgs{change{r.at.Flip, r.at.Marked, r.routed}}, nil)
}

func (r *runner) endFlips(ctx context.Context) error {
	if err := r.profiled(ctx, "StopProfile", ""); err != nil {
		return err
	}
	c, err := r.hold(ctx)
	if err != nil {
		return err
	}
	flips := float64(r.flips)
	r.m.FlipBytes, r.m.FlipResponses = float64(c.Bytes-r.began.Bytes)/flips, float64(c.Responses-r.began.Responses)/flips
	r.m.FleetCPU = r.fleetCPU / flips
	u, err := r.usage(ctx, UsageArgs{})
	if err != nil {
		return err
	}
	r.m.FlipCPU, r.m.Collections = (u.CPU-r.usageBegan.CPU)/flips, float64(u.Collections-r.usageBegan.Collections)/flips
	r.m.RSS, r.m.Peak, r.m.Goroutines, r.m.Stacks = u.RSS, u.PeakRSS, u.Goroutines, u.Stacks
	if u, err = r.usage(ctx, UsageArgs{Collect: true}); err != nil {
		return err
	}
	r.m.Heap = u.Heap
	return r.profiled(ctx, "HeapProfile", "heap")
}

// fold measures what it costs to move the changes of the small layer to the base layers.
func (r *runner) fold(ctx context.Context) error {
	before, err := r.hold(ctx)
	if err != nil {
		return err
	}
	began, err := r.usage(ctx, UsageArgs{})
	if err != nil {
		return err
	}
	var took float64
	if err := r.server.Call(ctx, "Fold", struct{}{}, &took); err != nil {
		return err
	}
	if took > 0 {
		r.at.Folded = r.at.Flip
	}
	after, err := r.hold(ctx)
	if err != nil {
		return err
	}
	ended, err := r.usage(ctx, UsageArgs{})
	r.m.Fold, r.m.FoldBytes, r.m.FoldCPU = took, after.Bytes-before.Bytes, ended.CPU-began.CPU
	return err
}

// storm hangs up, flips, and lets all come back at once. What they have must not be sent again.
func (r *runner) storm(ctx context.Context) error {
	before, err := r.hold(ctx)
	if err != nil {
		return err
	}
	if err := r.fleet.Call(ctx, "HangUp", struct{}{}, nil); err != nil {
		return err
	}
	if err := r.prepare(ctx); err != nil {
		return err
	}
	if err := r.server.Call(ctx, "Publish", struct{}{}, nil); err != nil {
		return err
	}
	began, err := r.usage(ctx, UsageArgs{NewPeak: true})
	if err != nil {
		return err
	}
	if err := r.profiled(ctx, "StartProfile", "storm"); err != nil {
		return err
	}
	after, err := r.held(ctx, "ComeBack", r.holds())
	if err != nil {
		return err
	}
	ended, err := r.usage(ctx, UsageArgs{})
	if err != nil {
		return err
	}
	r.m.Storm, r.m.StormCPU, r.m.StormPeak, r.m.Lost = after.Seconds, ended.CPU-began.CPU, ended.PeakRSS, after.Lost
	r.m.StormBytes, r.m.StormUpserts = after.Bytes-before.Bytes, after.Upserts-before.Upserts
	return r.profiled(ctx, "StopProfile", "")
}
