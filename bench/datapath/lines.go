package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

// series are one figure of each turn.
func (e *entry) series(of func(turn) float64) (s report.Series) {
	for _, t := range e.turns {
		s = append(s, []float64{of(t)})
	}
	return s
}

func (e *entry) cpu() report.Series { return e.series(func(t turn) float64 { return t.cpu }) }

// failed is how many requests did, and of how many.
func (e *entry) failed() (failed, done int, why map[string]uint64) {
	why = map[string]uint64{}
	for _, t := range e.turns {
		failed, done = failed+int(t.sum.Failed), done+int(t.sum.Done)
		for reason, n := range t.sum.Failures {
			why[reason] += n
		}
	}
	return failed, done, why
}

// valid is false if the load was another one than it should have been.
func (e *entry) valid() bool {
	failed, _, _ := e.failed()
	return len(e.turns) > 0 && failed == 0 && !slices.ContainsFunc(e.turns, func(t turn) bool { return !t.reached() })
}

// note says how the turns went.
func (e *entry) note() string {
	missed, lateness := 0, 0.0
	for _, t := range e.turns {
		if lateness = max(lateness, t.sum.Lateness); !t.reached() {
			missed++
		}
	}
	notes := []string{fmt.Sprintf("lateness of the generator, p99 of the worst run: %.2f ms", lateness*1e3)}
	if missed > 0 {
		notes = append([]string{fmt.Sprintf("INVALID: in %d of %d runs fewer requests were answered than were due", missed, len(e.turns))}, notes...)
	}
	if failed, done, why := e.failed(); failed > 0 {
		notes = append(notes, fmt.Sprintf("%d of %d requests failed: %s", failed, done, reasons(why)))
	}
	return strings.Join(notes, "; ")
}

func reasons(m map[string]uint64) string {
	var out []string
	for _, why := range slices.Sorted(maps.Keys(m)) {
		out = append(out, fmt.Sprintf("%d × %s", m[why], why))
	}
	return strings.Join(out, ", ")
}

// line adds a metric of a system to the report.
func (b *bench) line(e *entry, metric, unit string, s report.Series) *report.Line {
	l := report.NewLine(e.name, metric, unit, e.c, s)
	offered := report.Mean(e.series(func(t turn) float64 { return t.offered }).All())
	achieved := report.Mean(e.series(func(t turn) float64 { return t.rate }).All())
	l.OfferedRPS, l.AchievedRPS, l.Note = &offered, &achieved, e.note()
	b.r.Add(l)
	return l
}

// cost adds what a request costs, compared with another system that took turns with it. The ratio is left out of a quick run, which has one pair.
func (b *bench) cost(e, other *entry, called string) *report.Line {
	l := b.line(e, "cpu_per_request", "s", e.cpu())
	text := fmt.Sprintf("%-64s %6.1f µs per request", e.name+", "+caseOf(e.c), l.Mean*1e6)
	if other != nil && b.Size != report.Quick {
		l.Compare(called, report.ByMean, e.cpu(), other.cpu())
		if l.Ratio != nil {
			text += fmt.Sprintf(", × %.3f [%.3f, %.3f] of %s", *l.Ratio, *l.RatioLow, *l.RatioHigh, called)
		}
	}
	if !e.valid() {
		text += "; " + l.Note
	}
	fmt.Println(text)
	return l
}

// rest adds what else was seen of a system.
func (b *bench) rest(e *entry) {
	var latencies report.Series
	for _, t := range e.turns {
		latencies = append(latencies, t.latencies)
	}
	b.line(e, "latency", "s", latencies)
	b.line(e, "resident", "bytes", e.series(func(t turn) float64 { return t.memory }))
	failed, done, _ := e.failed()
	l := b.line(e, "requests", "requests", e.series(func(t turn) float64 { return float64(t.sum.Done) }))
	l.N, l.Failed = done, failed
	if b.Size != report.Quick && e.name == crossfade {
		l.AimNone()
	}
}

// reportGroups adds what the systems of each group cost, compared with the first of it, which is the same in all groups.
func (b *bench) reportGroups(called string, groups [][]*entry) {
	all := &entry{system: groups[0][0].system}
	for _, g := range groups {
		all.turns = append(all.turns, g[0].turns...)
	}
	b.cost(all, nil, "")
	b.rest(all)
	for _, g := range groups {
		for _, e := range g[1:] {
			l := b.cost(e, g[0], called)
			if !g[0].valid() {
				l.Note += "; of " + called + ": " + g[0].note()
			}
			b.rest(e)
		}
	}
}

func caseOf(c map[string]any) string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(c)) {
		out = append(out, fmt.Sprintf("%s: %v", key, c[key]))
	}
	return strings.Join(out, ", ")
}
