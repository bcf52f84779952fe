package main

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// plan is a rollout of a service, of these weights in basis points. A service has one at a time, so it has the name of the service.
func (a app) plan(bake time.Duration, weights []int32, guards ...*crossfadev1.RolloutGuard) *crossfadev1.Rollout {
	doc := &crossfadev1.Rollout{
		ApiVersion: "crossfade/v1", Kind: "Rollout", Name: a.name, Service: a.name, To: candidate, Bake: durationpb.New(bake),
		Retention: durationpb.New(0), Guards: guards,
	}
	for _, w := range weights {
		doc.Steps = append(doc.Steps, &crossfadev1.RolloutStep{Weight: w})
	}
	return doc
}

// long is the bake of steps that are to fail: 100 minutes for all of a plan, for which guards share out what they may do wrong.
const long = 100 * time.Minute

// half is one step to half of the requests.
var half = []int32{whole / 2}

func most(name, metric, limit string) *crossfadev1.RolloutGuard {
	return &crossfadev1.RolloutGuard{Name: name, Metric: metric, Max: limit}
}

func ratio(name, metric string, limit float64) *crossfadev1.RolloutGuard {
	return &crossfadev1.RolloutGuard{Name: name, Metric: metric, MaxRatio: limit, Against: control}
}

// rules are the guards of most parts: those of the first team, and the same against ecs.
func rules() []*crossfadev1.RolloutGuard {
	return []*crossfadev1.RolloutGuard{
		most("errors", "errorRate", "0.5%"), most("slow", "p99", "10s"),
		ratio("more-errors", "errorRate", 2), ratio("slower", "p99", 1.5),
	}
}

// within gives all guards a window, and a settling time that fits it.
func within(window time.Duration, guards []*crossfadev1.RolloutGuard) []*crossfadev1.RolloutGuard {
	for _, g := range guards {
		g.Window = durationpb.New(window)
		if g.GetMetric() != "errorRate" && window < 5*time.Second {
			g.Settle = durationpb.New(0)
		}
	}
	return guards
}
