package main

import (
	"context"
	"fmt"
	"math"

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
type pair struct{ with, without sum }

func (b *bench) latencyAt(ctx context.Context, s *site, rate float64, share int32, pairs int) error {
	var all []pair
	var copies int64
	for i := range pairs {
		var p pair
		for n := range 2 {
			var err error
			if (i+n)%2 == 0 {
				p.without, err = s.during(ctx, rate, b.perRun)
			} else {
				var more int64
				p.with, more, err = b.mirroredRun(ctx, s, rate, share)
				copies += more
			}
			if err != nil {
				return err
			}
		}
		all = append(all, p)
	}
	b.latencyLines(rate, share, all, fmt.Sprintf("%d copies came", copies))
	return s.exited()
}

// mirroredRun is one with a mirror, which is started before it and ended after it, and how many copies came.
func (b *bench) mirroredRun(ctx context.Context, s *site, rate float64, share int32) (got sum, copies int64, err error) {
	if err := s.startFlowing(ctx, share); err != nil {
		return got, 0, err
	}
	before, err := s.found(ctx, "one")
	if err != nil {
		return got, 0, err
	}
	if got, err = s.during(ctx, rate, b.perRun); err != nil {
		return got, 0, err
	}
	after, err := s.found(ctx, "one") // of up to a second ago
	if err != nil {
		return got, 0, err
	}
	return got, after.GetMirrored() - before.GetMirrored(), s.stop(ctx, "one")
}

func (b *bench) latencyLines(rate float64, share int32, all []pair, note string) {
	c := map[string]any{"mirrored": fmt.Sprintf("%g%%", float64(share)/100), "proxies": 1, "runs": len(all)}
	with, without := all[len(all)-1].with, all[len(all)-1].without
	note += fmt.Sprintf("; of the last pair, with: %v; without: %v", with, without)
	failed, busy := 0, []float64{}
	for _, p := range all {
		busy = append(busy, p.with.used.share(), p.without.used.share())
		failed += int(p.with.failed + p.without.failed)
	}
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
		line := func(system, name string, s report.Series) *report.Line {
			l := report.NewLine(system, name, "s", c, s)
			l.OfferedRPS, l.AchievedRPS, l.Note, l.Failed = &rate, &with.achieved, note, failed
			b.r.Add(l)
			return l
		}
		line(system, metric.name, own).Compare(peer, report.ByMean, own, other)
		line(peer, metric.name, other)
		d := differenceOf(more, b.Seed)
		l := line(system, metric.name+"_difference", report.Series{more})
		l.Note = fmt.Sprintf("mean %.3f ms [%.3f, %.3f]; %s", d.mid*1e3, d.low*1e3, d.high*1e3, note)
		if most := max(moreOf*report.Mean(other.All()), moreTime); metric.name == "latency_p99" && share == 100 && b.Size != report.Quick {
			aim(l, d.high <= most && failed == 0, "all of the interval at most %.3f ms, 0 failed", most*1e3)
		}
		fmt.Printf("latency, %v mirrored: %s %.3f ms, without %.3f; difference %s\n", c["mirrored"], metric.name, report.Mean(own.All())*1e3, report.Mean(other.All())*1e3, l.Note)
	}
	if share == 100 {
		b.busyLine("latency at 1 %", busy, mostBusy)
	}
}

// busyLine says how busy the whole machine was in runs. Figures of latency from one that was busier than most say more of that than of what was
// measured.
func (b *bench) busyLine(part string, shares []float64, most float64) {
	line := report.NewLine(system, "machine_busy", "share", map[string]any{"part": part}, report.Series{shares})
	if b.Size != report.Quick {
		aim(line, line.Mean <= most, "mean at most %g", most)
	}
	b.r.Add(line)
	fmt.Printf("%s: the machine was busy %.0f %% of the time, at most %.0f %%\n", part, line.Mean*100, line.Max*100)
}

// difference is a mean over pairs with its 95 % interval, a bootstrap over them as that of ratios is.
type difference struct{ mid, low, high float64 }

func differenceOf(pairs []float64, seed uint64) difference {
	if len(pairs) == 0 {
		return difference{math.NaN(), math.NaN(), math.NaN()}
	}
	mid, low, high := report.MeanInterval(pairs)
	return difference{mid, low, high}
}
