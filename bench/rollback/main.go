package main

import (
	"context"
	"errors"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/internal/role"
)

// options are the flags.
type options struct {
	report.Options
	proxies  int
	services int
	flips    int // of each case
	rounds   int
	context  int // flips of each peer that is context
	ttls     []time.Duration
	pools    int // flips with many requests open
	open     int // such requests per proxy
	rate     float64
	profile  string
}

func main() {
	if !role.Serve(roles()) {
		report.Main("rollback", run)
	}
}

func parse(args []string) (*options, error) {
	o := &options{}
	f := o.Flags("rollback", report.Words{Quick: "half a minute", Short: "5 minutes", Full: "25 minutes", Parts: "1 service, quiet; 1 service, changing; 200 services, quiet; 200 services, changing; context; pools", Seed: "the moments at which flips begin, and of the intervals"})
	f.IntVar(&o.proxies, "proxies", 4, "Envoys, and HAProxies")
	f.IntVar(&o.services, "services", 200, "services of the big cases")
	f.IntVar(&o.flips, "flips", 400, "flips of each case")
	f.IntVar(&o.rounds, "rounds", 5, "runs of each case; with HAProxy they alternate")
	f.IntVar(&o.context, "context", 10, "flips of each peer that is shown as context: nginx, Traefik, clients of a name")
	f.IntVar(&o.pools, "pools", 6, "flips with many requests open")
	f.IntVar(&o.open, "open", 2000, "requests open per proxy then, at least")
	f.Float64Var(&o.rate, "rate", 0, "requests per second for each proxy (default half of the measured capacity, at least 100)")
	f.StringVar(&o.profile, "keep", "", "folder to keep the logs of the processes in")
	if err := o.Parse(f, args, report.Smaller{
		report.Quick: {"flips", "3", "rounds", "1", "context", "1", "pools", "1", "open", "500"},
		report.Short: {"flips", "50", "context", "5", "pools", "1"},
	}); err != nil {
		return nil, err
	}
	o.ttls = ttlsOf(o.Size)
	if o.proxies < 1 || o.services < 2 || o.services > 900 || o.rounds < 1 || o.flips < o.rounds || o.context < 0 || o.pools < 0 || o.open < 1 || o.rate < 0 {
		return nil, errors.New("-proxies, -rounds, -open must be at least 1, -services 2 to 900, -flips at least -rounds, and nothing negative")
	}
	return o, nil
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	return o.Report(func(r *report.Run) error {
		b, err := newBench(ctx, o, r)
		if err != nil {
			return err
		}
		defer b.close()
		return b.measure(ctx)
	}, "github.com/envoyproxy/go-control-plane", "google.golang.org/grpc")
}
