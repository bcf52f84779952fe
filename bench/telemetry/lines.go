package main

import (
	"cmp"
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
	aim          float64 // of the 99th percentile, where all is as large as the aims say; 0: none
}{
	{"cpu_of_control_plane", "cores", one(func(w *window) float64 { return w.server }), true, aimCores},
	{"bytes_per_proxy_on_wire", "kB/s", one(func(w *window) float64 { return onWire * w.perProxy() }), true, aimBytes},
	{"bytes_per_proxy", "kB/s", one((*window).perProxy), false, 0},
	{loadReporters, "kB/s", (*window).reporting, false, 0},
	{"bytes", "MB/s", one(func(w *window) float64 { return w.bytes() / 1e6 }), false, 0},
	{"bytes_of_load_reports", "MB/s", one(func(w *window) float64 { return float64(w.sent.ReportBytes) / w.seconds / 1e6 }), false, 0},
	{"bytes_per_flush", "kB", one(func(w *window) float64 { return float64(w.sent.FlushBytes) / 1e3 / float64(max(1, w.sent.Flushes)) }), false, 0},
	{"proxies_with_load_reports", "proxies", one(func(w *window) float64 { return float64(w.sent.Lanes) }), false, 0},
	{"memory_of_control_plane", "bytes", one(func(w *window) float64 { return w.memory }), false, 0},
	{"flush_until_known", "s", func(w *window) []float64 { return w.delays }, false, 0},
	{"cpu_of_simulator", "cores", one(func(w *window) float64 { return w.fleet }), false, 0},
}

// loadReporters is the metric of the proxies that send most: a sample each. Without rollouts there are none.
const loadReporters = "bytes_of_proxy_with_load_reports_on_wire"

// spoilt counts the windows that say nothing, and says why the first of them does not.
func (ws windows) spoilt() (n int, why string) {
	for _, w := range ws {
		if reason := w.spoilt(); reason != "" {
			n, why = n+1, cmp.Or(why, reason)
		}
	}
	return n, why
}

// lines reports windows, if there are some. Those that say nothing count as failed; then figures of them, and ratios to them, say nothing either.
func (b *bench) lines(part string, ws windows, v versus) {
	if len(ws) == 0 {
		return
	}
	first := ws[0]
	c := map[string]any{
		"part": part, "proxies": first.proxies, "services": b.services, "rollouts": first.rollouts, "interval_s": first.interval.Seconds(),
		"rate": first.rate, "busyOrigins": 1,
	}
	if first.both {
		c["busyOrigins"] = 2
	}
	whole := b.aimed(part, first)
	var offered, achieved float64
	for _, w := range ws {
		offered, achieved = offered+w.offered()/float64(len(ws)), achieved+w.achieved()/float64(len(ws))
	}
	spoilt, why := ws.spoilt()
	means := map[string]float64{}
	for _, f := range figures {
		l := report.NewLine(system, f.metric, f.unit, c, ws.of(f.of))
		if l.N == 0 && f.metric == loadReporters {
			continue
		}
		l.OfferedRPS, l.AchievedRPS, l.Failed = &offered, &achieved, spoilt
		l.Note = ws[len(ws)-1].String()
		if spoilt > 0 {
			l.Invalidate("%d of %d windows say nothing: %s", spoilt, len(ws), why)
		}
		if v.windows != nil && f.compared {
			l.Compare(v.name, report.ByMean, ws.of(f.of), v.of(f.of))
			if n, why := v.spoilt(); n > 0 {
				l.Invalidate("%d of %d windows of %s say nothing: %s", n, len(v.windows), v.name, why)
			}
			if v.aim > 0 {
				l.AimRatio(v.aim)
			}
		}
		if whole && f.aim > 0 {
			l.AimP99(f.aim)
			text := fmt.Sprintf("%s, at a flush of %v", *l.Aim, first.interval)
			l.Aim = &text
		}
		b.r.Add(l)
		means[f.metric] = l.Mean
	}
	fmt.Printf("%s: %d proxies, %d rollouts, %v, %g/s: %.3f cores, %.1f kB/s per proxy on the wire\n",
		part, first.proxies, first.rollouts, first.interval, first.rate, means["cpu_of_control_plane"], means["bytes_per_proxy_on_wire"])
}

// aimed says whether windows are as large as the aims say, at an interval for which they are told: the one of the part cost, and that of bootstraps.
func (b *bench) aimed(part string, w *window) bool {
	large := w.proxies >= aimProxies && b.services >= aimServices && w.rollouts >= aimRollouts
	return large && (part == "cost" || part == "intervals" && b.byDefault(w.interval, w.both))
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

// exactly ends the flushes and reports how many requests the control plane counted beside those that were sent. If all flushes were answered none may
// differ: else it is an error.
func (b *bench) exactly(ctx context.Context, s *site, part string) error {
	sent, got, open, err := s.exact(ctx)
	if err != nil {
		return err
	}
	l := b.amount(part, map[string]any{"proxies": s.proxies, "services": b.services}, "requests_counted", "requests", float64(got.requests))
	l.N, l.Failed = int(sent.requests), int(max(sent.requests, got.requests)-min(sent.requests, got.requests))
	if open > 0 {
		l.Invalidate("%d flushes were not answered in time, and may have been counted or not", open)
	}
	b.r.Add(l.AimNone())
	fmt.Printf("%s: %d requests were reported, %d of them failed; the control plane counted %d and %d\n",
		part, sent.requests, sent.failed, got.requests, got.failed)
	if open == 0 && got != sent {
		return fmt.Errorf("the control plane counted %+v, and %+v was sent", got, sent)
	}
	return nil
}
