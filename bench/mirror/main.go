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

	inState time.Duration // how long each lasts
	pairs   int           // of runs for the latency at 1 %
	ratios  int           // pairs at 10 % and at 100 %
	perRun  time.Duration // of each run
	rounds  int           // of uploads
	flips   int           // rollbacks of each kind
	count   time.Duration // of each load whose counts are held against logs
	climb   time.Duration // of each step of the load
	tenfold time.Duration // after the jump
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench-mirror:", err)
		os.Exit(1)
	}
}

func parse(args []string) (*options, error) {
	o := &options{
		inState: 12 * time.Second, pairs: 20, ratios: 5, perRun: 6 * time.Second, rounds: 8, flips: 110,
		count: 20 * time.Second, climb: 4 * time.Second, tenfold: 10 * time.Second,
	}
	full := false
	f := flag.NewFlagSet("bench-mirror", flag.ContinueOnError)
	f.BoolVar(&o.quick, "quick", false, "everything once and small: shows that it works, not how well")
	f.BoolVar(&full, "full", false, "as much as the aims need, about 20 minutes: what happens without a flag as well")
	f.StringVar(&o.only, "only", "", "run only the parts whose name (harm, latency, uploads, rollback, counts) contains this; writes no results")
	f.StringVar(&o.results, "results", "", "folder for results (default bench/results)")
	f.StringVar(&o.keep, "keep", "", "folder to keep the logs of the processes in")
	f.Uint64Var(&o.seed, "seed", 1, "of the moments at which rollbacks begin, and of the intervals")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	switch {
	case f.NArg() > 0:
		return nil, fmt.Errorf("%q is not a flag", f.Arg(0))
	case o.quick && full:
		return nil, errors.New("-quick and -full exclude each other")
	case o.quick:
		o.inState, o.pairs, o.ratios, o.perRun, o.rounds, o.flips = 1500*time.Millisecond, 3, 1, time.Second, 1, 10
		o.count, o.climb, o.tenfold = 2*time.Second, time.Second, 2*time.Second
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
	r := report.NewRun("mirror", strings.Join(append([]string{"go run ./bench/mirror"}, args...), " "), o.seed, time.Now(),
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
	}{{"harm", b.harms}, {"latency", b.latency}, {"uploads", b.uploads}, {"rollback", b.rollbacks}, {"counts", b.counts}} {
		if !strings.Contains(part.name, o.only) {
			continue
		}
		began := time.Now()
		if err := part.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		fmt.Printf("%s took %.0f s\n", part.name, time.Since(began).Seconds())
	}
	return nil
}
