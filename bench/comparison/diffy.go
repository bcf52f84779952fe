package main

import (
	"context"
	"fmt"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/internal/truth"
	"github.com/crossfade-proxy/crossfade/pkg/shadow"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/endpoint"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/shadowtest"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/stats"
)

const rule = "Diffy's rule"

// besides are the cases: few pairs, and many.
var besides = []struct {
	rate, noise float64
	pairs       int  // in all
	long        bool // fewer worlds, and none in quick runs
}{
	{0.1, 0.1, 10_000, false},
	{0.01, 0.1, 10_000, false},
	{0.01, 0.01, 10_000, false},
	{0, 0.1, 10_000, false},
	{0.1, 0.1, 120_000, true},
	{0.01, 0.1, 120_000, true},
	{0.01, 0.01, 120_000, true},
}

// beside is what both ways found in a world: ours first.
type beside struct {
	planted         int
	found, invented [2]int
}

// diffy measures both on the same pairs.
func diffy(ctx context.Context, o *options, r *report.Run) error {
	for _, c := range besides {
		worlds := o.diffy
		switch {
		case c.long && o.Size == report.Quick:
			continue
		case c.long:
			worlds = (worlds + 4) / 5
		}
		got, err := each(ctx, worlds, func(ctx context.Context, i int) (beside, error) {
			return besideOne(ctx, o.Seed+uint64(i), shadowtest.Options{Endpoints: 3, Rate: c.rate, Noise: c.noise, Noisy: 40}, c.pairs)
		})
		if err != nil {
			return err
		}
		besideLines(r, got, map[string]any{"rate": percent(c.rate), "noise": "40 places, at most " + percent(c.noise), "pairs": c.pairs})
	}
	return nil
}

func besideLines(r *report.Run, got []beside, c map[string]any) {
	for i, name := range []string{system, rule} {
		var share, wrong report.Series
		planted, found, invented := 0, 0, 0
		for _, g := range got {
			planted, found, invented = planted+g.planted, found+g.found[i], invented+g.invented[i]
			if g.planted > 0 {
				share = append(share, []float64{100 * float64(g.found[i]) / float64(g.planted)})
			}
			wrong = append(wrong, []float64{float64(g.invented[i])})
		}
		if planted > 0 {
			l := report.NewLine(name, "found of what is planted", "%", c, share)
			low, high := stats.Interval(uint64(found), uint64(planted), 0.95)
			l.Note = fmt.Sprintf("%d of %d (95 %%: %.1f to %.1f %%)", found, planted, low*100, high*100)
			r.Add(l)
		}
		l := report.NewLine(name, "false findings of an experiment", "findings", c, wrong)
		l.Note = fmt.Sprintf("%d in %d experiments", invented, len(got))
		r.Add(l)
	}
}

// counted is what Diffy counts of a place.
type counted struct{ raw, noise uint64 }

// besideOne runs one world, every request asked of control twice.
func besideOne(ctx context.Context, seed uint64, options shadowtest.Options, pairs int) (out beside, err error) {
	e, err := newExperiment(seed, options, 1)
	if err != nil {
		return out, err
	}
	templates, errs := endpoint.New(nil)
	if err := errs.Err(); err != nil {
		return out, err
	}
	places, totals := map[shadowtest.Place]*counted{}, map[string]uint64{}
	at := func(template string, d shadow.Difference) *counted {
		p := shadowtest.Place{Endpoint: template, Kind: string(d.Kind), Path: d.Path}
		if places[p] == nil {
			places[p] = &counted{}
		}
		return places[p]
	}
	var again *shadow.Outcome
	seen := func(p *shadow.Pair) {
		template, _ := templates.Of(p.Path)
		totals[template]++
		for _, d := range e.out.Differences {
			at(template, d).raw++
		}
		again = e.c.Judge(&shadow.Pair{Method: p.Method, Path: p.Path, Control: p.Control, Candidate: p.Second}, shadow.Live{}, again)
		for _, d := range again.Differences {
			at(template, d).noise++
		}
	}
	const step = 1000 // pairs, between looks at whether to go on
	for done := 0; done < pairs && ctx.Err() == nil; done += step {
		e.run(min(step, pairs-done), seen)
	}
	var theirs []shadowtest.Place
	for p, n := range places {
		if stats.DiffyRule(n.raw, n.noise, totals[p.Endpoint], stats.DiffyRelative, stats.DiffyAbsolute) {
			theirs = append(theirs, p)
		}
	}
	var planted []shadowtest.Place
	if options.Rate > 0 {
		planted = e.world.Planted()
	}
	out.planted = len(planted)
	for i, found := range [2][]shadowtest.Place{e.findings(), theirs} {
		missed, invented := truth.Hold(planted, found)
		out.found[i], out.invented[i] = len(planted)-len(missed), len(invented)
	}
	return out, nil
}
