package main

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/internal/role"
)

// aim is the most that a request may cost our Envoy, as a multiple of what it costs the minimal one.
const aim = 1.05

// options are the flags, and the sizes that follow from them.
type options struct {
	report.Options
	rate  float64 // requests per second; 0: chosen
	turns int     // of each system in the part defaults
	pairs int     // of each feature and of each piece

	services int           // on the port of the big cases
	warm     time.Duration // before each measured window
	window   time.Duration // of a turn in the part defaults
	glance   time.Duration // of one in the others
}

func main() {
	if !role.Serve(roles()) {
		report.Main("datapath", run)
	}
}

// parse reads the flags. Windows of full size are whole flushes of statistics long, so that what these cost is in them.
func parse(args []string) (*options, error) {
	o := &options{services: 200, warm: time.Second, window: 2 * flush, glance: flush}
	f := o.Flags("datapath", report.Words{
		Quick: "half a minute", Short: "8 minutes", Full: "34 minutes", Parts: "defaults, features, attribution", Seed: "nothing: nothing here is random",
	})
	f.Float64Var(&o.rate, "rate", 0, "requests per second (default: 40 % of what our Envoy can do, which is measured)")
	f.IntVar(&o.turns, "turns", 20, "turns of each system in the part defaults, each of a process of its own")
	f.IntVar(&o.pairs, "pairs", 9, "pairs of processes of each feature, and of each piece of the attribution")
	if err := o.Parse(f, args, report.Smaller{
		report.Quick: {"turns", "1", "pairs", "1"},
		report.Short: {"turns", "5", "pairs", "5"},
	}); err != nil {
		return nil, err
	}
	switch o.Size {
	case report.Quick:
		o.services, o.warm, o.window, o.glance = 5, 20*time.Millisecond, 100*time.Millisecond, 50*time.Millisecond
	case report.Short:
		o.warm, o.window, o.glance = 400*time.Millisecond, flush, 800*time.Millisecond
	case report.Full:
	}
	if o.rate != 0 && (o.rate < 10 || o.rate > 10_000) || o.turns < 1 || o.turns > 1000 || o.pairs < 1 || o.pairs > 1000 {
		return nil, errors.New("-rate must be 10 to 10000, -turns and -pairs 1 to 1000")
	}
	return o, nil
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	debug.SetGCPercent(400) // origins are in this process: its garbage is not what is measured
	return o.Report(func(r *report.Run) error { return measure(ctx, o, r) }, "github.com/envoyproxy/go-control-plane", "google.golang.org/grpc")
}

// measure runs the parts, each with a control plane of its own.
func measure(ctx context.Context, o *options, r *report.Run) error {
	b, err := newBench(ctx, o, r)
	if err != nil {
		return err
	}
	defer b.close()
	return o.Parts(ctx, []report.Part{{Name: "defaults", Run: b.defaults}, {Name: "features", Run: b.features}, {Name: "attribution", Run: b.attribution}})
}
