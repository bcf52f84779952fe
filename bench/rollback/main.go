package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

// options are the flags.
type options struct {
	proxies  int
	services int
	flips    int // of each case
	rounds   int
	pools    int // flips with many requests open
	open     int // such requests per proxy
	rate     float64
	quick    bool
	only     string
	results  string
	profile  string
	seed     uint64
}

func main() {
	if os.Getenv(roleEnv) != "" {
		exit(serveLoad())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(run(ctx, os.Args[1:]))
}

func exit(err error) {
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "bench-rollback:", err)
		}
		os.Exit(1)
	}
	os.Exit(0)
}

func parse(args []string) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("bench-rollback", flag.ContinueOnError)
	f.BoolVar(&o.quick, "quick", false, "a few flips of each case: shows that it works, not how fast")
	f.IntVar(&o.proxies, "proxies", 4, "Envoys, and HAProxies")
	f.IntVar(&o.services, "services", 200, "services of the big cases")
	f.IntVar(&o.flips, "flips", 255, "flips of each case")
	f.IntVar(&o.rounds, "rounds", 5, "runs of each case; with HAProxy they alternate")
	f.IntVar(&o.pools, "pools", 6, "flips with many requests open")
	f.IntVar(&o.open, "open", 2000, "requests open per proxy then, at least")
	f.Float64Var(&o.rate, "rate", 0, "requests per second for each proxy (default half of the measured capacity, at least 1000)")
	f.StringVar(&o.only, "only", "", "run only the cases whose name contains this; writes no results")
	f.StringVar(&o.results, "results", "", "folder for results (default bench/results)")
	f.StringVar(&o.profile, "keep", "", "folder to keep the logs of the processes in")
	f.Uint64Var(&o.seed, "seed", 1, "of the moments at which flips begin, and of the intervals")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("%q is not a flag", f.Arg(0))
	}
	if o.quick {
		o.flips, o.rounds, o.pools = 3, 1, 1
	}
	if o.proxies < 1 || o.services < 2 || o.services > 900 || o.rounds < 1 || o.flips < o.rounds || o.pools < 0 || o.open < 1 || o.rate < 0 {
		return nil, errors.New("-proxies, -rounds, -open must be at least 1, -services 2 to 900, -flips at least -rounds")
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
	r := report.NewRun("rollback", strings.Join(append([]string{"go run ./bench/rollback"}, args...), " "), o.seed, time.Now(),
		"github.com/envoyproxy/go-control-plane", "google.golang.org/grpc")
	b, err := newBench(ctx, o, r)
	if err != nil {
		return err
	}
	defer b.close()
	if err := b.measure(ctx); err != nil {
		return err
	}
	return r.Conclude(o.results, o.quick, o.only == "")
}
