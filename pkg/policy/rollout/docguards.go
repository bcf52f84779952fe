package rollout

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
)

// Bounds and defaults of guards that ask Prometheus.
const (
	DefaultEvery    = 10 * time.Second
	MinEvery        = time.Second
	DefaultFailures = 3    // answers in a row beyond the limit
	MaxQueryBytes   = 4096 // of the question
)

// Query is a guard that asks Prometheus.
type Query struct {
	Name     string        // of the guard
	Server   string        // of the settings
	Query    string        // in PromQL
	Every    time.Duration // how often it is asked
	Min, Max *float64      // what the answer may be; nil: no such limit
	Failures int           // answers in a row beyond a limit that are a Fail; fewer are Inconclusive
}

// Within says whether an answer keeps the limits. What is not a number does not.
func (q *Query) Within(v float64) bool {
	return v == v && (q.Min == nil || v >= *q.Min) && (q.Max == nil || v <= *q.Max)
}

// duration reads a duration.
func (c *checker) duration(field string, d *durationpb.Duration, def, least time.Duration) time.Duration {
	v, found := policy.ReadDuration(field, d, def, least)
	c.found = append(c.found, found...)
	return v
}

// guards reads the guards.
func (r *reader) guards() {
	if n := len(r.doc.GetGuards()); n > MaxGuards {
		r.add("guards", "too_many", fmt.Sprint(n), fmt.Sprintf("too many guards: at most %d are allowed", MaxGuards), "")
		return
	}
	for i, g := range r.doc.GetGuards() {
		at := fmt.Sprintf("guards[%d].", i)
		plan := PlanGuard{Name: g.GetName()}
		switch {
		case r.kinds(at, g) != 1: // it was said
		case g.GetMetric() != "":
			r.metric(at, i, g, &plan)
		case g.GetMirror() != "":
			r.unused(at, g, "a mirror's verdict has limits of its own", "max", "min", "maxRatio", "against", "window", "minRequests", "failures", "settle")
			plan.Mirror = g.GetMirror()
			r.out.Mirrors[g.GetName()] = g.GetMirror()
		default:
			plan.Query = r.query(at, g)
			plan.Window = plan.Query.Every
			r.out.Queries = append(r.out.Queries, plan.Query)
		}
		r.out.Plan.Guards = append(r.out.Plan.Guards, plan)
	}
}

// kinds returns at how many things a guard looks, and says so if it is not one.
func (r *reader) kinds(at string, g *crossfadev1.RolloutGuard) int {
	var given []string
	for _, k := range []struct {
		name string
		is   bool
	}{{"metric", g.GetMetric() != ""}, {"mirror", g.GetMirror() != ""}, {"prometheus", g.GetPrometheus() != nil}} {
		if k.is {
			given = append(given, k.name)
		}
	}
	switch {
	case len(given) == 0:
		r.add(at+"metric", "guard_empty", "", "a guard looks at a metric, at a mirror experiment, or at a query of Prometheus", "write for example metric: errorRate, with max: 0.5%")
	case len(given) > 1:
		r.add(at+given[1], "guard_twice", "", "a guard looks at one thing, and this one has "+strings.Join(given, " and "), "make two guards of it")
	}
	return len(given)
}

// unused refuses fields that mean nothing for a guard of this kind.
func (r *reader) unused(at string, g *crossfadev1.RolloutGuard, why string, fields ...string) {
	given := map[string]bool{
		"max": g.GetMax() != "", "min": g.GetMin() != "", "maxRatio": g.GetMaxRatio() != 0, "against": g.GetAgainst() != "", "window": g.GetWindow() != nil,
		"minRequests": g.GetMinRequests() != 0, "failures": g.GetFailures() != 0, "settle": g.GetSettle() != nil,
	}
	for _, f := range fields {
		if given[f] {
			r.add(at+f, "guard_field_unused", "", "means nothing here: "+why, "remove it")
		}
	}
}

func (r *reader) metric(at string, i int, g *crossfadev1.RolloutGuard, plan *PlanGuard) {
	s := guard.Spec{
		Name: g.GetName(), Metric: guard.Metric(g.GetMetric()), Max: g.GetMax(), Min: g.GetMin(), MaxRatio: g.GetMaxRatio(), Against: g.GetAgainst(),
		Requests: int(g.GetMinRequests()), Failures: int(g.GetFailures()),
	}
	s.Window = r.duration(at+"window", g.GetWindow(), guard.DefaultWindow, guard.MinWindow)
	if g.GetSettle() != nil {
		s.Settle = new(r.duration(at+"settle", g.GetSettle(), 0, 0))
	}
	plan.Window, plan.Relative, plan.Against = s.Window, s.MaxRatio != 0, s.Against
	r.out.Specs = append(r.out.Specs, s)
	r.out.at = append(r.out.at, i)
}

func (r *reader) query(at string, g *crossfadev1.RolloutGuard) *Query {
	r.unused(at, g, "a query says itself what it covers", "maxRatio", "against", "window", "minRequests", "settle")
	d := g.GetPrometheus()
	q := &Query{Name: g.GetName(), Server: d.GetServer(), Query: d.GetQuery(), Failures: int(g.GetFailures())}
	r.found = append(r.found, policy.CheckName(at+"prometheus.server", q.Server, "the Prometheus of the server's settings")...)
	switch {
	case strings.TrimSpace(q.Query) == "":
		r.add(at+"prometheus.query", "query_missing", "", "a question is needed, in PromQL, whose answer is one number", "write for example sum(rate(orders_lost_total[1m]))")
	case len(q.Query) > MaxQueryBytes:
		r.add(at+"prometheus.query", "too_long", "", fmt.Sprintf("has %d bytes; at most %d are allowed", len(q.Query), MaxQueryBytes), "make a recording rule of it")
	}
	q.Every = r.duration(at+"prometheus.every", d.GetEvery(), DefaultEvery, MinEvery)
	if q.Every > guard.MaxWindow {
		r.add(at+"prometheus.every", "duration_too_long", q.Every.String(), fmt.Sprintf("must be %s to %s", MinEvery, guard.MaxWindow), "")
	}
	q.Max, q.Min = r.number(at+"max", g.GetMax()), r.number(at+"min", g.GetMin())
	switch {
	case g.GetMax() == "" && g.GetMin() == "":
		r.add(at+"max", "limit_missing", "", "a guard needs a limit", "write max or min, a number that the answer may be")
	case q.Max != nil && q.Min != nil && *q.Min > *q.Max:
		r.add(at+"min", "limits_crossed", g.GetMin(), fmt.Sprintf("is above max (%s): no answer would pass", g.GetMax()), "")
	}
	if q.Failures == 0 {
		q.Failures = DefaultFailures
	}
	if q.Failures < 1 || q.Failures > guard.MaxFailures {
		r.add(at+"failures", "out_of_range", fmt.Sprint(q.Failures), fmt.Sprintf("must be 1 to %d", guard.MaxFailures), fmt.Sprintf("leave it out for the default of %d", DefaultFailures))
	}
	return q
}

// number reads a limit of a query; nil if there is none.
func (r *reader) number(field, text string) *float64 {
	if text == "" {
		return nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || strings.Trim(text, "0123456789+-.eE") != "" {
		r.add(field, "limit_invalid", text, "must be a number, without a unit: that of the query's answer", "write for example 0.005")
		return nil
	}
	return &v
}
