package guard

import (
	"fmt"
	"time"
)

// Verdict is what a guard says.
type Verdict string

// The verdicts. Only Fail ends a rollout; Inconclusive and Error hold its step.
const (
	Pass         Verdict = "Pass"
	Fail         Verdict = "Fail"
	Inconclusive Verdict = "Inconclusive"
	Error        Verdict = "Error"
)

// Result is what a guard says after an observation.
type Result struct {
	Guard    string        `json:"guard"`
	Verdict  Verdict       `json:"verdict"`
	Code     string        `json:"code"`     // why, for machines: see the codes below
	Value    float64       `json:"value"`    // a share (errorRate), seconds (latencies), requests, or a ratio, at most 1000; 0 if nothing is known
	Limit    float64       `json:"limit"`    // of the same kind
	Samples  uint64        `json:"samples"`  // requests of the candidate in Window
	Window   time.Duration `json:"window"`   // what Value covers: less than asked for at the start of a step, and where a short time shows it
	Evidence float64       `json:"evidence"` // against the candidate, in parts of what a Fail needs: 1 and more suffices
	Discount float64       `json:"discount"` // the evidence is that of so many times fewer requests, since bad ones come in clumps; at least 1
	Message  string        `json:"message"`  // a sentence for people
	Next     string        `json:"next,omitempty"`
}

// The codes of results.
const (
	CodeOK        = "ok"            // Pass
	CodeLimit     = "limit"         // Fail: beyond the limit, and that is no chance
	CodeOver      = "over"          // Inconclusive: beyond the limit, which may be chance
	CodeSuspicion = "suspicion"     // Inconclusive: within the limit now, but with half of the evidence for a Fail
	CodeNoTraffic = "no_traffic"    // Inconclusive: no requests at the candidate
	CodeFew       = "few_requests"  // Inconclusive
	CodeSettling  = "settling"      // Inconclusive: the step has just begun
	CodeNoControl = "no_comparison" // Inconclusive: the other origin has too few requests, or its histogram is too coarse for the ratio
	CodeCoarse    = "coarse"        // Inconclusive: the limit is inside of a bucket
	CodeSilent    = "silent"        // Inconclusive: connected proxies report nothing
	CodeUnusable  = "unusable"      // Error
)

// result is a result without figures.
func (g *Guard) result(s *State, v Verdict, message string) Result {
	limit := g.limit
	if g.ratio > 0 {
		limit = g.ratio
	}
	return Result{Guard: g.name, Verdict: v, Code: CodeUnusable, Limit: limit, Discount: 1, Message: g.name + ": " + message}
}

// judge says what is so after an observation.
func (g *Guard) judge(s *State, p *Pair, m sample) Result {
	span := s.lastOf(g.window)
	r := g.read(s, &span)
	out := g.result(s, Inconclusive, "")
	fails := s.Over >= g.failures
	if now := s.lastOf(recent); fails && !r.over {
		if short := g.read(s, &now); short.over {
			span, r = now, short
		}
	}
	out.Value, out.Samples, out.Window = r.value, r.samples, span.Length
	if g.metric != Requests {
		out.Discount = s.Past.discount(g.ratio > 0)
		if out.Evidence = g.budget.part(s.Strict.total()) / s.Peaks.needed(); g.enough(s) {
			out.Evidence = max(out.Evidence, 1)
		} else {
			out.Evidence = min(out.Evidence, 0.999)
		}
	}
	if fails {
		out.Verdict = Fail
	}
	out.Code, out.Message, out.Next = g.why(s, p, &m, &r, &out)
	if out.Code == CodeOK {
		out.Verdict = Pass
	}
	out.Message = g.name + ": " + out.Message
	return out
}

