package main

import (
	"context"
	"fmt"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

// phase is what a fleet showed while all behaved, or while some did not.
type phase struct {
	Last      []float64 // s, for each flip: publication → last acknowledgement of those that can only behave
	CPU       float64   // s of the server per flip, with all else that it did meanwhile
	FleetCPU  float64   // s of all simulated proxies, per flip
	Bytes     float64   // per flip, to all simulated proxies
	Responses float64   // per flip, to each of those that can refuse
	Refused   float64   // per flip, of each of those
	RSS       int64     // bytes, of the server at the end
	Lost      int64     // streams that ended by themselves
}

func (p *phase) String() string {
	return fmt.Sprintf("flip p50 %.1f ms, p99 %.1f, CPU %.1f, fleet's %.1f, %.2f MB, %.2f responses of which %.2f refused, memory %.0f MB",
		report.ByP50.Of(p.Last)*1e3, report.ByP99.Of(p.Last)*1e3, p.CPU*1e3, p.FleetCPU*1e3, p.Bytes/1e6, p.Responses, p.Refused, float64(p.RSS)/1e6)
}

// flipsAndManners is the course of a fleet in which some misbehave for a while: in every other round first.
func flipsAndManners(ctx context.Context, r *round) error {
	if err := r.each(ctx, (*runner).start, (*runner).startEnvoys, (*runner).warmUp); err != nil {
		return err
	}
	for i := range 2 {
		begin := (*runner).behave
		if i != r.number%2 {
			begin = (*runner).misbehave
		}
		if err := r.each(ctx, begin); err != nil {
			return err
		}
		if err := r.turns(ctx, r.flips, (*runner).measuredFlip); err != nil {
			return err
		}
		if err := r.each(ctx, (*runner).endPhase, (*runner).calmDown, (*runner).envoysFollowed); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) behave(ctx context.Context) error { return r.beginPhase(ctx, false) }

func (r *runner) misbehave(ctx context.Context) error { return r.beginPhase(ctx, true) }

// beginPhase begins to count. From here on the marked resource changes with each flip.
func (r *runner) beginPhase(ctx context.Context, unruly bool) (err error) {
	r.changesMarked, r.unruly, r.markedWas = true, unruly, r.at.Marked
	if r.began, err = r.hold(ctx); err != nil {
		return err
	}
	u, err := r.usage(ctx, UsageArgs{})
	if err != nil {
		return err
	}
	r.usageBegan, r.fleetCPU, r.m.Last, r.m.Median = u, 0, nil, nil
	return r.fleet.Call(ctx, "Behave", BehaveArgs{unruly}, nil)
}

func (r *runner) endPhase(ctx context.Context) error {
	u, err := r.usage(ctx, UsageArgs{})
	if err != nil {
		return err
	}
	c, err := r.hold(ctx)
	if err != nil {
		return err
	}
	flips := float64(r.flips)
	each := flips * float64(max(1, r.Manners.Refusing))
	p := phase{
		Last: r.m.Last, CPU: (u.CPU - r.usageBegan.CPU) / flips, FleetCPU: r.fleetCPU / flips, RSS: u.RSS, Lost: c.Lost - r.began.Lost,
		Bytes:     float64(c.Bytes-r.began.Bytes) / flips,
		Responses: float64(c.Refusing-r.began.Refusing) / each, Refused: float64(c.Refused-r.began.Refused) / each,
	}
	if r.unruly {
		r.m.Unruly = p
	} else {
		r.m.Behaving = p
	}
	return nil
}

// calmDown ends the misbehaving, and flips once more: then everybody must hold everything, the refused and the missed too.
func (r *runner) calmDown(ctx context.Context) error {
	r.unruly = false
	if err := r.fleet.Call(ctx, "Behave", BehaveArgs{}, nil); err != nil {
		return err
	}
	_, err := r.flip(ctx)
	return err
}
