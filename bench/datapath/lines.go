package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

// series are one figure of each turn, each of a process.
func (e *entry) series(of func(turn) float64) (s report.Series) {
	for _, t := range e.turns {
		s = append(s, []float64{of(t)})
	}
	return s
}

func (e *entry) cpu() report.Series { return e.series(func(t turn) float64 { return t.cpu }) }

// latency of all requests, by turn.
func (e *entry) latency() (s report.Series) {
	for _, t := range e.turns {
		s = append(s, t.latencies)
	}
	return s
}

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

// doubt says why the figures of a system say nothing, the load being another one than it should have been: "" if they do.
func (e *entry) doubt() string {
	var out []string
	missed := 0
	for _, t := range e.turns {
		if !t.reached() {
			missed++
		}
	}
	if missed > 0 {
		out = append(out, fmt.Sprintf("in %d of %d turns fewer requests were answered than were due", missed, len(e.turns)))
	}
	if failed, done, why := e.failed(); failed > 0 {
		out = append(out, fmt.Sprintf("%d of %d requests failed: %s", failed, done, reasons(why)))
	}
	return strings.Join(out, "; ")
}

// note says how well the load was sent.
func (e *entry) note() string {
	worst := 0.0
	for _, t := range e.turns {
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

// versus is the system that another one is compared with, turn by turn.
type versus struct {
	*entry
	called string
}

// compare adds the ratio to another system, whose load must have been right too. There is none to nobody, nor in a quick run, which has one pair.
func (b *bench) compare(l *report.Line, of report.Statistic, e *entry, v versus, series func(*entry) report.Series) {
	if v.entry == nil {
		return
	}
	if why := v.doubt(); why != "" {
		l.Invalidate("%s: %s", v.called, why)
	}
	if b.Size != report.Quick {
		l.Compare(v.called, of, series(e), series(v.entry))
	}
}

// cost adds what a request costs.
func (b *bench) cost(e *entry, v versus) *report.Line {
	l := b.line(e, "cpu_per_request", "s", e.cpu())
	b.compare(l, report.ByMean, e, v, (*entry).cpu)
	text := fmt.Sprintf("%-64s %6.1f µs per request", e.name+", "+l.CaseText(), l.Mean*1e6) + ratioText(l)
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

// rest adds what else was seen of a system. Latencies are compared by the p99 of each turn.
func (b *bench) rest(e *entry, v versus) {
	b.compare(b.line(e, "latency", "s", e.latency()), report.ByP99, e, v, (*entry).latency)
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
	b.cost(all, versus{})
	b.rest(all, versus{})
	for _, g := range groups {
		for _, e := range g[1:] {
			b.cost(e, versus{g[0], called})
			b.rest(e, versus{g[0], called})
		}
	}
}
