package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

// cell is a point of the curve, and the services that stand for it.
type cell struct {
	rate  float64 // requests per second at eks
	share float64 // of them that fail
	eks   *side
	apps  []app
}

const (
	longer = 3 // times as quiet as elsewhere: few requests say little
	pairs  = 2 // requests for one at eks, since half of them go there
)

// curve finds how long it takes by how many requests there are and how many of them fail. Cells with few requests are looked at together.
func (b *bench) curve(ctx context.Context) error {
	s, err := b.site(ctx, flush)
	if err != nil {
		return err
	}
	defer s.close()
	groups := [][]*cell{{}, {{rate: 50, share: 0.05}}, {{rate: 50, share: 0.3}}, {{rate: 50, share: 1}}}
	for _, rate := range []float64{1, 10} {
		for _, share := range []float64{0.05, 0.3, 1} {
			groups[0] = append(groups[0], &cell{rate: rate, share: share})
		}
	}
	if b.Size == report.Quick {
		groups = [][]*cell{{groups[0][5], groups[3][0]}}
	}
	if err := b.cellApps(ctx, s, groups); err != nil {
		return err
	}
	rnd := rand.New(rand.NewPCG(b.Seed, 2))
	for _, cells := range groups {
		if err := b.cells(ctx, s, cells, rnd); err != nil {
			return err
		}
	}
	return nil
}

// quietly is for how long nothing is wrong.
func (b *bench) quietly() time.Duration {
	if b.Size == report.Quick {
		return b.quiet
	}
	return longer * b.quiet
}

// cellApps makes the services of all cells.
func (b *bench) cellApps(ctx context.Context, s *site, groups [][]*cell) error {
	var all []app
	for _, cells := range groups {
		for _, c := range cells {
			services := names(fmt.Sprintf("r%.0f-e%.0f", c.rate, c.share*100), b.perCell)
			ecs, err := s.side(control, 1, services...)
			if err != nil {
				return err
			}
			if c.eks, err = s.side(candidate, 1, services...); err != nil {
				return err
			}
			for _, name := range services {
				c.apps = append(c.apps, app{name, ecs, c.eks})
			}
			all = append(all, c.apps...)
		}
	}
	return s.apply(ctx, all)
}

// cells lets the services of some cells fail at the same moment.
func (b *bench) cells(ctx context.Context, s *site, cells []*cell, rnd *rand.Rand) (err error) {
	t := trial{
		quiet: b.quietly() + time.Duration(rnd.Int64N(int64(flush))), patience: b.patience,
		plan: func(a app) *crossfadev1.Rollout { return a.plan(long, half, rules()...) },
		fail: func() {
			for _, c := range cells {
				c.eks.behave(failing(c.share))
			}
		},
		heal: func() {
			for _, c := range cells {
				c.eks.behave(sound)
			}
		},
	}
	var loads []*load
	var sent sum
	was := s.cores()
	for _, c := range cells {
		t.apps = append(t.apps, c.apps...)
		var l *load
		if l, err = s.load(ctx, pairs*c.rate, busy, serviceNames(c.apps)...); err != nil {
			break
		}
		loads = append(loads, l)
	}
	var got []reaction
	if err == nil {
		got, err = s.try(ctx, t)
	}
	for _, l := range loads {
		sent = sent.plus(l.stop())
	}
	if err != nil {
		return err
	}
	note := fmt.Sprintf("%v; %v", sent, s.cores().since(was))
	first := len(b.r.Lines())
	for _, c := range cells {
		what := map[string]any{"proxies": proxies, "requests at eks": fmt.Sprintf("%.0f/s", c.rate), "failing": fmt.Sprintf("%.0f%%", c.share*100), "quiet": b.quietly().String()}
		b.reactions("curve", what, got[:len(c.apps)], sent, note, 0)
		got = got[len(c.apps):]
	}
	b.hold(first, sent)
	return nil
}

func serviceNames(apps []app) (out []string) {
	for _, a := range apps {
		out = append(out, a.name)
	}
	return out
}
