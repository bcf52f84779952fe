package guard

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// problems collects what is wrong, in the order of the fields.
type problems struct {
	found policy.Errors
	list  string // goes before each field
}

func (p *problems) add(field, code, value, message, next string) {
	if len(value) > 120 {
		value = strings.ToValidUTF8(value[:120], "") + "…"
	}
	p.found = append(p.found, &policy.Error{Kind: policy.Invalid, Code: code, Field: p.list + field, Value: value, Message: message, Next: next})
}

func itoa(n int) string { return strconv.Itoa(n) }

// plan checks what does not come from the guards' part of the document. It returns the budget of false rollbacks.
func (p *problems) plan(plan Plan) float64 {
	if plan.Steps < 1 || plan.Observed <= 0 || plan.Observed > policy.MaxDuration {
		p.add("steps", "steps_missing", "", "guards need a plan of at least one step that takes time", "write steps with a bake each")
	}
	switch f := plan.FalseRollbacks; {
	case f == 0:
		return DefaultFalseRollbacks
	case !(f >= 1e-6 && f <= 0.5):
		p.add("falseRollbacks", "out_of_range", fmt.Sprint(f), "must be 0.0001% to 50%", "leave it out for the default of 1%")
	}
	return plan.FalseRollbacks
}

func (p *problems) guard(s *Spec, plan Plan, names map[string]bool) *Guard {
	switch {
	case !policy.ValidName(s.Name):
		p.add("name", "name_invalid", s.Name, "a guard needs a name of lower-case letters, digits and dashes, with a letter or digit at both ends, of at most 63 characters", "")
	case names[s.Name]:
		p.add("name", "name_duplicate", s.Name, "two guards have this name", "give each guard a name of its own")
	}
	names[s.Name] = true
	g := &Guard{name: s.Name, metric: s.Metric, failures: 1, requests: DefaultMinRequests, window: DefaultWindow}
	if !slices.Contains([]Metric{P50, P90, P99, Mean, ErrorRate, Requests}, s.Metric) {
		p.add("metric", "metric_unknown", string(s.Metric), `must be "p50", "p90", "p99", "mean", "errorRate" or "requests"`, "")
		return g
	}
	p.limits(g, s, plan)
	p.times(g, s, plan)
	p.numbers(g, s)
	return g
}

// limits fills in what is allowed: exactly one of max, min and maxRatio.
func (p *problems) limits(g *Guard, s *Spec, plan Plan) {
	given := 0
	for _, is := range []bool{s.Max != "", s.Min != "", s.MaxRatio != 0} {
		if is {
			given++
		}
	}
	switch {
	case given == 0:
		p.add("max", "limit_missing", "", "a guard needs a limit", limitHint(s.Metric))
	case given > 1:
		p.add("max", "limit_twice", s.Max, "a guard has one limit: max, min or maxRatio", "make two guards of it")
	case s.Metric == Requests:
		p.floor(g, s)
	case s.Min != "":
		p.add("min", "min_not_allowed", s.Min, "only requests have a floor: no latency and no error rate is too low", "write max, or metric: requests")
	case s.MaxRatio != 0:
		p.ratio(g, s, plan)
	case s.Metric == ErrorRate:
		g.limit = p.percentage(s.Max)
	default:
		g.duration = p.latencyLimit(s.Max)
		g.limit = g.duration.Seconds()
	}
	if s.Against != "" && s.MaxRatio == 0 {
		p.add("against", "against_without_ratio", s.Against, "says what to compare with, but not how much worse is allowed", "write for example maxRatio: 1.2, or leave against out")
	}
}

func limitHint(m Metric) string {
	switch m {
	case ErrorRate:
		return "write for example max: 0.5%"
	case Requests:
		return "write for example min: 100"
	}
	return "write for example max: 500ms, or maxRatio: 1.2 with against"
}

func (p *problems) floor(g *Guard, s *Spec) {
	n, err := strconv.ParseUint(s.Min, 10, 32)
	switch {
	case s.Min == "":
		p.add("min", "limit_missing", "", "requests have a floor only", limitHint(Requests))
	case err != nil || n < 1 || n > MaxMinRequests:
		p.add("min", "out_of_range", s.Min, fmt.Sprintf("must be a number of requests in a window, 1 to %d", MaxMinRequests), limitHint(Requests))
	}
	g.limit = float64(n)
}

