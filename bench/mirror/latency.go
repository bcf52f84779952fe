package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/internal/envoybin"
)

const (
	quiet    = 0.32   // of the machine, in runs for latency,
	mostBusy = 0.40   // and as much as it may be with everything else that goes on
	moreTime = 0.0003 // seconds by which a p99 may grow,
	moreOf   = 0.05   // or this share of it, if that is more
)

// latency compares runs with a mirror and without.
func (b *bench) latency(ctx context.Context) error {
	s, err := b.site(ctx, envoybin.Newest, 1, true)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.startFlowing(ctx, 100); err != nil {
		return err
	}
	rate, err := s.rateFor(ctx, quiet)
	if err != nil {
		return err
	}
	if err := s.stop(ctx, "one"); err != nil {
		return err
	}
	for _, c := range []struct {
		share int32 // basis points
		pairs int
	}{{100, b.pairs}, {1000, b.ratios}, {whole, b.ratios}} {
		if err := b.latencyAt(ctx, s, rate, c.share, c.pairs); err != nil {
			return fmt.Errorf("%d %%: %w", c.share/100, err)
		}
	}
	return nil
}

// startFlowing starts the experiment of service "one" and returns once copies come.
func (s *site) startFlowing(ctx context.Context, share int32) error {
	if err := s.start(ctx, document("one", share)); err != nil {
		return err
	}
	l, err := s.load(ctx, 200)
	if err != nil {
		return err
	}
	defer l.stop()
	return s.awaitMirrored(ctx, "one", 0)
}

// pair is the same run with a mirror and without.
type pair struct {
	with, without sum
	copying       copying // in the one with
}

func (b *bench) latencyAt(ctx context.Context, s *site, rate float64, share int32, pairs int) error {
	var all []pair
	for i := range pairs {
		var p pair
		for n := range 2 {
			var err error
			if (i+n)%2 == 0 {
				p.without, err = s.during(ctx, rate, b.perRun)
			} else {
				p.with, p.copying.copies, err = b.mirroredRun(ctx, s, rate, share)
				p.copying.requests = int64(p.with.done)
			}
			if err != nil {
				return err
			}
		}
		all = append(all, p)
	}
	b.latencyLines(share, all)
	return s.exited()
}

// mirroredRun is one with a mirror, which is started before it and ended after it, and how many copies were asked.
func (b *bench) mirroredRun(ctx context.Context, s *site, rate float64, share int32) (got sum, copies int64, err error) {
	if err := s.startFlowing(ctx, share); err != nil {
		return got, 0, err
	}
	before, err := s.fresh(ctx, "one")
	if err != nil {
		return got, 0, err
	}
	if got, err = s.during(ctx, rate, b.perRun); err != nil {
		return got, 0, err
	}
	after, err := s.fresh(ctx, "one")
	if err != nil {
		return got, 0, err
	}
	return got, asked(after) - asked(before), s.stop(ctx, "one")
}

// latencyLines adds what pairs of runs say.
func (b *bench) latencyLines(share int32, all []pair) {
	c := map[string]any{"mirrored": fmt.Sprintf("%g%%", float64(share)/100), "proxies": 1, "runs": len(all)}
	var with, without []sum
	var copied []copying
	var busy []float64
	copies := int64(0)
	for _, p := range all {
		with, without, copied = append(with, p.with), append(without, p.without), append(copied, p.copying)
		busy = append(busy, p.with.used.share(), p.without.used.share())
		copies += p.copying.copies
	}
	both := slices.Concat(with, without)
	wrong := []string{tooSlow(both...), tooFew(share, copied...)}
	if share == 100 {
		wrong = append(wrong, tooBusy(busy, mostBusy))
	}
	note := fmt.Sprintf("%d copies were asked; with: %v; without: %v", copies, total(with), total(without))
	for _, metric := range []struct {
		name string
		of   func(sum) float64
	}{{"latency_p50", func(s sum) float64 { return s.p50 }}, {"latency_p99", func(s sum) float64 { return s.p99 }}} {
		var own, other report.Series
		var more []float64
		for _, p := range all {
			x, y := metric.of(p.with), metric.of(p.without)
			own, other, more = append(own, []float64{x}), append(other, []float64{y}), append(more, x-y)
		}
		line := func(system, name string, s report.Series, runs []sum) *report.Line {
			l, of := report.NewLine(system, name, "s", c, s), total(runs)
			l.OfferedRPS, l.AchievedRPS, l.Note, l.Failed = &of.offered, &of.achieved, note, int(of.failed)
			b.r.Add(invalidate(l, wrong...))
			return l
		}
		line(system, metric.name, own, with).Compare(peer, report.ByMean, own, other)
		line(peer, metric.name, other, without)
		mid, low, high := report.MeanInterval(more)
		l := line(system, metric.name+"_difference", report.Series{more}, both)
		measured := fmt.Sprintf("mean %.3f ms [%.3f, %.3f]", mid*1e3, low*1e3, high*1e3)
		l.Note = measured + "; " + note
		if most := max(moreOf*report.Mean(other.All()), moreTime); metric.name == "latency_p99" && share == 100 {
			l.AimOfInterval(len(more), fmt.Sprintf("all of the interval of the mean at most %.3f ms, 0 failed", most*1e3), fmt.Sprintf("%s, %d failed", measured, l.Failed),
				high <= most && l.Failed == 0)
		}
		fmt.Printf("latency, %v mirrored: %s %.3f ms, without %.3f; difference %s %s\n", c["mirrored"], metric.name, report.Mean(own.All())*1e3, report.Mean(other.All())*1e3, l.Note, l.Invalid)
	}
	if share == 100 {
		b.busyLine("latency at 1 %", busy, mostBusy)
	}
}

// busyLine says how busy the whole machine was in runs. Figures of latency from one that was busier than most say more of that than of what was
// measured, see [tooBusy].
func (b *bench) busyLine(part string, shares []float64, most float64) {
	line := report.NewLine(system, "machine_busy", "share", map[string]any{"part": part}, report.Series{shares})
	line.AimOf(fmt.Sprintf("mean at most %g", most), fmt.Sprintf("mean %.3g", line.Mean), line.Mean <= most)
	b.r.Add(line)
	fmt.Printf("%s: the machine was busy %.0f %% of the time, at most %.0f %%\n", part, line.Mean*100, line.Max*100)
}
