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
}{
	{"cpu_of_control_plane", "cores", one(func(w *window) float64 { return w.server }), true},
	{"bytes_per_proxy", "kB/s", one(func(w *window) float64 { return w.bytes() / 1e3 / float64(w.proxies) }), true},
	{"bytes", "MB/s", one(func(w *window) float64 { return w.bytes() / 1e6 }), false},
	{"bytes_of_load_reports", "MB/s", one(func(w *window) float64 { return float64(w.sent.ReportBytes) / w.seconds / 1e6 }), false},
	{"bytes_per_flush", "kB", one(func(w *window) float64 { return float64(w.sent.FlushBytes) / 1e3 / float64(max(1, w.sent.Flushes)) }), false},
	{"proxies_with_load_reports", "proxies", one(func(w *window) float64 { return float64(w.sent.Lanes) }), false},
	{"memory_of_control_plane", "bytes", one(func(w *window) float64 { return w.memory }), false},
	{"flush_until_known", "s", func(w *window) []float64 { return w.delays }, false},
	{"cpu_of_simulator", "cores", one(func(w *window) float64 { return w.fleet }), false},
}

// reported are the lines of a case, by metric.
type reported struct {
	b     *bench
	lines map[string]*report.Line
	cases *window
}

// lines reports windows. Those in which the interval was not kept count as failed: they meet no aim.
func (b *bench) lines(part string, ws windows, v versus) reported {
	first := ws[0]
	c := map[string]any{
		"part": part, "proxies": first.proxies, "services": b.services, "rollouts": first.rollouts, "interval_s": first.interval.Seconds(),
		"rate": first.rate, "busyOrigins": 1,
	}
	if first.both {
		c["busyOrigins"] = 2
	}
	out := reported{b, map[string]*report.Line{}, first}
	for _, f := range figures {
		l := report.NewLine(system, f.metric, f.unit, c, ws.of(f.of))
		var offered, achieved float64
		for _, w := range ws {
			offered, achieved = offered+w.offered()/float64(len(ws)), achieved+w.achieved()/float64(len(ws))
			if !w.kept() {
				l.Failed++
			}
		}
		l.OfferedRPS, l.AchievedRPS = &offered, &achieved
		l.Note = ws[len(ws)-1].String()
		if l.Failed > 0 {
			l.Note = fmt.Sprintf("the interval was not kept in %d of %d windows; the last: %s", l.Failed, len(ws), l.Note)
		}
		if v.windows != nil && f.compared {
			l.Compare(v.name, report.ByMean, ws.of(f.of), v.of(f.of))
			if v.aim > 0 && b.Size != report.Quick && l.Failed == 0 {
				l.AimRatio(v.aim)
			}
		}
		out.lines[f.metric] = l
		b.r.Add(l)
	}
	cpu := out.lines["cpu_of_control_plane"]
	fmt.Printf("%s: %d proxies, %d rollouts, %v, %g/s: %.3f cores (worst %.3f), %.1f kB/s per proxy\n",
		part, first.proxies, first.rollouts, first.interval, first.rate, cpu.Mean, cpu.Max, out.lines["bytes_per_proxy"].Mean)
	return out
}

// aims sets those of the whole, if it is what was measured.
func (r reported) aims() {
	w := r.cases
	if r.b.Size == report.Quick || w.proxies < aimProxies || r.b.services < aimServices || w.rollouts < aimRollouts {
		return
	}
	r.lines["cpu_of_control_plane"].AimP99(aimCores)
	r.lines["bytes_per_proxy"].AimP99(aimBytes)
}

// amount adds one figure.
func (b *bench) amount(part string, c map[string]any, metric, unit string, samples ...float64) *report.Line {
	c["part"] = part
	var runs report.Series
	for _, v := range samples {
		runs = append(runs, []float64{v})
	}
	l := report.NewLine(system, metric, unit, c, runs)
	b.r.Add(l)
	return l
}

// exactly ends the flushes and reports how many requests the control plane counted beside those that were sent. None may differ.
func (b *bench) exactly(ctx context.Context, s *site, part string) error {
	sent, got, err := s.exact(ctx)
	if err != nil {
		return err
	}
	l := b.amount(part, map[string]any{"proxies": s.proxies, "services": b.services}, "requests_counted", "requests", float64(got.requests))
	l.N, l.Failed = int(sent.requests), int(max(sent.requests, got.requests)-min(sent.requests, got.requests))
	if l.AimNone(); l.Failed > 0 {
		l.Note = "flushes that were not answered in time may have been counted or not"
	}
	fmt.Printf("%s: %d requests were reported, %d of them failed; the control plane counted %d and %d\n",
		part, sent.requests, sent.failed, got.requests, got.failed)
	return nil
}
