package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/internal/role"
	"github.com/crossfade-proxy/crossfade/deploy/envoy"
)

// aims of 1,000 proxies with 200 services that are all busy, and 10 rollouts.
const (
	aimProxies  = 1000
	aimServices = 200
	aimRollouts = 10
	aimCores    = 1.0
	aimBytes    = 50.0 // kB/s per proxy, on the wire
	aimFlat     = 1.2  // of the cost at one request per second and service
)

const mostProxies = 10_000

// options are the flags, and the sizes that follow from them.
type options struct {
	report.Options
	proxies, services, rollouts int
	rate                        float64
	interval                    time.Duration
	pairs                       int
	profiles                    string

	windows   int // flush intervals that are measured at a time
	sizes     []int
	rates     []float64
	intervals []pace
	fails     int           // candidates that fail
	failing   float64       // share of their errors
	window    time.Duration // of guards, at least
	guarded   time.Duration // flush interval of the part guards, at most
	rated     struct {      // the part rates, at most
		proxies  int
		interval time.Duration
	}
}

// pace is an interval for so many busy origins of each service.
type pace struct {
	interval time.Duration
	both     bool
}

// roleFleet is that of the simulated fleet: a process of its own, so that its CPU is told apart from the control plane's.
const roleFleet = "fleet"

func roles() map[string]any { return map[string]any{roleFleet: &fleetRole{}} }

func main() {
	if !role.Serve(roles()) {
		report.Main("telemetry", run)
	}
}

func parse(args []string) (*options, error) {
	o := &options{
		windows: 2, sizes: []int{100, 300, 1000, 2000, 3000, 4000, 6000, 8000}, rates: []float64{1, 10, 100},
		intervals: []pace{
			{24 * time.Second, true},
			{13 * time.Second, true},
			{24 * time.Second, false},
			{13 * time.Second, false},
			{5 * time.Second, false},
			{envoy.DefaultFlushInterval, false}, // may be more than the machine can do, and so is last
		},
		fails: 5, failing: 0.05, window: 10 * time.Second, guarded: time.Minute,
	}
	o.rated.proxies, o.rated.interval = mostProxies, time.Minute
	f := o.Flags("telemetry", report.Words{
		Quick: "half a minute", Short: "11 minutes", Full: "45 minutes", Parts: "cost, rates, intervals, sizes, guards", Seed: "when each proxy flushes",
	})
	f.IntVar(&o.proxies, "proxies", aimProxies, "simulated proxies")
	f.IntVar(&o.services, "services", aimServices, "services with two origins, of which the primary is busy at every proxy")
	f.IntVar(&o.rollouts, "rollouts", aimRollouts, "rollouts in progress; of their services both origins are busy")
	f.Float64Var(&o.rate, "rate", 10, "requests per second of each service at each proxy")
	f.DurationVar(&o.interval, "interval", 13*time.Second, "how often each proxy flushes")
	f.IntVar(&o.pairs, "pairs", 5, "pairs of the parts cost and rates")
	f.StringVar(&o.profiles, "profiles", "", "folder for CPU profiles of the control plane, which cost time")
	if err := o.Parse(f, args, report.Smaller{
		report.Quick: {"proxies", "20", "services", "20", "rollouts", "2", "interval", "500ms", "pairs", "1"},
	}); err != nil {
		return nil, err
	}
	switch o.Size {
	case report.Quick:
		o.sizes, o.rates, o.intervals, o.windows = []int{10, 20}, []float64{1, 10}, []pace{{time.Second, true}}, 1
		o.fails, o.failing, o.window = 1, 0.5, 2*time.Second
	case report.Short:
		o.sizes, o.rates, o.intervals, o.windows = []int{500, 2000}, []float64{1, 100}, []pace{{envoy.DefaultFlushInterval, false}}, 1
		o.fails, o.guarded, o.rated.proxies, o.rated.interval = 1, 5*time.Second, 300, 4*time.Second
	case report.Full:
	}
	return o, o.check()
}

func (o *options) check() error {
	switch {
	case o.proxies < 1 || o.proxies > mostProxies:
		return fmt.Errorf("-proxies: %d: must be 1 to %d", o.proxies, mostProxies)
	case o.services < 1 || o.services > 5000:
		return fmt.Errorf("-services: %d: must be 1 to 5000", o.services)
	case o.rollouts < 1 || o.rollouts > o.services:
		return fmt.Errorf("-rollouts: %d: must be 1 to the number of services", o.rollouts)
	case o.rate <= 0 || o.rate > 10_000:
		return fmt.Errorf("-rate: %v: must be above 0 and at most 10000", o.rate)
	case o.interval < 100*time.Millisecond || o.interval > time.Minute:
		return fmt.Errorf("-interval: %v: must be 100ms to 1m", o.interval)
	case o.pairs < 1:
		return fmt.Errorf("-pairs: %d: must be at least 1", o.pairs)
	}
	return nil
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	return o.report(func(r *report.Run) (failed, err error) {
		b, err := newBench(ctx, o, r)
		if err != nil {
			return nil, err
		}
		defer b.close()
		return b.each(ctx, []report.Part{
			{Name: "cost", Run: b.cost},
			{Name: "rates", Run: b.byRate},
			{Name: "intervals", Run: b.byInterval},
			{Name: "sizes", Run: b.bySize},
			{Name: "guards", Run: b.guards},
		})
	})
}

// report writes what was measured, and fails after that if a part did.
func (o *options) report(measure func(*report.Run) (failed, err error)) error {
	var failed error
	err := o.Report(func(r *report.Run) (err error) {
		failed, err = measure(r)
		return err
	}, "github.com/envoyproxy/go-control-plane", "google.golang.org/grpc", "google.golang.org/protobuf")
	return errors.Join(failed, err)
}

// each runs parts. One that fails makes its lines invalid, and the others go on: what they find is not lost. failed is of all of them; err ends the run.
func (b *bench) each(ctx context.Context, parts []report.Part) (failed, err error) {
	for i, p := range parts {
		parts[i].Run = func(ctx context.Context) error {
			err := p.Run(ctx)
			if err == nil || ctx.Err() != nil {
				return err
			}
			b.spoil(p.Name, err)
			failed = errors.Join(failed, fmt.Errorf("%s: %w", p.Name, err))
			return nil
		}
	}
	err = b.Parts(ctx, parts)
	return failed, err
}

// spoil says of a part that it failed, in a line of its own and in those that it has.
func (b *bench) spoil(part string, why error) {
	fmt.Printf("%s FAILED: %v\n", part, why)
	l := report.NewLine(system, "part_completed", "parts", map[string]any{"part": part}, nil)
	l.Failed = 1
	b.r.Add(l.AimNone())
	for _, l := range b.r.Lines() {
		if l.Case["part"] == part {
			l.Invalidate("the part failed: %v", why)
		}
	}
}
