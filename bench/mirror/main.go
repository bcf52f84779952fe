package main

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

// options are the flags, and the sizes that follow from them.
type options struct {
	report.Options
	keep string

	inState time.Duration // how long each lasts
	pairs   int           // of runs for the latency at 1 %
	ratios  int           // pairs at 10 % and at 100 %
	perRun  time.Duration // of each run
	rounds  int           // of uploads
	batches int           // rounds of rollbacks
	count   time.Duration // of each load whose counts are held against logs
	climb   time.Duration // of each step of the load
	tenfold time.Duration // after the jump
}

func main() { report.Main("mirror", run) }

func parse(args []string) (*options, error) {
	o := &options{
		inState: 12 * time.Second, pairs: 20, ratios: 5, perRun: 6 * time.Second, rounds: 16, batches: 22,
		count: 20 * time.Second, climb: 4 * time.Second, tenfold: 10 * time.Second,
	}
	f := o.Flags("mirror", report.Words{Quick: "2 minutes", Short: "6 minutes", Full: "21 minutes", Parts: "harm, latency, uploads, rollback, counts", Seed: "the moments at which rollbacks begin"})
	f.StringVar(&o.keep, "keep", "", "folder to keep the logs of the processes in")
	if err := o.Parse(f, args, nil); err != nil {
		return nil, err
	}
	switch o.Size {
	case report.Quick:
		o.inState, o.pairs, o.ratios, o.perRun, o.rounds, o.batches = 1500*time.Millisecond, 3, 1, time.Second, 1, 2
		o.count, o.climb, o.tenfold = 2*time.Second, time.Second, 2*time.Second
	case report.Short:
		o.inState, o.pairs, o.ratios, o.perRun, o.rounds, o.batches = 4*time.Second, 5, 5, 2*time.Second, 5, 8
		o.count, o.climb, o.tenfold = 5*time.Second, 2*time.Second, 5*time.Second
	case report.Full:
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
	return o.Parts(ctx, []report.Part{
		{Name: "harm", Run: b.harms},
		{Name: "latency", Run: b.latency},
		{Name: "uploads", Run: b.uploads},
		{Name: "rollback", Run: b.rollbacks},
		{Name: "counts", Run: b.counts},
	})
}
