package main

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

// options are the flags, and the sizes that follow from them.
type options struct {
	report.Options
	keep string
	rate float64 // requests per second of the part "errors", at all origins
	runs int     // of it

	quiet    time.Duration // nothing is wrong for so long before something is
	perCell  int           // services of each pair of the curve
	patience time.Duration // until a failure of the curve counts as not found
	shifts   int           // runs of each slowness
	bake     time.Duration // of each step of the ramp
	healthy  time.Duration // how long healthy rollouts are walked
	perKind  int           // services of each kind of healthy ones
	services int           // of the part "many"
	turns    int           // of it
	settle   time.Duration // before CPU is measured
	busy     time.Duration // for which it is
}

func main() { report.Main("guards", run) }

func parse(args []string) (*options, error) {
	o := &options{
		quiet: 20 * time.Second, perCell: 20, patience: 10 * time.Minute, shifts: 10, bake: 15 * time.Second, healthy: 10 * time.Minute, perKind: 4,
		services: 200, turns: 5, settle: 2 * flush, busy: 15 * time.Second,
	}
	f := o.Flags("guards", report.Words{Quick: "a minute", Short: "10 minutes", Full: "70 minutes", Parts: "errors, curve, latency, ramp, healthy, many", Seed: "what befalls requests, and of the moments at which candidates fail"})
	f.StringVar(&o.keep, "keep", "", "folder to keep the logs of the processes in")
	f.Float64Var(&o.rate, "rate", 2060, "requests per second in the part errors; a tenth is for eks")
	f.IntVar(&o.runs, "runs", 30, "runs of the part errors")
	if err := o.Parse(f, args, nil); err != nil {
		return nil, err
	}
	switch o.Size {
	case report.Quick:
		o.runs, o.quiet, o.perCell, o.patience, o.shifts, o.bake = min(o.runs, 3), 2*time.Second, 2, 6*time.Second, 1, 3*time.Second
		o.healthy, o.perKind, o.services, o.turns, o.settle, o.busy = 5*time.Second, 1, 10, 1, time.Second, time.Second
	case report.Short:
		o.runs, o.quiet, o.perCell, o.patience, o.shifts, o.bake = min(o.runs, 5), 5*time.Second, 4, time.Minute, 2, 5*time.Second
		o.healthy, o.perKind, o.services, o.turns = time.Minute, 2, 50, 2
	case report.Full:
	}
	if o.runs < 1 || o.rate < 100 || o.rate > 20_000 {
		return nil, errors.New("-runs must be at least 1, -rate 100 to 20000")
	}
	return o, nil
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	debug.SetGCPercent(400) // clients and origins are in this process: its garbage is not what is measured
	return o.Report(func(r *report.Run) error { return measure(ctx, o, r) }, "github.com/envoyproxy/go-control-plane", "google.golang.org/grpc")
}

// measure runs the parts, each with a control plane of its own.
func measure(ctx context.Context, o *options, r *report.Run) error {
	b, err := newBench(ctx, o, r)
	if err != nil {
		return err
	}
	defer b.close()
	err = o.Parts(ctx, []report.Part{
		{Name: "errors", Run: b.errors},
		{Name: "curve", Run: b.curve},
		{Name: "latency", Run: b.latency},
		{Name: "ramp", Run: b.ramp},
		{Name: "healthy", Run: b.healthies},
		{Name: "many", Run: b.many},
	})
	if err == nil && b.Only == "" {
		b.peers()
	}
	return err
}
