package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/bench/internal/usage"
)

const (
	aim   = 3.0             // seconds, from the first bad answer to the last request
	flush = 2 * time.Second // how often proxies report: failures begin anywhere in between
	busy  = 128             // connections of a load through a proxy
)

// errors lets 5 % of the answers be bad at the 10 % step, again and again.
func (b *bench) errors(ctx context.Context) error {
	s, err := b.site(ctx, flush)
	if err != nil {
		return err
	}
	defer s.close()
	apps, err := s.apps(ctx, 1, "orders")
	if err != nil {
		return err
	}
	l, err := s.load(ctx, b.rate, busy, "orders")
	if err != nil {
		return err
	}
	rnd, was := rand.New(rand.NewPCG(b.Seed, 1)), s.cores()
	var all []reaction
	for i := range b.runs {
		var got []reaction
		got, err = s.try(ctx, trial{
			apps: apps, quiet: b.quiet + time.Duration(rnd.Int64N(int64(flush))), patience: soon, watched: true,
			plan: func(a app) *crossfadev1.Rollout { return a.plan(long/2, []int32{1000, whole}, rules()...) },
			fail: func() { apps[0].eks.behave(failing(0.05)) }, heal: func() { apps[0].eks.behave(sound) },
		})
		if err != nil {
			break
		}
		all = append(all, got...)
		fmt.Printf("errors %2d: %v; load average %s\n", i+1, got[0], usage.LoadAverage())
	}
	sent := l.stop()
	if err != nil {
		return err
	}
	c := map[string]any{"proxies": proxies, "failing": "5%", "step": "10%", "quiet": b.quiet.String()}
	first := len(b.r.Lines())
	b.reactions("errors", c, all, sent, fmt.Sprintf("%v; %v", sent, s.cores().since(was)), aim)
	b.failures("errors", c, sent)
	b.hold(first, sent)
	return nil
}
