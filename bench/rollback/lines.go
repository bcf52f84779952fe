package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

const (
	aim      = 0.025 // seconds that the 99th percentile of last_request may be, at most
	aimOfALB = 500   // how many times of that percentile what is cited of ALB is, at least
)

// progress says how a round went.
func progress(s setting, sys system, r *round) {
	last, acked := series([]*round{r}, lastIn).All(), series([]*round{r}, ackedIn).All()
	called := series([]*round{r}, provenIn).All()
	cpu, wait := series([]*round{r}, ran).All(), series([]*round{r}, waited).All()
	q := func(v []float64, share float64) float64 { return report.Quantile(v, share) * 1e3 }
	fmt.Printf("%-24s %-9s %d flips: last request p50 %.1f ms p99 %.1f max %.1f; acked p50 %.1f p99 %.1f; main threads ran p50 %.1f p99 %.1f, waited p50 %.1f p99 %.1f; proven answer p50 %.0f; %d of %d requests failed %s; latency p99 %.1f ms, lateness p99 %.1f ms; load average %s; %v\n",
		s, sys.name(), len(r.flips), q(last, 0.5), q(last, 0.99), q(last, 1), q(acked, 0.5), q(acked, 0.99), q(cpu, 0.5), q(cpu, 0.99), q(wait, 0.5), q(wait, 0.99), q(called, 0.5),
		r.sum.Failed, r.sum.Done, reasons(r.sum.Failures), r.sum.P99*1e3, r.sum.Lateness*1e3, r.load, r.cpu)
	if r.short() {
		fmt.Printf("%-24s %-9s gave up: %s\n", s, sys.name(), r.gaveUp)
	}
}

func reasons(m map[string]uint64) string {
	var out []string
	for _, why := range slices.Sorted(maps.Keys(m)) {
		out = append(out, fmt.Sprintf("%d × %s", m[why], why))
	}
	return strings.Join(out, ", ")
}

func series(rounds []*round, of func(flip) []float64) (s report.Series) {
	for _, r := range rounds {
		var all []float64
		for _, f := range r.flips {
			all = append(all, of(f)...)
		}
		s = append(s, all)
	}
	return s
}

func lastIn(f flip) []float64 { return []float64{f.last} }

// ackedIn is when the last proxy had acknowledged, if that is known.
func ackedIn(f flip) []float64 {
	if f.acked == 0 {
		return nil
	}
	return []float64{f.acked}
}

// provenIn is how long a call took that waited for proof.
func provenIn(f flip) []float64 {
	if f.state == "" {
		return nil
	}
	return []float64{f.called}
}

// ran is how long the main thread of each proxy ran during a call.
func ran(f flip) (out []float64) {
	for _, t := range f.mains {
		out = append(out, t.ran)
	}
	return out
}

// waited is how long the main thread of each proxy waited for a core during a call.
func waited(f flip) (out []float64) {
	for _, t := range f.mains {
		out = append(out, t.waited)
	}
	return out
}

// proofError is how much later than in truth, by the proof, the last request was sent.
func proofError(f flip) []float64 {
	if f.state == "" {
		return nil
	}
	return []float64{f.proof - f.last}
}

// meanwhile is what went on beside the flips of a case.
type meanwhile struct {
	notes   []string
	failed  int    // changes
	invalid string // why the case is not what it says; empty: it is
}

// changed is what the changes of others were in so many seconds: fewer of a kind than there were to be are an easier case. Changes of routes are so few
// that one may not be over at the end.
func changed(endpoints, routes int64, seconds float64, neighbours int) (m meanwhile) {
	rate := func(n int64) float64 { return float64(n) / seconds }
	m.notes = []string{fmt.Sprintf("%.1f endpoint and %.2f route changes per second, over %d neighbours in turn", rate(endpoints), rate(routes), neighbours)}
	var few []string
	if rate(endpoints) < enough*endpointChanges {
		few = append(few, fmt.Sprintf("endpoints of others changed %.1f times per second, and not %d times", rate(endpoints), endpointChanges))
	}
	if rate(routes+1) < enough*routeChanges {
		few = append(few, fmt.Sprintf("routes of others changed %.2f times per second, and not %d times", rate(routes), routeChanges))
	}
	m.invalid = strings.Join(few, "; ")
	return m
}

// lines adds the figures of a case to the report.
func (b *bench) lines(s setting, systems []system, rounds map[string][]*round, ch *churn) {
	var m meanwhile
	if ch != nil {
		seconds := ch.stop()
		m = changed(ch.endpoints.Load(), ch.routes.Load(), seconds, b.neighbours)
		if m.failed = int(ch.failed.Load()); m.failed > 0 {
			m.notes = append(m.notes, fmt.Sprintf("%d of them failed, the last with: %v", m.failed, ch.lastErr.Load()))
		}
	}
	for _, sys := range systems {
		b.systemLines(s.describe(b.proxies), sys.name(), rounds, m)
	}
}

