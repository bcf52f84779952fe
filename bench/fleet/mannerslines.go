package main

import "github.com/crossfade-proxy/crossfade/bench/internal/report"

// mannersMetrics are the figures of a phase.
var mannersMetrics = []struct {
	name, unit string
	of         func(*phase) []float64
	by         report.Statistic
	unruly     bool // only while some misbehave
}{
	{name: "flip_acked_healthy", unit: "s", of: func(p *phase) []float64 { return p.Last }, by: report.ByP50},
	{name: "flip_acked_healthy_p99", unit: "s", of: func(p *phase) []float64 { return []float64{report.ByP99.Of(p.Last)} }, by: report.ByMean},
	{name: "server_cpu", unit: "s", of: func(p *phase) []float64 { return []float64{p.CPU} }, by: report.ByMean},
	{name: "fleet_cpu", unit: "s", of: func(p *phase) []float64 { return []float64{p.FleetCPU} }, by: report.ByMean},
	{name: "flip_bytes", unit: "bytes", of: func(p *phase) []float64 { return []float64{p.Bytes} }, by: report.ByMean},
	{name: "memory", unit: "bytes", of: func(p *phase) []float64 { return []float64{float64(p.RSS)} }, by: report.ByMean},
	{name: "streams_lost", unit: "streams", of: func(p *phase) []float64 { return []float64{float64(p.Lost)} }, by: report.ByMean},
	{name: "responses_to_refusing", unit: "responses", of: func(p *phase) []float64 { return []float64{p.Responses} }, by: report.ByMean, unruly: true},
	{name: "responses_refused", unit: "responses", of: func(p *phase) []float64 { return []float64{p.Refused} }, by: report.ByMean, unruly: true},
}

// mannersLines reports the fleet in which some misbehave beside itself, while all behave.
func (p *parts) mannersLines(subjects []subject, runs results) {
	for _, m := range mannersMetrics {
		for _, s := range subjects {
			behaving := metric{name: m.name, unit: m.unit, by: m.by, of: func(_ subject, r *measured) []float64 { return m.of(&r.Behaving) }}
			unruly := behaving
			unruly.of = func(_ subject, r *measured) []float64 { return m.of(&r.Unruly) }
			c := map[string]any{"part": "manners", "refusing": s.Manners.Refusing, "slow": s.Manners.Slow, "envoys": s.Envoys}
			l := runs.line(s, s.system, unruly, s.with(c))
			switch {
			case !m.unruly:
				p.compare(runs, l, m.by, side{s, unruly}, side{s, behaving}, s.system+", all behave")
			case m.name == "responses_to_refusing" && s.system == crossfade:
				l.AimP99(mostToRefusing)
			}
			p.report.Add(l)
			if !m.unruly {
				c["refusing"], c["slow"] = 0, 0
				p.report.Add(runs.line(s, s.system, behaving, s.with(c)))
			}
		}
	}
}
