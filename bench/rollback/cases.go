package main

import (
	"context"
	"fmt"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/internal/origin"
)

// setting is one case.
type setting struct {
	services int
	changes  bool
	peer     bool
}

func (s setting) String() string {
	services, state := "services", "quiet"
	if s.services == 1 {
		services = "service"
	}
	if s.changes {
		state = "changing"
	}
	return fmt.Sprintf("%d %s, %s", s.services, services, state)
}

// describe is the case of the lines.
func (s setting) describe(proxies int) map[string]any {
	changes := "none"
	if s.changes {
		changes = "endpoints and routes of others"
	}
	return map[string]any{"services": s.services, "changes": changes, "proxies": proxies}
}

// measure runs the parts that are wanted. The pools come last: they make the origins slow.
func (b *bench) measure(ctx context.Context) error {
	if err := b.chooseRate(ctx); err != nil {
		return err
	}
	part := func(s setting) report.Part {
		return report.Part{Name: s.String(), Run: func(ctx context.Context) error { return b.runCase(ctx, s) }}
	}
	parts := []report.Part{part(setting{services: 1, peer: true})}
	if b.context > 0 {
		parts = append(parts, report.Part{Name: "context", Run: b.runContext})
	}
	parts = append(parts, part(setting{services: 1, changes: true}), part(setting{services: b.services}), part(setting{services: b.services, changes: true}))
	if b.pools > 0 {
		parts = append(parts, report.Part{Name: "pools", Run: b.runPools})
	}
	return b.Parts(ctx, parts)
}

// runCase runs one case, with the peer in turn if it has one.
func (b *bench) runCase(ctx context.Context, s setting) error {
	if err := b.ensureNeighbours(ctx, s); err != nil {
		return err
	}
	var ch *churn
	if s.changes {
		spare, err := origin.Start(origin.Config{Name: oldName, Plain: true, Keep: -1})
		if err != nil {
			return err
		}
		defer spare.Close()
		ch = startChurn(ctx, b.cf, b.lab, b.neighbours, spare.Addr())
		defer ch.cancel()
	}
	systems := []system{b.cf}
	if s.peer && b.ha != nil {
		systems = append(systems, b.ha)
	}
	rounds := map[string][]*round{}
	for n := range b.rounds {
		flips := b.flips/b.rounds + min(1, max(0, b.flips%b.rounds-n))
		for i := range systems {
			sys := systems[(i+n)%len(systems)]
			got, err := b.runRound(ctx, sys, s, flips)
			if err != nil {
				return err
			}
			rounds[sys.name()] = append(rounds[sys.name()], got)
			progress(s, sys, got)
		}
	}
	b.lines(s, systems, rounds, ch)
	if s.peer && b.ha == nil {
		b.unmeasured(b.noHA.name, b.noHA.note())
	}
	return nil
}

// ensureNeighbours brings the fleet to the services of a case: the measured one and its neighbours, of which there is at least one where
// there are changes.
func (b *bench) ensureNeighbours(ctx context.Context, s setting) error {
	want := s.services - 1
	if s.changes {
		want = max(1, want)
	}
	if want <= b.neighbours {
		return nil
	}
	var add []*crossfadev1.Service
	for i := b.neighbours; i < want; i++ {
		add = append(add, neighbourService(i, b.lab.ecs.Addr(), b.lab.eks.Addr()))
	}
	if err := b.cf.apply(ctx, crossfadev1.Wait_WAIT_ACKED, add...); err != nil {
		return err
	}
	b.neighbours = want
	return nil
}
