package main

import (
	"context"
	"net"
	"os"
	"runtime"
	"slices"
	"time"

	"google.golang.org/grpc"

	"github.com/crossfade-proxy/crossfade/bench/internal/usage"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
)

// serverRole is the process of a system that serves. All have the same meter.
type serverRole struct {
	profiler
	system    system
	meter     meter
	target    struct{ typeURL, name string }
	preparing float64 // seconds of CPU that making ready has taken
}

// StartArgs say what to serve.
type StartArgs struct {
	System   string
	Workload workload
	Clients  int
}

// Start starts to serve and returns the address.
func (r *serverRole) Start(args StartArgs, address *string) error {
	s, err := newSystem(args.System, args.Workload, args.Clients)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	r.system = s
	var opts []grpc.ServerOption
	if args.System == crossfade || args.System == linearTuned {
		opts = xds.GRPCOptions()
	}
	g := grpc.NewServer(append(opts, grpc.StreamInterceptor(r.meter.intercept))...)
	s.register(g)
	go s.run(context.Background())
	go func() { panic(g.Serve(l)) }() // until the process ends
	*address = l.Addr().String()
	return nil
}

// PrepareArgs name the next flip.
type PrepareArgs struct {
	To change
}

// Prepare makes ready what a flip publishes.
func (r *serverRole) Prepare(args PrepareArgs, _ *struct{}) error {
	before, err := cpuSeconds()
	if err != nil {
		return err
	}
	r.target.typeURL, r.target.name = r.system.prepare(args.To)
	after, err := cpuSeconds()
	r.preparing += after - before
	return err
}

// FlipArgs say how many streams must answer: of all proxies, or of those that behave.
type FlipArgs struct {
	Streams   int
	Everybody bool
}

// FlipAnswer is when the acknowledgements came, in seconds after the publication.
type FlipAnswer struct {
	Median, Last float64
	Refused      int
	Late         int // streams that had not answered in time; then there are no times
}

// flipTimeout bounds a flip.
const flipTimeout = time.Minute

// Flip publishes what was prepared and waits until every stream that must has acknowledged it.
func (r *serverRole) Flip(args FlipArgs, answer *FlipAnswer) error {
	w := r.meter.expect(r.target.typeURL, r.target.name, args.Everybody, args.Streams)
	ctx, cancel := context.WithTimeout(context.Background(), flipTimeout)
	defer cancel()
	began := time.Now()
	r.system.publish()
	select {
	case <-w.done:
	case <-ctx.Done():
	}
	if answer.Late = r.meter.stop(w); answer.Late > 0 {
		return nil
	}
	if args.Everybody {
		if err := r.system.acked(ctx); err != nil {
			return err
		}
	}
	slices.SortFunc(w.acks, time.Time.Compare)
	after := func(i int) float64 { return w.acks[i].Sub(began).Seconds() }
	*answer = FlipAnswer{Median: after(len(w.acks) / 2), Last: after(len(w.acks) - 1), Refused: w.refused}
	return nil
}

// Publish publishes what was prepared and waits for nothing.
func (r *serverRole) Publish(struct{}, *struct{}) error {
	r.system.publish()
	return nil
}

// Fold folds, and says how many seconds that took until all had acknowledged it: 0, if the system does not know what that is.
func (r *serverRole) Fold(_ struct{}, took *float64) error {
	ctx, cancel := context.WithTimeout(context.Background(), flipTimeout)
	defer cancel()
	began := time.Now()
	folded, err := r.system.fold(ctx)
	if folded {
		*took = time.Since(began).Seconds()
	}
	return err
}

// Usage is what the server process uses.
type Usage struct {
	RSS, PeakRSS, Heap int64   // bytes; Heap is what the last collection found alive and what was allocated since
	CPU                float64 // seconds, since the process began, without what making ready took
	Collections        int     // of garbage, since then
	Goroutines         int
	Stacks             int64 // bytes
}

// UsageArgs say whether to collect garbage first, and whether the peak begins anew afterwards.
type UsageArgs struct {
	Collect, NewPeak bool
}

// Usage measures.
func (r *serverRole) Usage(args UsageArgs, u *Usage) (err error) {
	if args.Collect {
		runtime.GC()
		runtime.GC() // what the first one freed by finalizers
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	*u = Usage{Heap: int64(m.HeapAlloc), Collections: int(m.NumGC), Goroutines: runtime.NumGoroutine(), Stacks: int64(m.StackInuse)}
	if u.CPU, err = cpuSeconds(); err != nil {
		return err
	}
	u.CPU -= r.preparing
	u.RSS, u.PeakRSS = int64(usage.Memory(os.Getpid(), "VmRSS")), int64(usage.Memory(os.Getpid(), "VmHWM"))
	if args.NewPeak {
		return newPeak()
	}
	return nil
}
