package main

import (
	"context"
	"fmt"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

const system = "crossfade"

// windows are of the same case, a run each.
type windows []*window

// versus is what windows are compared with, run by run.
type versus struct {
	windows
	name string
	aim  float64 // of the ratios of CPU and bytes; 0: none
}

// of are figures of each window.
func (ws windows) of(figures func(*window) []float64) (out report.Series) {
	for _, w := range ws {
		out = append(out, figures(w))
	}
	return out
}

func one(figure func(*window) float64) func(*window) []float64 {
	return func(w *window) []float64 { return []float64{figure(w)} }
}

// figures are what is reported of windows.
var figures = []struct {
	metric, unit string
	of           func(*window) []float64
	compared     bool
	aim          float64 // of the 99th percentile in the part cost, if all is as large as the aims say; 0: none
}{
	{"cpu_of_control_plane", "cores", one(func(w *window) float64 { return w.server }), true, aimCores},
	{"bytes_per_proxy", "kB/s", one(func(w *window) float64 { return w.bytes() / 1e3 / float64(w.proxies) }), true, aimBytes},
	{"bytes", "MB/s", one(func(w *window) float64 { return w.bytes() / 1e6 }), false, 0},
	{"bytes_of_load_reports", "MB/s", one(func(w *window) float64 { return float64(w.sent.ReportBytes) / w.seconds / 1e6 }), false, 0},
	{"bytes_per_flush", "kB", one(func(w *window) float64 { return float64(w.sent.FlushBytes) / 1e3 / float64(max(1, w.sent.Flushes)) }), false, 0},
	{"proxies_with_load_reports", "proxies", one(func(w *window) float64 { return float64(w.sent.Lanes) }), false, 0},
	{"memory_of_control_plane", "bytes", one(func(w *window) float64 { return w.memory }), false, 0},
	{"flush_until_known", "s", func(w *window) []float64 { return w.delays }, false, 0},
	{"cpu_of_simulator", "cores", one(func(w *window) float64 { return w.fleet }), false, 0},
}

// broken counts the windows in which the interval was not kept.
func (ws windows) broken() (n int) {
	for _, w := range ws {
		if !w.kept() {
			n++
		}
	}
	return n
}

// lines reports windows. Those in which the interval was not kept count as failed; figures of them, and ratios to them, say nothing.
func (b *bench) lines(part string, ws windows, v versus) {
	first := ws[0]
	c := map[string]any{
		"part": part, "proxies": first.proxies, "services": b.services, "rollouts": first.rollouts, "interval_s": first.interval.Seconds(),
		"rate": first.rate, "busyOrigins": 1,
	}
	if first.both {
		c["busyOrigins"] = 2
	}
	whole := part == "cost" && first.proxies >= aimProxies && b.services >= aimServices && first.rollouts >= aimRollouts
	var offered, achieved float64
	for _, w := range ws {
		offered, achieved = offered+w.offered()/float64(len(ws)), achieved+w.achieved()/float64(len(ws))
	}
	means := map[string]float64{}
	for _, f := range figures {
		l := report.NewLine(system, f.metric, f.unit, c, ws.of(f.of))
		l.OfferedRPS, l.AchievedRPS, l.Failed = &offered, &achieved, ws.broken()
		l.Note = ws[len(ws)-1].String()
		if l.Failed > 0 {
			l.Invalidate("the interval was not kept in %d of %d windows", l.Failed, len(ws))
		}
		if v.windows != nil && f.compared {
			l.Compare(v.name, report.ByMean, ws.of(f.of), v.of(f.of))
			if n := v.broken(); n > 0 {
				l.Invalidate("the interval was not kept in %d of %d windows of %s", n, len(v.windows), v.name)
			}
			if v.aim > 0 {
				l.AimRatio(v.aim)
			}
		}
		if whole && f.aim > 0 {
			l.AimP99(f.aim)
		}
		b.r.Add(l)
		means[f.metric] = l.Mean
	}
	fmt.Printf("%s: %d proxies, %d rollouts, %v, %g/s: %.3f cores, %.1f kB/s per proxy\n",
		part, first.proxies, first.rollouts, first.interval, first.rate, means["cpu_of_control_plane"], means["bytes_per_proxy"])
}

// amount is a line of one figure, a sample of each run. The caller adds it.
func (b *bench) amount(part string, c map[string]any, metric, unit string, samples ...float64) *report.Line {
	c["part"] = part
	var runs report.Series
	for _, v := range samples {
		runs = append(runs, []float64{v})
	}
	return report.NewLine(system, metric, unit, c, runs)
}

// exactly ends the flushes and reports how many requests the control plane counted beside those that were sent. None may differ.
func (b *bench) exactly(ctx context.Context, s *site, part string) error {
	sent, got, err := s.exact(ctx)
	if err != nil {
		return err
	}
	l := b.amount(part, map[string]any{"proxies": s.proxies, "services": b.services}, "requests_counted", "requests", float64(got.requests))
	l.N, l.Failed = int(sent.requests), int(max(sent.requests, got.requests)-min(sent.requests, got.requests))
	if l.Failed > 0 {
		l.Note = "flushes that were not answered in time may have been counted or not"
	}
	b.r.Add(l.AimNone())
	fmt.Printf("%s: %d requests were reported, %d of them failed; the control plane counted %d and %d\n",
		part, sent.requests, sent.failed, got.requests, got.failed)
	return nil
}
