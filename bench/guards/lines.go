package main

import (
	"fmt"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

// reactions adds what rollouts did to the report. What was not found failed, and counts as long as it was waited for. The worst should be at most limit
// seconds; 0: there is no aim.
func (b *bench) reactions(part string, c map[string]any, all []reaction, sent sum, note string, limit float64) {
	c["part"] = part
	var lost []string
	var left, seen, decided, proven, rates []float64
	for _, r := range all {
		rates, left = append(rates, r.rate), append(left, r.left)
		switch {
		case r.lost != "":
			lost = append(lost, r.lost)
		case r.decided > 0:
			seen, decided, proven = append(seen, r.seen), append(decided, r.decided), append(proven, r.proven)
		}
	}
	note = fmt.Sprintf("%.1f requests/s at eks; %s", report.Mean(rates), note)
	if len(lost) > 0 {
		note = fmt.Sprintf("%d not found, each counted as the time after which it was given up, which is the least that it took; the first: %s; %s", len(lost), lost[0], note)
	}
	line := func(metric string, samples []float64) *report.Line {
		var each report.Series // a run each
		for _, v := range samples {
			each = append(each, []float64{v})
		}
		l := report.NewLine(system, metric, "s", c, each)
		if l.Note = note; sent.done > 0 {
			l.OfferedRPS, l.AchievedRPS = &sent.offered, &sent.achieved
		}
		return l
	}
	l := line("last_request", left)
	if l.Failed = len(lost); limit > 0 {
		l.AimOf(fmt.Sprintf("max <= %g s, 0 not found", limit), fmt.Sprintf("max %s, %d of %d not found", report.Amount(l.Max, l.Unit), l.Failed, l.N),
			l.Max <= limit && l.Failed == 0)
	}
	b.r.Add(l)
	if len(decided) > 0 {
		b.r.Add(line("seen", seen))
		b.r.Add(line("decided", decided))
		b.r.Add(line("proven", proven))
	}
	fmt.Printf("%s: %s: p50 %.2f s, p90 %.2f, max %.2f of %d, %d of them not found; %s\n", part, l.CaseText(), l.P50, l.P90, l.Max, l.N, len(lost), note)
}

// hold makes the lines since the first ones invalid if the machine did not keep the rate of their load: a candidate with fewer requests is another.
func (b *bench) hold(first int, sent sum) {
	const enough = 0.98
	if sent.achieved >= enough*sent.offered {
		return
	}
	fmt.Printf("THE MACHINE DID NOT KEEP THE RATE: %v\n", sent)
	for _, l := range b.r.Lines()[first:] {
		l.Invalidate("%.0f of %.0f requests/s were sent", sent.achieved, sent.offered)
	}
}

// failures adds the requests of a load that failed though no origin meant that. None may.
func (b *bench) failures(part string, c map[string]any, sent sum) {
	l := b.amount(part, c, "requests", "requests", float64(sent.done), sent.String())
	l.N, l.Failed = int(sent.done), int(sent.failed)
	b.r.Add(l.AimOf("0 failed by proxies, or without an answer", fmt.Sprintf("%d of %d failed", sent.failed, sent.done), sent.failed == 0))
}

// amount is a line of one figure. The caller adds it.
func (b *bench) amount(part string, c map[string]any, metric, unit string, v float64, note string) *report.Line {
	c["part"] = part
	l := report.NewLine(system, metric, unit, c, report.Series{{v}})
	l.Note = note
	return l
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
