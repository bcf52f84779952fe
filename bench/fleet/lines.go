package main

import (
	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

// metric is one figure of a run.
type metric struct {
	name, unit string
	of         func(*measured) []float64
	by         report.Statistic // what runs are compared by
	limit      float64          // of the ratio to linearcache, whole interval; 0 for no aim
	oursOnly   bool
}

func one[T int | int64 | float64](f func(*measured) T) func(*measured) []float64 {
	return func(m *measured) []float64 { return []float64{float64(f(m))} }
}

func (o *options) metrics() []metric {
	perProxy := func(v int64) float64 { return float64(v) / float64(o.Clients) }
	return []metric{
		{name: "flip_acked", unit: "s", of: func(m *measured) []float64 { return m.Last }, by: report.ByP50, limit: 1.1},
		{name: "flip_acked_p99", unit: "s", of: func(m *measured) []float64 { return []float64{report.ByP99.Of(m.Last)} }, by: report.ByMean, limit: 1.1},
		{name: "flip_acked_by_half", unit: "s", of: func(m *measured) []float64 { return m.Median }, by: report.ByP50},
		{name: "flip_cpu", unit: "s", of: one(func(m *measured) float64 { return m.FlipCPU }), by: report.ByMean},
		{name: "flip_responses", unit: "responses", of: one(func(m *measured) float64 { return m.FlipResponses }), by: report.ByMean},
		{name: "flip_bytes", unit: "bytes", of: one(func(m *measured) float64 { return m.FlipBytes }), by: report.ByMean},
		{name: "fold_bytes", unit: "bytes", of: one(func(m *measured) int64 { return m.FoldBytes }), by: report.ByMean, oursOnly: true},
		{name: "memory", unit: "bytes", of: one(func(m *measured) int64 { return m.RSS }), by: report.ByMean, limit: 0.25},
		{name: "memory_peak", unit: "bytes", of: one(func(m *measured) int64 { return m.Peak }), by: report.ByMean, limit: 0.25},
		{name: "memory_per_proxy", unit: "bytes", of: one(func(m *measured) float64 { return perProxy(m.RSS - m.RSSBefore) }), by: report.ByMean},
		{name: "heap", unit: "bytes", of: one(func(m *measured) int64 { return m.Heap }), by: report.ByMean},
		{name: "heap_per_proxy", unit: "bytes", of: one(func(m *measured) float64 { return perProxy(m.Heap - m.HeapBefore) }), by: report.ByMean},
		{name: "stacks", unit: "bytes", of: one(func(m *measured) int64 { return m.Stacks }), by: report.ByMean},
		{name: "goroutines", unit: "goroutines", of: one(func(m *measured) int { return m.Goroutines }), by: report.ByMean},
		{name: "cold_start", unit: "s", of: one(func(m *measured) float64 { return m.Cold }), by: report.ByMean},
		{name: "cold_start_cpu", unit: "s", of: one(func(m *measured) float64 { return m.ColdCPU }), by: report.ByMean},
		{name: "cold_start_bytes", unit: "bytes", of: one(func(m *measured) int64 { return m.ColdBytes }), by: report.ByMean},
		{name: "reconnect_storm", unit: "s", of: one(func(m *measured) float64 { return m.Storm }), by: report.ByMean},
		{name: "reconnect_storm_cpu", unit: "s", of: one(func(m *measured) float64 { return m.StormCPU }), by: report.ByMean},
		{name: "reconnect_storm_bytes", unit: "bytes", of: one(func(m *measured) int64 { return m.StormBytes }), by: report.ByMean},
		{name: "reconnect_storm_resources", unit: "resources", of: one(func(m *measured) int { return m.StormUpserts }), by: report.ByMean},
		{name: "streams_lost", unit: "streams", of: one(func(m *measured) int64 { return m.Lost }), by: report.ByMean},
		{name: "reconnect_storm_memory_peak", unit: "bytes", of: one(func(m *measured) int64 { return m.StormPeak }), by: report.ByMean},
	}
}

// peers are what the peer changes in a flip and how gRPC is set, by system. The first is the one that aims are held against: what a user
// of go-control-plane has who sets nothing. The others are context.
var peers = []struct{ system, changes, grpc string }{
	{linear, "the same runtime layer", "stock"},
	{linearTuned, "the same runtime layer", "as ours (context)"},
	{linearRoutes, "the virtual host", "stock (context)"},
}

// lines makes the report: a case for each peer. A quick run has neither ratios nor aims: it says nothing about speed.
func (o *options) lines(runs map[string][]*measured, add func(*report.Line)) {
	for i, peer := range peers {
		if runs[peer.system] == nil {
			continue
		}
		c := map[string]any{"proxies": o.Clients, "services": o.Workload.Services, "flipping": o.Workload.Flipping, "peerChanges": peer.changes, "peerGrpc": peer.grpc}
		for _, m := range o.metrics() {
			if m.oursOnly && i > 0 {
				continue
			}
			own, other := series(runs[crossfade], m), series(runs[peer.system], m)
			l := report.NewLine(crossfade, m.name, m.unit, c, own)
			l.Failed = refused(runs[crossfade])
			if o.Size != report.Quick && !m.oursOnly {
				l.Compare(linear, m.by, own, other, o.Seed)
				if m.limit > 0 && i == 0 {
					l.AimRatio(m.limit)
				}
			}
			add(l)
			if !m.oursOnly {
				l := report.NewLine(linear, m.name, m.unit, c, other)
				l.Failed = refused(runs[peer.system])
				add(l)
			}
		}
	}
}

func refused(runs []*measured) (n int) {
	for _, r := range runs {
		n += r.Refused
	}
	return n
}

func series(runs []*measured, m metric) (s report.Series) {
	for _, r := range runs {
		s = append(s, m.of(r))
	}
	return s
}
