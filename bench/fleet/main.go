package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/internal/role"
)

// The roles: the server, and the simulated fleet.
const (
	roleServer = "server"
	roleFleet  = "fleet"
)

func roles() map[string]any {
	return map[string]any{roleServer: &serverRole{}, roleFleet: &fleetRole{}}
}

func main() {
	if !role.Serve(roles()) {
		report.Main("fleet", func(ctx context.Context, args []string) error { return run(ctx, args, os.Stdout) })
	}
}

// options are the flags.
type options struct {
	report.Options
	one      subject // of the part main; the systems are added
	flips    int
	pairs    int
	peers    []string
	profiles string
	limit    float64 // GB
	sizes
}

func parse(args []string) (*options, error) {
	o := &options{}
	f := o.Flags("fleet", report.Words{
		Quick: "half a minute", Short: "9 minutes", Full: "55 to 95 minutes", Parts: "main, proxies, services, manners, envoy", Seed: "the order of turns",
	})
	f.IntVar(&o.one.Clients, "clients", 1000, "simulated proxies of the part main, and of manners")
	f.IntVar(&o.one.Workload.Services, "services", 200, "services of the parts main, proxies and manners")
	f.IntVar(&o.one.Workload.Flipping, "flipping", 20, "services whose weights change, in turn")
	f.IntVar(&o.flips, "flips", 100, "measured changes per run of the part main")
	f.IntVar(&o.pairs, "pairs", 8, "rounds of the part main, in each of which every system runs")
	peers := f.String("peers", strings.Join(allPeers(), ","), "what to compare with, empty for nothing; "+snapshot+" only in proxies and services, which have only it and "+linear+"; in manners only "+linear)
	f.StringVar(&o.profiles, "profiles", "", "folder for CPU and heap profiles of servers and fleets, which cost time")
	f.Float64Var(&o.limit, "limit", 12, "GB of memory beyond which a server is ended, and reported as such")
	if err := o.Parse(f, args, report.Smaller{
		report.Quick: {"clients", "50", "services", "20", "flipping", "5", "flips", "10", "pairs", "1"},
		report.Short: {"flips", "20", "pairs", "5", "peers", linear + "," + snapshot},
	}); err != nil {
		return nil, err
	}
	if *peers != "" {
		o.peers = strings.Split(*peers, ",")
	}
	o.sizes = sizesOf(o.Size, o.one)
	return o, o.check()
}

func (o *options) check() error {
	w := o.one.Workload
	switch {
	case o.one.Clients < 1 || o.flips < 1 || o.pairs < 1 || w.Flipping < 1:
		return errors.New("-clients, -flips, -pairs and -flipping must be at least 1")
	case w.Flipping > min(w.Services, maxFlipping):
		return fmt.Errorf("-flipping must be at most -services and %d", maxFlipping)
	case w.Services > 60_000:
		return errors.New("-services must be at most 60000: each has addresses of its own")
	case o.limit <= 0:
		return errors.New("-limit must be above 0")
	}
	for _, name := range o.peers {
		if !slices.Contains(allPeers(), name) {
			return fmt.Errorf("-peers: there is no %q, only %s", name, strings.Join(allPeers(), ", "))
		}
	}
	return nil
}

// maxFlipping is how many services the small layer of the server holds.
const maxFlipping = 64

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	return o.Report(func(r *report.Run) error {
		p := &parts{options: o, report: r, out: out}
		return o.Parts(ctx, []report.Part{
			{Name: "main", Run: p.measureMain},
			{Name: "proxies", Run: p.sweepProxies},
			{Name: "services", Run: p.sweepServices},
			{Name: "manners", Run: p.measureManners},
			{Name: "envoy", Run: p.measureEnvoy},
		})
	}, "github.com/envoyproxy/go-control-plane", "google.golang.org/grpc", "google.golang.org/protobuf")
}
