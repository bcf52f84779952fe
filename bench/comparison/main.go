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

// system is ours in reports.
const system = "crossfade"

// options are the flags.
type options struct {
	runs    int           // of each system and case of the cost
	run     time.Duration // CPU time of each
	seeds   int           // worlds of each rate
	noisy   int           // experiments without a difference
	pairs   int           // of each of these
	diffy   int           // worlds of each case beside Diffy's rule
	quick   bool
	only    string
	results string
	seed    uint64
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench-comparison:", err)
		os.Exit(1)
	}
}

func parse(args []string) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("bench-comparison", flag.ContinueOnError)
	f.BoolVar(&o.quick, "quick", false, "everything small, in half a minute instead of ten: shows that it works, and proves little")
	f.IntVar(&o.runs, "runs", 15, "of each system for each kind of pair")
	f.DurationVar(&o.run, "run", time.Second, "CPU time of each of these")
	f.IntVar(&o.seeds, "seeds", 20, "worlds of each rate")
	f.IntVar(&o.noisy, "noisy", 50, "experiments in which nothing differs")
	f.IntVar(&o.pairs, "pairs", 100_000, "pairs of each of these")
	f.IntVar(&o.diffy, "diffy", 20, "worlds of each case beside Diffy's rule; of the long ones a fifth of them")
	f.StringVar(&o.only, "only", "", "run only the parts whose name (cost, recall, noise, diffy) contains this; writes no results")
	f.StringVar(&o.results, "results", "", "folder for results (default bench/results)")
	f.Uint64Var(&o.seed, "seed", 1, "of the first world of each part")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("%q is not a flag", f.Arg(0))
	}
	if o.quick {
		o.runs, o.run, o.seeds, o.noisy, o.pairs, o.diffy = 5, 400*time.Millisecond, 3, 5, 20_000, 2
	}
	if min(o.runs, o.seeds, o.noisy, o.pairs, o.diffy) < 1 || o.run < 50*time.Millisecond {
		return nil, errors.New("all numbers must be at least 1, -run at least 50ms")
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
	r := report.NewRun("comparison", strings.Join(append([]string{"go run ./bench/comparison"}, args...), " "), o.seed, time.Now(), "google.golang.org/protobuf")
	if err := measure(ctx, o, r); err != nil {
		return err
	}
	return r.Conclude(o.results, o.quick, o.only == "")
}

// measure runs the parts.
func measure(ctx context.Context, o *options, r *report.Run) error {
	for _, part := range []struct {
		name string
		run  func(context.Context, *options, *report.Run) error
	}{{"cost", cost}, {"recall", recall}, {"noise", noise}, {"diffy", diffy}} {
		if !strings.Contains(part.name, o.only) {
			continue
		}
		before := len(r.Lines())
		if err := part.run(ctx, o, r); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		for _, l := range r.Lines()[before:] {
			say(l)
		}
	}
	return nil
}

// say prints a line for whoever watches.
func say(l *report.Line) {
	text := fmt.Sprintf("%v %s, %s: p50 %.4g, max %.4g %s", l.Case, l.Metric, l.System, l.P50, l.Max, l.Unit)
	if l.Ratio != nil {
		text += fmt.Sprintf(", %.3g [%.3g, %.3g] of %s", *l.Ratio, *l.RatioLow, *l.RatioHigh, *l.Peer)
	}
	if l.Note != "" {
		text += "; " + l.Note
	}
	fmt.Println(text)
}