func (p *problems) ratio(g *Guard, s *Spec, plan Plan) {
	g.ratio, g.against = s.MaxRatio, s.Against
	switch {
	case !(s.MaxRatio >= MinRatio && s.MaxRatio <= MaxRatio):
		p.add("maxRatio", "out_of_range", fmt.Sprint(s.MaxRatio), fmt.Sprintf("must be %g to %g", MinRatio, MaxRatio), "write 1.2 for a fifth more than the other origin")
	case s.Metric.latency() && s.MaxRatio < FinestRatio:
		p.add("maxRatio", "ratio_too_fine", fmt.Sprint(s.MaxRatio), fmt.Sprintf("proxies measure latencies in steps of 10 %%, so a ratio below %g cannot be judged", FinestRatio), fmt.Sprintf("write at least %g", FinestRatio))
	}
	switch {
	case s.Against == "":
		p.add("against", "against_missing", "", "a ratio needs an origin to compare with", "name the other origin of the service")
	case s.Against == plan.Candidate:
		p.add("against", "against_itself", s.Against, "is where the rollout leads: an origin compared with itself shows nothing", "name the other origin of the service")
	case !slices.Contains(plan.Origins, s.Against):
		p.add("against", "origin_unknown", s.Against, "the service has no such origin", "name one of "+strings.Join(plan.Origins, ", "))
	}
}

// percentage reads "0.5%" as 0.005.
func (p *problems) percentage(text string) float64 {
	number, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	switch {
	case err != nil || strings.Trim(strings.TrimSpace(number), "0123456789.") != "":
		p.add("max", "limit_invalid", text, "is not a share of the requests", limitHint(ErrorRate))
		return 0
	case !percent:
		p.add("max", "limit_unit", text, "has no unit: it could be a share or per cent", fmt.Sprintf("write %s%%", number))
	case !(v >= 0.001 && v <= 99):
		p.add("max", "out_of_range", text, "must be 0.001% to 99%", "a limit of 0 would fail with the first request that fails, whatever the reason")
	}
	return v / 100
}

func (p *problems) latencyLimit(text string) time.Duration {
	text = strings.TrimSpace(text)
	d, err := time.ParseDuration(text)
	switch {
	case err != nil && strings.Trim(text, "0123456789.") == "":
		p.add("max", "limit_unit", text, "has no unit: it could be seconds or milliseconds", fmt.Sprintf("write %ss or %sms", text, text))
	case err != nil:
		p.add("max", "limit_invalid", text, "is not a duration", limitHint(P99))
	case d < time.Millisecond || d > time.Hour:
		p.add("max", "out_of_range", text, "must be 1ms to 1h: proxies measure latencies between these", "")
	}
	return d
}

func (p *problems) times(g *Guard, s *Spec, plan Plan) {
	if s.Window != 0 {
		g.window = s.Window
	}
	if g.window < MinWindow || g.window > MaxWindow {
		p.add("window", "out_of_range", g.window.String(), fmt.Sprintf("must be %s to %s", MinWindow, MaxWindow), fmt.Sprintf("leave it out for the default of %s", DefaultWindow))
	}
	if g.metric.latency() {
		g.settle = DefaultSettle
	}
	if s.Settle != nil {
		g.settle = *s.Settle
	}
	if g.settle < 0 || g.settle > MaxWindow {
		p.add("settle", "out_of_range", g.settle.String(), fmt.Sprintf("must be 0s to %s", MaxWindow), "leave it out for the default")
	} else if g.metric != Requests && plan.Observed > 0 && g.settle >= plan.Observed {
		p.add("settle", "settle_above_bake", g.settle.String(), "nothing would be looked at: the whole rollout takes no longer", "shorten it, or lengthen the bakes")
	}
}

func (p *problems) numbers(g *Guard, s *Spec) {
	if s.Requests != 0 {
		g.requests = uint64(max(s.Requests, 0))
	}
	if s.Requests < 0 || s.Requests > MaxMinRequests {
		p.add("minRequests", "out_of_range", itoa(s.Requests), fmt.Sprintf("must be 1 to %d", MaxMinRequests), fmt.Sprintf("leave it out for the default of %d", DefaultMinRequests))
	}
	if s.Failures != 0 {
		g.failures = s.Failures
	}
	if g.failures < 1 || g.failures > MaxFailures {
		p.add("failures", "out_of_range", itoa(s.Failures), fmt.Sprintf("must be 1 to %d", MaxFailures), "leave it out for the default of 1: evidence alone decides")
	}
}
