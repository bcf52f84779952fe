package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

// options are the flags, and the sizes that follow from them.
type options struct {
	quick   bool
	only    string
	results string
	keep    string
	seed    uint64
	rate    float64 // requests per second of the part "errors", at all origins
	runs    int     // of it

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

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench-guards:", err)
		os.Exit(1)
	}
}

func parse(args []string) (*options, error) {
	o := &options{
		quiet: 20 * time.Second, perCell: 20, patience: 10 * time.Minute, shifts: 10, bake: 15 * time.Second, healthy: 10 * time.Minute, perKind: 4,
		services: 200, turns: 5, settle: 2 * flush, busy: 15 * time.Second,
	}
	f := flag.NewFlagSet("bench-guards", flag.ContinueOnError)
	f.BoolVar(&o.quick, "quick", false, "everything small: shows that it works, not how well")
	f.StringVar(&o.only, "only", "", "run only the parts whose name (errors, curve, latency, ramp, healthy, many) contains this; writes no results")
	f.StringVar(&o.results, "results", "", "folder for results (default bench/results)")
	f.StringVar(&o.keep, "keep", "", "folder to keep the logs of the processes in")
	f.Uint64Var(&o.seed, "seed", 1, "of what befalls requests, and of the moments at which candidates fail")
	f.Float64Var(&o.rate, "rate", 2060, "requests per second in the part errors; a tenth is for eks")
	f.IntVar(&o.runs, "runs", 30, "runs of the part errors")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("%q is not a flag", f.Arg(0))
	}
	if o.quick {
		o.runs, o.quiet, o.perCell, o.patience, o.shifts, o.bake = min(o.runs, 3), 2*time.Second, 2, 6*time.Second, 1, 3*time.Second
		o.healthy, o.perKind, o.services, o.turns, o.settle, o.busy = 5*time.Second, 1, 10, 1, time.Second, time.Second
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
	if o.results, err = report.Results(o.results); err != nil {
		return err
	}
	debug.SetGCPercent(400) // clients and origins are in this process: its garbage is not what is measured
	r := report.NewRun("guards", strings.Join(append([]string{"go run ./bench/guards"}, args...), " "), o.seed, time.Now(),
		"github.com/envoyproxy/go-control-plane", "google.golang.org/grpc")
	if err := measure(ctx, o, r); err != nil {
		return err
	}
	return r.Conclude(o.results, o.quick, o.only == "")
}

// measure runs the parts, each with a control plane of its own.
func measure(ctx context.Context, o *options, r *report.Run) error {
	b, err := newBench(ctx, o, r)
	if err != nil {
		return err
	}
	defer b.close()
	for _, part := range []struct {
		name string
		run  func(context.Context) error
	}{{"errors", b.errors}, {"curve", b.curve}, {"latency", b.latency}, {"ramp", b.ramp}, {"healthy", b.healthies}, {"many", b.many}} {
		if !strings.Contains(part.name, o.only) {
			continue
		}
		began := time.Now()
		if err := part.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		fmt.Printf("%s took %.0f s\n", part.name, time.Since(began).Seconds())
	}
	if b.only == "" {
		b.peers()
	}
	return nil
}