// why finds the code, and says it in words. Only what makes a Pass impossible stands before it.
func (g *Guard) why(s *State, p *Pair, m *sample, r *reading, out *Result) (code, message, next string) {
	last := "in the last " + short(out.Window)
	what := g.says(r, last)
	switch {
	case out.Verdict == Fail:
		return CodeLimit, fmt.Sprintf("%s, and that is no chance", what), ""
	case r.samples == 0:
		return CodeNoTraffic, "no requests " + last, "look whether the split leads requests there, and whether proxies report"
	case g.metric == Requests && r.samples < uint64(g.limit):
		return CodeFew, what, "wait, give it more traffic, or lower min"
	case p.Candidate.Silent > 0 || g.ratio > 0 && p.Control.Silent > 0:
		return CodeSilent, fmt.Sprintf("%d connected proxies report nothing", max(p.Candidate.Silent, p.Control.Silent)), "see `shadowctl fleet`"
	case g.metric == Requests:
		return CodeOK, what, ""
	case s.Step < g.settle:
		return CodeSettling, fmt.Sprintf("the step began %s ago, and latencies settle for %s", short(s.Step), short(g.settle)), ""
	case r.samples < g.requests:
		return CodeFew, fmt.Sprintf("%d requests %s, and %d are needed", r.samples, last, g.requests), "wait, or write a longer window or a lower minRequests"
	case m.held != "":
		return CodeNoControl, m.held, "write a larger maxRatio, a longer window, or max in place of it"
	case r.over:
		return CodeOver, fmt.Sprintf("%s, which may still be chance", what), ""
	case r.coarse != "" && g.ratio > 0:
		return CodeNoControl, r.coarse, "write max in place of maxRatio"
	case r.coarse != "":
		return CodeCoarse, r.coarse, "write a limit at the end of that bucket"
	case out.Evidence >= 0.5:
		return CodeSuspicion, fmt.Sprintf("%s, but not long ago it was worse", what), ""
	}
	return CodeOK, what, ""
}

// says is the value beside its limit.
func (g *Guard) says(r *reading, last string) string {
	parts := ""
	if r.parts != "" {
		parts = " (" + r.parts + ")"
	}
	name := string(g.metric)
	if g.metric == ErrorRate {
		name = "error rate"
	}
	switch {
	case g.metric == Requests:
		return fmt.Sprintf("%d requests %s, of at least %.0f", r.samples, last, g.limit)
	case g.ratio > 0 && r.value >= mostRatio:
		return fmt.Sprintf("%s far above that of %s %s%s, limit %g times", name, g.against, last, parts, g.ratio)
	case g.ratio > 0:
		return fmt.Sprintf("%s %.2f times that of %s %s%s, limit %g times", name, r.value, g.against, last, parts, g.ratio)
	case g.metric == ErrorRate:
		return fmt.Sprintf("error rate %.3g %% %s%s, limit %.3g %%", 100*r.value, last, parts, 100*g.limit)
	}
	return fmt.Sprintf("%s %s %s%s, limit %s", name, short(seconds(r.value)), last, parts, short(g.duration))
}

// Brief is the value of a result and its limit, in few words: "0.1 % of 0.5 %".
func (g *Guard) Brief(r *Result) string {
	switch {
	case g.metric == Requests:
		return fmt.Sprintf("%.0f of %.0f", r.Value, r.Limit)
	case g.ratio > 0:
		return fmt.Sprintf("%.2f of %g times", r.Value, r.Limit)
	case g.metric == ErrorRate:
		return fmt.Sprintf("%.3g %% of %.3g %%", 100*r.Value, 100*r.Limit)
	}
	return fmt.Sprintf("%s of %s", short(seconds(r.Value)), short(g.duration))
}

// short writes a duration with three digits at most.
func short(d time.Duration) string {
	for _, unit := range []time.Duration{time.Minute, time.Second, 100 * time.Millisecond, 10 * time.Millisecond, time.Millisecond} {
		if d >= 100*unit {
			return d.Round(unit).String()
		}
	}
	return d.Round(100 * time.Microsecond).String()
}