func (b *bench) systemLines(c map[string]any, name string, rounds map[string][]*round, m meanwhile) {
	own, ours := rounds[name], name == b.cf.name()
	total, failed, note := totals(own)
	note = strings.Join(append(slices.Clone(m.notes), note), "; ")
	offered, achieved := mean(own, func(s Sum) float64 { return s.Offered }), mean(own, func(s Sum) float64 { return s.Achieved })
	line := func(metric, unit string, s report.Series) *report.Line {
		l := report.NewLine(name, metric, unit, c, s)
		l.OfferedRPS, l.AchievedRPS, l.Note = &offered, &achieved, note
		hold(l, own)
		if m.invalid != "" {
			l.Invalidate("%s", m.invalid)
		}
		return l
	}
	add := func(metric, unit string, s report.Series) { b.r.Add(line(metric, unit, s)) }
	l := line("last_request", "s", series(own, lastIn))
	l.Failed = failed + m.failed
	if peer := rounds["haproxy"]; name != "haproxy" && len(peer) > 0 && !slices.ContainsFunc(slices.Concat(own, peer), (*round).short) {
		l.Compare("haproxy", report.ByMean, series(own, lastIn), series(peer, lastIn))
	}
	b.r.Add(l)
	if ours {
		l.AimP99(aim)
		last := upper(l, own)
		var times report.Series
		if last > 0 { // something was measured
			times = report.Series{{albSeconds / last}}
		}
		over := line("alb_weights_over_last_request", "times", times)
		over.AimOf(fmt.Sprintf(">= %d", aimOfALB), fmt.Sprintf("%d s, cited, are %.0f × %s", albSeconds, over.P50, report.Amount(last, "s")), over.P50 >= aimOfALB)
		over.Note = "the 15 s of ALB are cited, not measured; ours is what the aim of last_request is held against: the upper end of its p99, or the largest where it has none"
		b.r.Add(over)
	}
	add("last_request_proxy", "s", series(own, func(f flip) []float64 { return f.proxies }))
	add("late_requests", "requests", series(own, func(f flip) []float64 { return []float64{f.late} }))
	if acked := series(own, ackedIn); len(acked.All()) > 0 {
		add("acked", "s", acked)
	}
	if ours {
		add("proxy_main_cpu", "s", series(own, ran))
		add("proxy_main_waited", "s", series(own, waited))
		add("answer_proven", "s", series(own, provenIn))
		add("proof_error", "s", series(own, proofError))
	}
	add("mean_gap", "s", gaps(own, true))
	add("mean_gap_proxy", "s", gaps(own, false))
	add("latency_p99", "s", sums(own, func(s Sum) float64 { return s.P99 }))
	add("load_lateness_p99", "s", sums(own, func(s Sum) float64 { return s.Lateness }))
	l = line("requests", "requests", sums(own, func(s Sum) float64 { return float64(s.Done) }))
	l.N, l.Failed = total, failed
	if ours {
		l.AimNone()
	}
	b.r.Add(l)
	if l.Invalid != "" {
		fmt.Printf("%s: INVALID: %s\n", name, l.Invalid)
	}
}

// upper is what the aim of a p99 is held against, in seconds; below the mean gap nothing is seen.
func upper(l *report.Line, rounds []*round) float64 {
	return max(l.P99End(), report.Mean(gaps(rounds, false).All()))
}

// enough of a rate is what was reached of it, at least.
const enough = 0.98

// hold makes a line invalid if runs did not reach the rate they were to have, or their end: the flip that would have missed an aim is not in its figures.
func hold(l *report.Line, rounds []*round) {
	slow, short, why := 0, 0, ""
	for _, r := range rounds {
		if r.short() {
			short, why = short+1, r.gaveUp
		}
		if r.sum.Achieved < enough*r.sum.Offered {
			slow++
		}
	}
	if short > 0 {
		l.Invalidate("gave up in %d of %d runs: %s", short, len(rounds), why)
	}
	if slow > 0 {
		l.Invalidate("the offered rate was not reached in %d of %d runs", slow, len(rounds))
	}
}

// totals adds requests up; the note says why some failed, what the proofs were, and how busy the machine was.
func totals(rounds []*round) (total, failed int, note string) {
	unrecorded := 0
	failures, proofs, loads := map[string]uint64{}, map[string]uint64{}, []string{}
	for _, r := range rounds {
		total, failed = total+int(r.sum.Done), failed+int(r.sum.Failed)
		for why, n := range r.sum.Failures {
			failures[why] += n
		}
		for _, f := range r.flips {
			if f.unrecorded {
				unrecorded++
			}
			if f.state != "" {
				proofs[f.state]++
			}
		}
		loads = append(loads, r.load)
	}
	if len(rounds) > 0 && rounds[len(rounds)-1].cpu != (cpus{}) {
		note = rounds[len(rounds)-1].cpu.String() + "; "
	}
	note += "load average at the end of each run: " + strings.Join(loads, ", ")
	if len(proofs) > 0 {
		note += "; proofs: " + reasons(proofs)
	}
	if unrecorded > 0 {
		note += fmt.Sprintf("; %d answers came before the disk had the record", unrecorded)
	}
	if failed > 0 {
		note += "; failed: " + reasons(failures)
	}
	return total, failed, note
}

func sums(rounds []*round, of func(Sum) float64) (s report.Series) {
	for _, r := range rounds {
		s = append(s, []float64{of(r.sum)})
	}
	return s
}

// gaps are the mean times between requests at the old origin.
func gaps(rounds []*round, fleet bool) (s report.Series) {
	for _, r := range rounds {
		if len(r.rates) == 0 {
			s = append(s, nil)
			continue
		}
		var out []float64
		sum := 0.0
		for _, rate := range r.rates {
			out, sum = append(out, 1/max(rate, 1)), sum+rate
		}
		if fleet {
			out = []float64{1 / max(sum, 1)}
		}
		s = append(s, out)
	}
	return s
}

func mean(rounds []*round, of func(Sum) float64) float64 { return report.Mean(sums(rounds, of).All()) }

func (b *bench) capacityLine() {
	c := map[string]any{"services": 1, "proxies": b.proxies}
	l := report.NewLine(b.cf.name(), "capacity", "requests/s", c, report.Series{{b.capacity}})
	l.Note = fmt.Sprintf("all proxies, origins and load generator on this machine; the load of the cases is %.0f/s for each proxy, %.0f %% of it",
		b.perProxy, b.perProxy*float64(b.proxies)/b.capacity*100)
	b.r.Add(l)
}
