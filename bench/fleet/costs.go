package main

import "github.com/crossfade-proxy/crossfade/bench/internal/report"

// costs reports what each further proxy or service adds: the slope of a straight line through all sizes (least squares), in each of the
// rounds that all sizes have. By these, larger fleets can be estimated.
func (p *parts) costs(sizes []subject, runs results, of string, size func(subject) float64) {
	for _, name := range []string{
		"memory", "flip_acked", "flip_cpu", "flip_bytes", "fleet_cpu", "cold_start", "cold_start_cpu", "cold_start_bytes", "reconnect_storm", "reconnect_storm_cpu",
	} {
		m := metricOf(name)
		for _, system := range p.swept() {
			var x []float64
			var y []report.Series
			for _, s := range sizes {
				s.system = system
				x, y = append(x, size(s)), append(y, runs.series(s, m))
			}
			l := report.NewLine(system, name+"_each_"+of, m.unit, map[string]any{"part": "costs", "least": x[0], "most": x[len(x)-1]}, slopes(x, y, m.by))
			if l.N == 0 {
				l.Note = "not measured at every size"
			}
			p.report.Add(l)
		}
	}
}

// slopes are those of the rounds that every size has.
func slopes(x []float64, y []report.Series, by report.Statistic) (out report.Series) {
	for round := 0; ; round++ {
		var at []float64
		for _, s := range y {
			if round == len(s) {
				return out
			}
			if len(s[round]) > 0 {
				at = append(at, by.Of(s[round]))
			}
		}
		if len(at) == len(x) {
			slope, _ := report.StraightLine(x, at)
			out = append(out, []float64{slope})
		}
	}
}
