package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

const (
	slowRate = 200 // requests per second at eks, of each service
	slowBusy = 256 // connections of a load through a proxy: answers take their time
)

// slowness are the guards of latencies, one for each service.
var slowness = map[string]*crossfadev1.RolloutGuard{
	"p99-max":    most("slow", "p99", "250ms"),
	"p99-ratio":  ratio("slow", "p99", 1.3),
	"mean-max":   most("slow", "mean", "100ms"),
	"mean-ratio": ratio("slow", "mean", 1.3),
}

// latency lets eks become slower, for four services at once: with proxies that send statistics as often as they do by default, and more often.
func (b *bench) latency(ctx context.Context) error {
	for _, each := range []time.Duration{flush, flush / 4} {
		if err := b.slowed(ctx, each); err != nil {
			return err
		}
	}
	return nil
}

// slowed is latency with proxies that send statistics so often.
func (b *bench) slowed(ctx context.Context, each time.Duration) error {
	s, err := b.site(ctx, each)
	if err != nil {
		return err
	}
	defer s.close()
	kinds := []string{"p99-max", "p99-ratio", "mean-max", "mean-ratio"}
	apps, err := s.apps(ctx, 1, kinds...)
	if err != nil {
		return err
	}
	eks := apps[0].eks
	apps[0].ecs.behave(usual)
	eks.behave(usual)
	l, err := s.load(ctx, pairs*slowRate, slowBusy, kinds...)
	if err != nil {
		return err
	}
	rnd, was := rand.New(rand.NewPCG(b.Seed, 3)), s.cores()
	factors, patience := []float64{3, 2}, 2*soon
	if b.Size == report.Quick {
		factors, patience = factors[:1], b.patience
	}
	all := map[float64]map[string][]reaction{3: {}, 2: {}}
	for i := 0; i < b.shifts*len(factors) && err == nil; i++ {
		times := factors[i%len(factors)]
		var got []reaction
		got, err = s.try(ctx, trial{
			apps: apps, quiet: b.quiet + time.Duration(rnd.Int64N(int64(each))), patience: patience,
			plan: func(a app) *crossfadev1.Rollout {
				return a.plan(long, half, slowness[a.name], most("errors", "errorRate", "0.5%"), ratio("more-errors", "errorRate", 2))
			},
			fail: func() { eks.behave(slower(times)) }, heal: func() { eks.behave(usual) },
		})
		for n, r := range got {
			all[times][kinds[n]] = append(all[times][kinds[n]], r)
			fmt.Printf("latency %2d, statistics every %s, %g times slower, %s: %v\n", i+1, each, times, kinds[n], r)
		}
	}
	sent := l.stop()
	if err != nil {
		return err
	}
	note := fmt.Sprintf("%v; %v", sent, s.cores().since(was))
	first := len(b.r.Lines())
	for _, times := range factors {
		for _, kind := range kinds {
			b.reactions("latency", map[string]any{"proxies": proxies, "slower": times, "guard": kind, "statistics": each.String(), "quiet": b.quiet.String()}, all[times][kind], sent, note, 0)
		}
	}
	b.hold(first, sent)
	return nil
}
