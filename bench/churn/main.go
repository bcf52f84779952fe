package main

import (
	"context"
	"errors"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

// options are the flags.
type options struct {
	report.Options
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
	ttl        time.Duration // how old the addresses of the peers get
}

func main() { report.Main("churn", run) }

func parse(args []string) (*options, error) {
	o := &options{}
	f := o.Flags("churn", report.Words{Quick: "a minute", Short: "4 minutes", Full: "15 minutes", Parts: "deploys, following, faults, many", Seed: "the moments at which changes are made"})
	f.IntVar(&o.proxies, "proxies", 4, "Envoys")
	f.IntVar(&o.replicas, "replicas", 20, "endpoints of each origin")
	f.IntVar(&o.times, "times", 10, "how often each endpoint is replaced")
	f.Float64Var(&o.rate, "rate", 200, "requests per second to each origin by each protocol; lines are invalid where the machine is too slow for them")
	f.Uint64Var(&o.least, "requests", 100_000, "requests of a case, at least")
	f.IntVar(&o.changes, "changes", 220, "measured changes of EndpointSlices")
	f.IntVar(&o.ecsChanges, "ecs-changes", 60, "measured changes of ECS tasks")
	f.IntVar(&o.services, "services", 200, "services of the case with many")
	f.DurationVar(&o.look, "look", time.Minute, "how long those are looked at")
	f.DurationVar(&o.outage, "outage", time.Minute, "how long sources fail")
	f.DurationVar(&o.ttl, "ttl", 3*time.Second, "how old the addresses of the peers get: a tenth of a TTL")
	if err := o.Parse(f, args, report.Smaller{
		report.Quick: {
			"replicas", "4", "times", "1", "requests", "2000", "changes", "5", "ecs-changes", "2", "services", "10",
			"look", "5s", "outage", "3s",
		},
		report.Short: {"times", "3", "requests", "10000", "changes", "60", "ecs-changes", "15", "look", "20s", "outage", "15s"},
	}); err != nil {
		return nil, err
	}
	if min(o.proxies, o.replicas, o.times, o.changes, o.ecsChanges, o.services) < 1 || o.services > 900 || o.rate <= 0 || min(o.look, o.outage, o.ttl) <= 0 {
		return nil, errors.New("all numbers must be at least 1, times above 0, -services at most 900")
	}
	return o, nil
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	return o.Report(func(r *report.Run) error { return measure(ctx, o, r) }, "github.com/envoyproxy/go-control-plane", "k8s.io/client-go", "github.com/aws/aws-sdk-go-v2/service/ecs")
}

// measure runs the parts, each with a control plane of its own.
func measure(ctx context.Context, o *options, r *report.Run) error {
	l, err := newLab(ctx, o, r)
	if err != nil {
		return err
	}
	defer l.close()
	return o.Parts(ctx, []report.Part{
		{Name: "deploys", Run: l.deploys}, {Name: "following", Run: l.following}, {Name: "faults", Run: l.faults}, {Name: "many", Run: l.many},
	})
}
