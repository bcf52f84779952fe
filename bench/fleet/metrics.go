package main

import (
	"fmt"
	"slices"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

// metric is one figure of a run.
type metric struct {
	name, unit string
	of         func(subject, *measured) []float64
	by         report.Statistic // what runs are compared by
	limit      float64          // of the ratio to linearcache in the part main, whole interval; 0 for no aim
	swept      bool             // is in the parts with many sizes as well
	oursOnly   bool
}

func one[T int | int64 | float64](f func(*measured) T) func(subject, *measured) []float64 {
	return func(_ subject, m *measured) []float64 { return []float64{float64(f(m))} }
}

func each(f func(*measured) []float64) func(subject, *measured) []float64 {
	return func(_ subject, m *measured) []float64 { return f(m) }
}

// perProxy divides by the number of proxies.
func perProxy(f func(*measured) float64) func(subject, *measured) []float64 {
	return func(s subject, m *measured) []float64 { return []float64{f(m) / float64(s.Clients)} }
}

// metrics are all figures of the usual course.
var metrics = []metric{
	{name: "flip_acked", unit: "s", of: each(func(m *measured) []float64 { return m.Last }), by: report.ByP50, limit: 1.1, swept: true},
	{name: "flip_acked_p99", unit: "s", of: one(func(m *measured) float64 { return report.ByP99.Of(m.Last) }), by: report.ByMean, limit: 0.5, swept: true},
	{name: "flip_acked_by_half", unit: "s", of: each(func(m *measured) []float64 { return m.Median }), by: report.ByP50},
	{name: "flip_cpu", unit: "s", of: one(func(m *measured) float64 { return m.FlipCPU }), by: report.ByMean, swept: true},
	{name: "flip_collections", unit: "collections", of: one(func(m *measured) float64 { return m.Collections }), by: report.ByMean, swept: true},
	{name: "flip_cpu_per_proxy", unit: "s", of: perProxy(func(m *measured) float64 { return m.FlipCPU }), by: report.ByMean, swept: true},
	{name: "fleet_cpu", unit: "s", of: one(func(m *measured) float64 { return m.FleetCPU }), by: report.ByMean, swept: true},
	{name: "flip_responses", unit: "responses", of: one(func(m *measured) float64 { return m.FlipResponses }), by: report.ByMean},
	{name: "flip_bytes", unit: "bytes", of: one(func(m *measured) float64 { return m.FlipBytes }), by: report.ByMean, swept: true},
	{name: "flip_bytes_per_proxy", unit: "bytes", of: perProxy(func(m *measured) float64 { return m.FlipBytes }), by: report.ByMean, swept: true},
	{name: "fold_bytes", unit: "bytes", of: one(func(m *measured) int64 { return m.FoldBytes }), by: report.ByMean, oursOnly: true, swept: true},
	{name: "fold_acked", unit: "s", of: one(func(m *measured) float64 { return m.Fold }), by: report.ByMean, oursOnly: true, swept: true},
	{name: "fold_cpu", unit: "s", of: one(func(m *measured) float64 { return m.FoldCPU }), by: report.ByMean, oursOnly: true, swept: true},
	{name: "memory", unit: "bytes", of: one(func(m *measured) int64 { return m.RSS }), by: report.ByMean, limit: 0.25, swept: true},
	{name: "memory_peak", unit: "bytes", of: one(func(m *measured) int64 { return m.Peak }), by: report.ByMean, limit: 0.25, swept: true},
	{name: "memory_per_proxy", unit: "bytes", of: perProxy(func(m *measured) float64 { return float64(m.RSS - m.RSSBefore) }), by: report.ByMean, swept: true},
	{name: "heap", unit: "bytes", of: one(func(m *measured) int64 { return m.Heap }), by: report.ByMean},
	{name: "heap_per_proxy", unit: "bytes", of: perProxy(func(m *measured) float64 { return float64(m.Heap - m.HeapBefore) }), by: report.ByMean},
	{name: "stacks", unit: "bytes", of: one(func(m *measured) int64 { return m.Stacks }), by: report.ByMean},
	{name: "goroutines", unit: "goroutines", of: one(func(m *measured) int { return m.Goroutines }), by: report.ByMean},
	{name: "cold_start", unit: "s", of: one(func(m *measured) float64 { return m.Cold }), by: report.ByMean, swept: true},
	{name: "cold_start_cpu", unit: "s", of: one(func(m *measured) float64 { return m.ColdCPU }), by: report.ByMean, swept: true},
	{name: "cold_start_bytes", unit: "bytes", of: one(func(m *measured) int64 { return m.ColdBytes }), by: report.ByMean, swept: true},
	{name: "reconnect_storm", unit: "s", of: one(func(m *measured) float64 { return m.Storm }), by: report.ByMean, swept: true},
	{name: "reconnect_storm_cpu", unit: "s", of: one(func(m *measured) float64 { return m.StormCPU }), by: report.ByMean, swept: true},
	{name: "reconnect_storm_bytes", unit: "bytes", of: one(func(m *measured) int64 { return m.StormBytes }), by: report.ByMean},
	{name: "reconnect_storm_resources", unit: "resources", of: one(func(m *measured) int { return m.StormUpserts }), by: report.ByMean},
	{name: "reconnect_storm_memory_peak", unit: "bytes", of: one(func(m *measured) int64 { return m.StormPeak }), by: report.ByMean},
	{name: "streams_lost", unit: "streams", of: one(func(m *measured) int64 { return m.Lost }), by: report.ByMean, swept: true},
}

// metricOf has a name.
func metricOf(name string) metric {
	return metrics[slices.IndexFunc(metrics, func(m metric) bool { return m.name == name })]
}

// series are the figures of each round. Who gave up in one has none there.
func (runs results) series(s subject, m metric) (out report.Series) {
	for _, r := range runs[s] {
		if r.GaveUp != "" {
			out = append(out, nil)
			continue
		}
		out = append(out, m.of(s, r))
	}
	return out
}

// line sums up a metric of a subject under the name of a system. A round in which a peer gave up is noted; one of ours makes the line invalid: what
// would have missed an aim is not in its figures.
func (runs results) line(s subject, system string, m metric, c map[string]any) *report.Line {
	l := report.NewLine(system, m.name, m.unit, c, runs.series(s, m))
	if why := runs.gaveUp(s); s.system != crossfade {
		l.Note = why
	} else if why != "" {
		l.Invalidate("%s", why)
	}
	for _, r := range runs[s] {
		l.Failed += r.Refused
	}
	return l
}

// gaveUp says in how many rounds a subject gave up, and why; "" if it never did.
func (runs results) gaveUp(s subject) string {
	n, why := 0, ""
	for _, r := range runs[s] {
		if r.GaveUp != "" {
			n, why = n+1, r.GaveUp
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%s gave up in %d of %d rounds: %s", s.system, n, len(runs[s]), why)
}
