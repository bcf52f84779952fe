package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/internal/truth"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/shadowtest"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/stats"
)

// looks at a report, in each experiment of the recall.
const looks = 20

// rates of differences, with the number of pairs of an endpoint within which they are found.
var rates = []struct {
	rate  float64
	pairs int
	long  bool // not in quick runs
}{{1, 60, false}, {0.1, 700, false}, {0.01, 5500, false}, {0.001, 55_000, true}}

// recalled is what one world gave.
type recalled struct {
	needed   []float64 // pairs of an endpoint, for each difference that was found
	missed   int
	invented int
}

// recall measures what is found of what is planted.
func recall(ctx context.Context, o *options, r *report.Run) error {
	for _, c := range rates {
		if c.long && o.Size == report.Quick {
			continue
		}
		got, err := each(ctx, o.seeds, func(ctx context.Context, i int) (recalled, error) {
			return recallOne(ctx, o.Seed+uint64(i), c.rate, c.pairs)
		})
		if err != nil {
			return err
		}
		var needed report.Series
		missed, invented := 0, 0
		for _, g := range got {
			needed, missed, invented = append(needed, g.needed), missed+g.missed, invented+g.invented
		}
		r.Add(recallLine(needed, missed, invented, c.rate, c.pairs))
	}
	return nil
}

func recallLine(needed report.Series, missed, invented int, rate float64, pairs int) *report.Line {
	l := report.NewLine(system, "pairs of an endpoint until a difference is found", "pairs", map[string]any{
		"rate": percent(rate), "noise": "10 places, at most 10 %", "within": pairs,
	}, needed)
	found := l.N
	l.Failed = missed + invented
	low, high := stats.Interval(uint64(found), uint64(found+missed), 0.95)
	l.Note = fmt.Sprintf("%d of %d found (95 %%: %.2f to %.2f %%), %d false findings", found, found+missed, low*100, high*100, invented)
	return l.AimOf("0 failed", fmt.Sprintf("%d missed, %d false findings", missed, invented), l.Failed == 0)
}

// recallOne runs one world.
func recallOne(ctx context.Context, seed uint64, rate float64, pairs int) (out recalled, err error) {
	e, err := newExperiment(seed, shadowtest.Options{Endpoints: 3, Rate: rate, Noise: 0.1, Noisy: 10}, noiseShare)
	if err != nil {
		return out, err
	}
	missed, invented := e.world.Planted(), []shadowtest.Place(nil)
	for look := 1; look <= looks && ctx.Err() == nil; look++ {
		upTo := pairs * look / looks
		e.run((upTo-pairs*(look-1)/looks)*e.world.EndpointCount(), nil)
		before := len(missed)
		missed, invented = truth.Hold(e.world.Planted(), e.findings())
		out.needed = append(out.needed, slices.Repeat([]float64{float64(upTo)}, before-len(missed))...)
	}
	out.missed, out.invented = len(missed), len(invented)
	return out, nil
}

// percent writes a share.
func percent(share float64) string { return fmt.Sprintf("%g %%", share*100) }
