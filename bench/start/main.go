package main

import (
	"context"
	"fmt"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

// aims of 200 services with ten proxies: of the start until the last of them, and of the memory at its highest.
const (
	aimServices = 200
	aimProxies  = 10
	aimStart    = 0.3   // seconds
	aimMemory   = 100e6 // bytes
)

// options are the flags.
type options struct {
	report.Options
	runs     int
	proxies  int
	services []int
}

func main() { report.Main("start", run) }

func parse(args []string) (*options, error) {
	o := &options{services: []int{20, aimServices, 1000}}
	f := o.Flags("start", report.Words{Quick: "seconds", Short: "a minute", Full: "5 minutes", Seed: "nothing: nothing here is random"})
	f.IntVar(&o.runs, "runs", 20, "starts of each size")
	f.IntVar(&o.proxies, "proxies", aimProxies, "proxies that connect")
	if err := o.Parse(f, args, nil); err != nil {
		return nil, err
	}
	switch {
	case o.runs < 1 || o.runs > 1000:
		return nil, fmt.Errorf("-runs: %d: must be 1 to 1000", o.runs)
	case o.proxies < 1 || o.proxies > 1000:
		return nil, fmt.Errorf("-proxies: %d: must be 1 to 1000", o.proxies)
	}
	switch o.Size {
	case report.Quick:
		o.runs, o.services = min(o.runs, 2), []int{5}
	case report.Short:
		o.runs = min(o.runs, 5)
	case report.Full:
	}
	return o, nil
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	return o.Report(func(r *report.Run) error {
		for _, services := range o.services {
			m, err := o.measure(ctx, services)
			if err != nil {
				return err
			}
			o.lines(r, services, m)
		}
		return nil
	}, "github.com/envoyproxy/go-control-plane", "google.golang.org/grpc", "go.etcd.io/bbolt")
}

// lines reports the starts of one size.
func (o *options) lines(r *report.Run, services int, m *measured) {
	c := map[string]any{"services": services, "proxies": o.proxies}
	aimed := services == aimServices && o.proxies == aimProxies
	for _, l := range []struct {
		metric, unit string
		of           report.Series
		aim          float64
	}{
		{"ready", "s", m.ready, 0},
		{"first_complete", "s", m.first, aimStart},
		{"all_complete", "s", m.all, aimStart},
		{"resident", "bytes", m.resident, aimMemory},
		{"resident_peak", "bytes", m.peak, aimMemory},
	} {
		line := report.NewLine("crossfade", l.metric, l.unit, c, l.of)
		if aimed && l.aim > 0 {
			line.AimP99(l.aim)
		}
		fmt.Printf("%4d services, %d proxies: %-14s p50 %s, worst %s\n", services, o.proxies, l.metric, report.Amount(line.P50, l.unit), report.Amount(line.Max, l.unit))
		r.Add(line)
	}
}
