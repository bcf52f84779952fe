package main

import (
	"context"
	"fmt"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/shadowtest"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/stats"
)

// noise measures what is found where nothing differs.
func noise(ctx context.Context, o *options, r *report.Run) error {
	const looks = 10
	got, err := each(ctx, o.noisy, func(ctx context.Context, i int) (int, error) {
		e, err := newExperiment(o.Seed+1000+uint64(i), shadowtest.Options{Endpoints: 4, Noise: 0.1, Noisy: 60}, noiseShare)
		if err != nil {
			return 0, err
		}
		for range looks {
			if ctx.Err() == nil {
				e.run(o.pairs/looks, nil)
			}
			if found := e.findings(); len(found) > 0 {
				return len(found), nil // what was a finding once stays one
			}
		}
		return 0, nil
	})
	if err != nil {
		return err
	}
	var perMillion report.Series
	wrong, found := 0, 0
	pairs := uint64(o.pairs) * uint64(o.noisy)
	for _, n := range got {
		perMillion = append(perMillion, []float64{float64(n) * 1e6 / float64(o.pairs)})
		if found += n; n > 0 {
			wrong++
		}
	}
	l := report.NewLine(system, "false findings", "per million pairs", map[string]any{"noise": "60 places, at most 10 %", "pairs": o.pairs, "looks": looks}, perMillion)
	l.Failed = found
	_, most := stats.Interval(uint64(found), pairs, 0.95)
	_, share := stats.Interval(uint64(wrong), uint64(o.noisy), 0.95)
	l.Note = fmt.Sprintf("%d in %d pairs (95 %%: at most %.2g in a million), in %d of %d experiments (at most %.2g %%)", found, pairs, most*1e6, wrong, o.noisy, share*100)
	r.Add(l.AimNone())
	return nil
}
