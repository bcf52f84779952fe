package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

// system is ours in reports.
const system = "crossfade"

// options are the flags.
type options struct {
	report.Options
	runs  int           // of each system and case of the cost
	run   time.Duration // CPU time of each
	seeds int           // worlds of each rate
	noisy int           // experiments without a difference
	pairs int           // of each of these
	diffy int           // worlds of each case beside Diffy's rule
}

func main() { report.Main("comparison", run) }

func parse(args []string) (*options, error) {
	o := &options{}
	f := o.Flags("comparison", report.Words{Quick: "half a minute", Short: "2 to 3 minutes", Full: "10 to 25 minutes", Parts: "cost, recall, noise, diffy", Seed: "the first world of each part"})
	f.IntVar(&o.runs, "runs", 15, "of each system for each kind of pair")
	f.DurationVar(&o.run, "run", time.Second, "CPU time of each of these")
	f.IntVar(&o.seeds, "seeds", 20, "worlds of each rate")
	f.IntVar(&o.noisy, "noisy", 50, "experiments in which nothing differs")
	f.IntVar(&o.pairs, "pairs", 100_000, "pairs of each of these")
	f.IntVar(&o.diffy, "diffy", 20, "worlds of each case beside Diffy's rule; of the long ones a fifth of them")
	if err := o.Parse(f, args, report.Smaller{
		report.Quick: {"runs", "5", "run", "400ms", "seeds", "3", "noisy", "5", "pairs", "20000", "diffy", "2"},
		report.Short: {"runs", "5", "seeds", "2", "noisy", "5", "diffy", "3"},
	}); err != nil {
		return nil, err
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
	return o.Report(func(r *report.Run) error { return measure(ctx, o, r) }, "google.golang.org/protobuf")
}

// measure runs the parts.
func measure(ctx context.Context, o *options, r *report.Run) error {
	var parts []report.Part
	for _, p := range []struct {
		name string
		run  func(context.Context, *options, *report.Run) error
	}{{"cost", cost}, {"recall", recall}, {"noise", noise}, {"diffy", diffy}} {
		parts = append(parts, report.Part{Name: p.name, Run: func(ctx context.Context) error {
			before := len(r.Lines())
			if err := p.run(ctx, o, r); err != nil {
				return err
			}
			for _, l := range r.Lines()[before:] {
				say(l)
			}
			return nil
		}})
	}
	return o.Parts(ctx, parts)
}

// say prints a line for whoever watches.
func say(l *report.Line) {
	text := fmt.Sprintf("%v %s, %s: p50 %.4g, max %.4g %s", l.Case, l.Metric, l.System, l.P50, l.Max, l.Unit)
	if l.Ratio != nil {
		text += fmt.Sprintf(", %.3g of %s", *l.Ratio, *l.Peer)
	}
	if l.RatioHigh != nil {
		text += fmt.Sprintf(" [%.3g, %.3g]", *l.RatioLow, *l.RatioHigh)
	}
	if l.Note != "" {
		text += "; " + l.Note
	}
	fmt.Println(text)
}
