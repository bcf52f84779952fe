package main

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/bench/internal/statsim"
)

const (
	primary   = "ecs"
	candidate = "eks"
	port      = 10000 // of the proxies
	whole     = 10000 // basis points
)

func serviceName(i int) string { return fmt.Sprintf("service-%03d", i) }

// address is that of the one endpoint of a simulated origin.
func address(i, origin int) string { return fmt.Sprintf("10.%d.%d.%d", 10+origin, i/250, i%250+1) }

const originPort = 8080

// clusters are both origins of each simulated service, in the order of [Traffic.loads].
func clusters(services int) (out []statsim.Cluster) {
	for i := range services {
		for origin, name := range []string{primary, candidate} {
			out = append(out, statsim.Cluster{Name: serviceName(i) + "/" + name, Address: address(i, origin), Port: originPort})
		}
	}
	return out
}

// simulatedService is what no real proxy may be asked for.
func simulatedService(i int) *crossfadev1.Document {
	return service(serviceName(i), fmt.Sprint(address(i, 0), ":", originPort), fmt.Sprint(address(i, 1), ":", originPort))
}

// service has everything at the primary.
func service(name, primaryAddress, candidateAddress string) *crossfadev1.Document {
	origin := func(name, address string) *crossfadev1.Origin {
		return &crossfadev1.Origin{Name: name, Discovery: &crossfadev1.Origin_Static{Static: &crossfadev1.StaticEndpoints{Endpoints: []string{address}}}}
	}
	return &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: &crossfadev1.Service{
		ApiVersion: "crossfade/v1", Kind: "Service", Name: name, Hosts: []string{name + ".test"}, Primary: primary, Listener: &crossfadev1.Listener{Port: port},
		Origins: []*crossfadev1.Origin{origin(primary, primaryAddress), origin(candidate, candidateAddress)},
		Split:   &crossfadev1.Split{Weights: map[string]int32{primary: whole}},
	}}}
}

// plan is a rollout of a service, of these weights in basis points.
func plan(service string, bake time.Duration, guards []*crossfadev1.RolloutGuard, weights ...int32) *crossfadev1.Rollout {
	doc := &crossfadev1.Rollout{
		ApiVersion: "crossfade/v1", Kind: "Rollout", Name: service, Service: service, To: candidate, Bake: durationpb.New(bake), Retention: durationpb.New(0),
		Guards: guards,
	}
	for _, w := range weights {
		doc.Steps = append(doc.Steps, &crossfadev1.RolloutStep{Weight: w})
	}
	return doc
}

// settles is how long guards of latencies wait after a step, unless told otherwise.
const settles = 5 * time.Second

// alone are guards of errors and latencies of the candidate by itself.
func alone(window time.Duration) []*crossfadev1.RolloutGuard {
	return within(window,
		&crossfadev1.RolloutGuard{Name: "errors", Metric: "errorRate", Max: "0.5%"},
		&crossfadev1.RolloutGuard{Name: "slow", Metric: "p99", Max: "10s"})
}

// compared are these, and the same beside the primary: where latencies are a millisecond, what the machine does meanwhile makes one side twice as slow.
func compared(window time.Duration) []*crossfadev1.RolloutGuard {
	return append(alone(window), within(window,
		&crossfadev1.RolloutGuard{Name: "more-errors", Metric: "errorRate", MaxRatio: 2, Against: primary},
		&crossfadev1.RolloutGuard{Name: "slower", Metric: "p99", MaxRatio: 1.5, Against: primary})...)
}

func within(window time.Duration, guards ...*crossfadev1.RolloutGuard) []*crossfadev1.RolloutGuard {
	for _, g := range guards {
		g.Window = durationpb.New(window)
		if g.GetMetric() != "errorRate" && window < settles {
			g.Settle = durationpb.New(0)
		}
	}
	return guards
}

func changeOptions(wait crossfadev1.Wait) *crossfadev1.ChangeOptions {
	return &crossfadev1.ChangeOptions{Wait: wait, Timeout: durationpb.New(20 * time.Second), Actor: "bench", Reason: "bench"}
}
