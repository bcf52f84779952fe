package main

import (
	"context"
	"fmt"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

// rampRate is in requests per second: at the first step there are ten at eks.
const rampRate = 1000

// rampWeights are those of ten steps that people take.
var rampWeights = []int32{100, 500, 1000, 1500, 2500, 3500, 5000, 6500, 8000, whole}

// ramp brings all traffic of a service to a sound candidate.
func (b *bench) ramp(ctx context.Context) error {
	s, err := b.site(ctx, flush)
	if err != nil {
		return err
	}
	defer s.close()
	apps, err := s.apps(ctx, 1, "orders")
	if err != nil {
		return err
	}
	a := apps[0]
	a.ecs.behave(usual)
	a.eks.behave(usual)
	l, err := s.load(ctx, rampRate, slowBusy, a.name)
	if err != nil {
		return err
	}
	weights := rampWeights
	if b.Size == report.Quick {
		weights = []int32{whole / 2, whole}
	}
	bakes := time.Duration(len(weights)) * b.bake
	was, began := s.cores(), time.Now()
	plan := a.plan(b.bake, weights, within(min(10*time.Second, b.bake), []*crossfadev1.RolloutGuard{
		most("errors", "errorRate", "0.5%"), most("slow", "p99", "10s"), ratio("more-errors", "errorRate", 2), ratio("slower", "mean", 1.5),
	})...)
	end, err := s.walk(ctx, plan)
	seconds, sent := time.Since(began).Seconds(), l.stop()
	if err != nil {
		return err
	}
	note := fmt.Sprintf("ended %s at %.4g %% after %.1f s, of which %.1f s are bakes; %v; %v", end.GetState(), float64(end.GetWeight())/100, seconds,
		bakes.Seconds(), sent, s.cores().since(was))
	fmt.Println("ramp:", note)
	c := map[string]any{"proxies": proxies, "steps": len(weights), "bake": b.bake.String()}
	first, failed := len(b.r.Lines()), sent.failed+sent.bad
	done := b.amount("ramp", c, "requests", "requests", float64(sent.done), note)
	done.N, done.Failed = int(sent.done), int(failed)
	b.r.Add(done.AimOf("Completed at 100 %, 0 failed", fmt.Sprintf("%s at %.4g %%, %d of %d failed", end.GetState(), float64(end.GetWeight())/100, failed, sent.done),
		end.GetState() == "Completed" && end.GetWeight() == whole && failed == 0))
	b.r.Add(b.amount("ramp", c, "beside_the_bakes", "s", seconds-bakes.Seconds(), note))
	b.hold(first, sent)
	return nil
}

// walk starts a rollout and says how it goes, until it is over.
func (s *site) walk(ctx context.Context, plan *crossfadev1.Rollout) (*crossfadev1.RolloutStatus, error) {
	if err := s.start(ctx, plan); err != nil {
		return nil, err
	}
	limit := time.Duration(len(plan.GetSteps()))*(plan.GetBake().AsDuration()+10*time.Second) + soon
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	stream, err := s.API.WatchRollout(ctx, &crossfadev1.WatchRolloutRequest{Name: plan.GetName()})
	if err != nil {
		return nil, err
	}
	began, step := time.Now(), int32(0)
	var st *crossfadev1.RolloutStatus
	for {
		got, err := stream.Recv()
		if err != nil {
			return nil, fmt.Errorf("rollout %s is %s at step %d, and waits for: %s: %w", plan.GetName(), st.GetState(), st.GetStep(), st.GetWaitingFor(), err)
		}
		st = got.GetStatus()
		if isOneOf(st.GetState(), over) {
			return st, s.exited()
		}
		if st.GetState() == "Baking" && st.GetStep() != step {
			step = st.GetStep()
			fmt.Printf("ramp: %.4g %% after %.1f s\n", float64(st.GetWeight())/100, time.Since(began).Seconds())
		}
	}
}
