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

// aims of 200 services with ten proxies.
const (
	aimServices = 200
	aimProxies  = 10
	aimStart    = 0.3   // seconds
	aimMemory   = 100e6 // bytes
)

// options are the flags.
type options struct {
	quick    bool
	results  string
	seed     uint64
	runs     int
	proxies  int
	services []int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench-start:", err)
		os.Exit(1)
	}
}

func parse(args []string) (*options, error) {
	o := &options{services: []int{20, aimServices, 1000}}
	f := flag.NewFlagSet("bench-start", flag.ContinueOnError)
	f.BoolVar(&o.quick, "quick", false, "everything small: shows that it works, not how well")
	f.StringVar(&o.results, "results", "", "folder for results (default bench/results)")
	f.Uint64Var(&o.seed, "seed", 1, "noted in the report; nothing here is random")
	f.IntVar(&o.runs, "runs", 20, "starts of each size")
	f.IntVar(&o.proxies, "proxies", aimProxies, "proxies that connect")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	switch {
	case f.NArg() > 0:
		return nil, fmt.Errorf("%q is not a flag", f.Arg(0))
	case o.runs < 1 || o.runs > 1000:
		return nil, fmt.Errorf("-runs: %d: must be 1 to 1000", o.runs)
	case o.proxies < 1 || o.proxies > 1000:
		return nil, fmt.Errorf("-proxies: %d: must be 1 to 1000", o.proxies)
	}
	if o.quick {
		o.runs, o.services = min(o.runs, 2), []int{5}
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
	r := report.NewRun("start", strings.Join(append([]string{"go run ./bench/start"}, args...), " "), o.seed, time.Now(),
		"github.com/envoyproxy/go-control-plane", "google.golang.org/grpc", "go.etcd.io/bbolt")
	for _, services := range o.services {
		m, err := o.measure(ctx, services)
		if err != nil {
			return err
		}
		o.lines(r, services, m)
	}
	return r.Conclude(o.results, o.quick, true)
}

// lines reports the starts of one size.
func (o *options) lines(r *report.Run, services int, m *measured) {
	c := map[string]any{"services": services, "proxies": o.proxies}
	aimed := services == aimServices && o.proxies == aimProxies && !o.quick
	for _, l := range []struct {
		metric, unit string
		of           report.Series
		aim          float64
	}{
		{"ready", "s", m.ready, 0}, {"first_complete", "s", m.first, aimStart}, {"all_complete", "s", m.all, 0},
		{"resident", "bytes", m.resident, aimMemory}, {"resident_peak", "bytes", m.peak, 0},
	} {
		line := report.NewLine("crossfade", l.metric, l.unit, c, l.of)
		if aimed && l.aim > 0 {
			line.AimP99(l.aim)
		}
		fmt.Printf("%4d services, %d proxies: %-14s p50 %s, worst %s\n", services, o.proxies, l.metric, report.Amount(line.P50, l.unit), report.Amount(line.Max, l.unit))
		r.Add(line)
	}
}
