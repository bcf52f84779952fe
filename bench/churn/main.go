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
	proxies    int
	replicas   int           // of each origin
	times      int           // each of them is replaced
	rate       float64       // requests per second, of each of the four loads
	least      uint64        // requests of a case
	changes    int           // of EndpointSlices
	ecsChanges int           // of tasks
	services   int           // of the case with many
	look       time.Duration // at those
	outage     time.Duration // of the sources
	quick      bool
	only       string
	results    string
	seed       uint64
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench-churn:", err)
		os.Exit(1)
	}
}

func parse(args []string) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("bench-churn", flag.ContinueOnError)
	f.BoolVar(&o.quick, "quick", false, "everything once and small: shows that it works, not how well")
	f.IntVar(&o.proxies, "proxies", 4, "Envoys")
	f.IntVar(&o.replicas, "replicas", 20, "endpoints of each origin")
	f.IntVar(&o.times, "times", 10, "how often each endpoint is replaced")
	f.Float64Var(&o.rate, "rate", 500, "requests per second to each origin by each protocol")
	f.Uint64Var(&o.least, "requests", 100_000, "requests of a case, at least")
	f.IntVar(&o.changes, "changes", 220, "measured changes of EndpointSlices")
	f.IntVar(&o.ecsChanges, "ecs-changes", 60, "measured changes of ECS tasks")
	f.IntVar(&o.services, "services", 200, "services of the case with many")
	f.DurationVar(&o.look, "look", time.Minute, "how long those are looked at")
	f.DurationVar(&o.outage, "outage", time.Minute, "how long sources fail")
	f.StringVar(&o.only, "only", "", "run only the parts whose name (deploys, following, faults, many) contains this; writes no results")
	f.StringVar(&o.results, "results", "", "folder for results (default bench/results)")
	f.Uint64Var(&o.seed, "seed", 1, "of the moments at which changes are made")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("%q is not a flag", f.Arg(0))
	}
	if o.quick {
		o.replicas, o.times, o.least, o.rate, o.changes, o.ecsChanges, o.services, o.look, o.outage = 4, 1, 2000, 200, 5, 2, 10, 5*time.Second, 3*time.Second
	}
	if min(o.proxies, o.replicas, o.times, o.changes, o.ecsChanges, o.services) < 1 || o.services > 900 || o.rate <= 0 || o.look <= 0 || o.outage <= 0 {
		return nil, errors.New("all numbers must be at least 1, -services at most 900")
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
	r := report.NewRun("churn", strings.Join(append([]string{"go run ./bench/churn"}, args...), " "), o.seed, time.Now(),
		"github.com/envoyproxy/go-control-plane", "k8s.io/client-go", "github.com/aws/aws-sdk-go-v2/service/ecs")
	if err := measure(ctx, o, r); err != nil {
		return err
	}
	return r.Conclude(o.results, o.quick, o.only == "")
}

// measure runs the parts, each with a control plane of its own.
func measure(ctx context.Context, o *options, r *report.Run) error {
	l, err := newLab(ctx, o, r)
	if err != nil {
		return err
	}
	defer l.close()
	for _, part := range []struct {
		name string
		run  func(context.Context) error
	}{{"deploys", l.deploys}, {"following", l.following}, {"faults", l.faults}, {"many", l.many}} {
		if !strings.Contains(part.name, o.only) {
			continue
		}
		if err := part.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}
