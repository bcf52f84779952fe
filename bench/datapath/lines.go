package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

// series are one figure of each turn, by process.
func (e *entry) series(of func(turn) float64) report.Series {
	s := make(report.Series, len(e.runs))
	for i, turns := range e.runs {
		for _, t := range turns {
			s[i] = append(s[i], of(t))
		}
	}
	return s
}

func (e *entry) cpu() report.Series { return e.series(func(t turn) float64 { return t.cpu }) }

// failed is how many requests did, and of how many.
func (e *entry) failed() (failed, done int, why map[string]uint64) {
	why = map[string]uint64{}
	for _, t := range e.turns() {
		failed, done = failed+int(t.sum.Failed), done+int(t.sum.Done)
		for reason, n := range t.sum.Failures {
			why[reason] += n
		}
	}
	return failed, done, why
}

// doubt says why the figures of a system say nothing, the load being another one than it should have been: "" if they do.
func (e *entry) doubt() string {
	var out []string
	missed := 0
	for _, t := range e.turns() {
		if !t.reached() {
			missed++
		}
	}
	if missed > 0 {
		out = append(out, fmt.Sprintf("in %d of %d turns fewer requests were answered than were due", missed, len(e.turns())))
	}
	if failed, done, why := e.failed(); failed > 0 {
		out = append(out, fmt.Sprintf("%d of %d requests failed: %s", failed, done, reasons(why)))
	}
	return strings.Join(out, "; ")
}

// note says how well the load was sent.
func (e *entry) note() string {
	worst := 0.0
	for _, t := range e.turns() {
		worst = max(worst, t.sum.Lateness)
	}
	return fmt.Sprintf("lateness of the generator, p99 of the worst turn: %.2f ms", worst*1e3)
}

func reasons(m map[string]uint64) string {
	var out []string
	for _, why := range slices.Sorted(maps.Keys(m)) {
		out = append(out, fmt.Sprintf("%d × %s", m[why], why))
	}
	return strings.Join(out, ", ")
}

// line adds a metric of a system to the report, which meets no aim if the load was not as it should have been.
func (b *bench) line(e *entry, metric, unit string, s report.Series) *report.Line {
	l := report.NewLine(e.name, metric, unit, e.c, s)
	offered := report.Mean(e.series(func(t turn) float64 { return t.offered }).All())
	achieved := report.Mean(e.series(func(t turn) float64 { return t.rate }).All())
	l.OfferedRPS, l.AchievedRPS, l.Note = &offered, &achieved, e.note()
	if why := e.doubt(); why != "" {
		l.Invalidate("%s", why)
	}
	b.r.Add(l)
	return l
}

// cost adds what a request costs, compared with another system that took turns with it, whose load must have been right too. The ratio is left out of
// a quick run, which has one pair.
func (b *bench) cost(e, other *entry, called string) *report.Line {
	l := b.line(e, "cpu_per_request", "s", e.cpu())
	text := fmt.Sprintf("%-64s %6.1f µs per request", e.name+", "+l.CaseText(), l.Mean*1e6)
	if other != nil {
		if why := other.doubt(); why != "" {
			l.Invalidate("%s: %s", called, why)
		}
		if b.Size != report.Quick {
			l.Compare(called, report.ByMean, e.cpu(), other.cpu())
			text += ratioText(l)
		}
	}
	if l.Invalid != "" {
		text += "; INVALID: " + l.Invalid
	}
	fmt.Println(text)
	return l
}

// ratioText is the ratio to three places: an aim of 1.05 is held against it.
func ratioText(l *report.Line) string {
	switch {
	case l.Ratio == nil:
		return ""
	case l.RatioLow == nil:
		return fmt.Sprintf(", × %.3f of %s, too few pairs for an interval", *l.Ratio, *l.Peer)
	}
	return fmt.Sprintf(", × %.3f [%.3f, %.3f] of %s", *l.Ratio, *l.RatioLow, *l.RatioHigh, *l.Peer)
}

// rest adds what else was seen of a system.
func (b *bench) rest(e *entry) {
	latencies := make(report.Series, len(e.runs))
	for i, turns := range e.runs {
		for _, t := range turns {
			latencies[i] = append(latencies[i], t.latencies...)
		}
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
		all.runs = append(all.runs, g[0].runs...)
	}
	b.cost(all, nil, "")
	b.rest(all)
	for _, g := range groups {
		for _, e := range g[1:] {
			b.cost(e, g[0], called)
			b.rest(e)
		}
	}
}
