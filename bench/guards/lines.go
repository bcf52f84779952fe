package main

import (
	"fmt"
	"slices"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

// line is one of the report.
type line struct{ *report.Line }

// reactions adds what rollouts did to the report, and returns the line that matters. What was not found is what failed.
func (b *bench) reactions(part string, c map[string]any, all []reaction, sent sum, note string) line {
	c["part"] = part
	var lost []string
	var left, seen, decided, proven, rates []float64
	for _, r := range all {
		rates = append(rates, r.rate)
		if r.lost != "" {
			lost = append(lost, r.lost)
			continue
		}
		left = append(left, r.left)
		if r.decided > 0 {
			seen, decided, proven = append(seen, r.seen), append(decided, r.decided), append(proven, r.proven)
		}
	}
	note = fmt.Sprintf("%.1f requests/s at eks; %s", report.Mean(rates), note)
	if len(lost) > 0 {
		note = fmt.Sprintf("%d not found, the first: %s; %s", len(lost), lost[0], note)
	}
	add := func(metric string, samples []float64) *report.Line {
		var each report.Series // a run each
		for _, v := range samples {
			each = append(each, []float64{v})
		}
		l := report.NewLine(system, metric, "s", c, each)
		if l.Note = note; sent.done > 0 {
			l.OfferedRPS, l.AchievedRPS = &sent.offered, &sent.achieved
		}
		b.r.Add(l)
		return l
	}
	l := add("last_request", left)
	l.Failed = len(lost)
	if len(decided) > 0 {
		add("seen", seen)
		add("decided", decided)
		add("proven", proven)
	}
	fmt.Printf("%s: %v: p50 %.2f s, p90 %.2f, max %.2f of %d found, %d not; %s\n", part, caseOf(c), l.P50, l.P90, l.Max, len(left), len(lost), note)
	return line{l}
}

// aimWorst says that the worst should be at most so many seconds, and nothing be lost.
func (l line) aimWorst(limit float64) {
	l.aim(l.N > 0 && l.Max <= limit && l.Failed == 0, "max <= %g s, 0 not found", limit)
}

func (l line) aim(met bool, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.Aim, l.Met = &text, &met
}

// failures adds the requests of a load that failed though no origin meant that. None may.
func (b *bench) failures(part string, c map[string]any, sent sum) {
	l := b.amount(part, c, "requests", "requests", float64(sent.done), sent.String())
	l.N, l.Failed = int(sent.done), int(sent.failed)
	if b.Size != report.Quick {
		l.aim(sent.done > 0 && sent.failed == 0, "0 failed by proxies, or without an answer")
	}
}

// amount adds one figure.
func (b *bench) amount(part string, c map[string]any, metric, unit string, v float64, note string) line {
	c["part"] = part
	l := report.NewLine(system, metric, unit, c, report.Series{{v}})
	l.Note = note
	b.r.Add(l)
	return line{l}
}

func caseOf(c map[string]any) string {
	var parts []string
	for k, v := range c {
		if k != "part" && k != "proxies" {
			parts = append(parts, fmt.Sprint(k, " ", v))
		}
	}
	slices.Sort(parts)
	return fmt.Sprint(parts)
}

// peers says what others document of themselves. Nothing of it was measured.
func (b *bench) peers() {
	for _, p := range []struct{ name, says string }{
		{"Flagger", "documented: a check each analysis.interval, by default 60 s, and threshold checks have to fail: 60 s × threshold"},
		{"Argo Rollouts", "documented: 30 s of delay (abortScaleDownDelaySeconds) after an abort until the canary is scaled down; a measurement each interval of an AnalysisTemplate"},
	} {
		l := report.NewLine(p.name, "documented", "s", map[string]any{"part": "peers"}, nil)
		l.Note = p.says + "; not measured"
		b.r.Add(l)
		fmt.Printf("peer, not measured: %s: %s\n", p.name, p.says)
	}
}
