package guard

import (
	"errors"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

func TestBadGuardsAreRefused(t *testing.T) {
	minus := -time.Second
	long := 5 * time.Minute
	good := Spec{Name: "g", Metric: P99, Max: "10s"}
	for _, c := range []struct {
		name, field, code string
		change            func(s *Spec)
	}{
		{"no name", "guards[0].name", "name_invalid", func(s *Spec) { s.Name = "" }},
		{"a bad name", "guards[0].name", "name_invalid", func(s *Spec) { s.Name = "A b" }},
		{"no metric", "guards[0].metric", "metric_unknown", func(s *Spec) { s.Metric = "" }},
		{"another metric", "guards[0].metric", "metric_unknown", func(s *Spec) { s.Metric = "p95" }},
		{"no limit", "guards[0].max", "limit_missing", func(s *Spec) { s.Max = "" }},
		{"two limits", "guards[0].max", "limit_twice", func(s *Spec) { s.MaxRatio, s.Against = 2, "ecs" }},
		{"latency without a unit", "guards[0].max", "limit_unit", func(s *Spec) { s.Max = "10" }},
		{"latency that is none", "guards[0].max", "limit_invalid", func(s *Spec) { s.Max = "soon" }},
		{"latency in per cent", "guards[0].max", "limit_invalid", func(s *Spec) { s.Max = "5%" }},
		{"latency too short", "guards[0].max", "out_of_range", func(s *Spec) { s.Max = "10us" }},
		{"negative latency", "guards[0].max", "out_of_range", func(s *Spec) { s.Max = "-10s" }},
		{"rate without a unit", "guards[0].max", "limit_unit", func(s *Spec) { s.Metric, s.Max = ErrorRate, "0.5" }},
		{"rate that is none", "guards[0].max", "limit_invalid", func(s *Spec) { s.Metric, s.Max = ErrorRate, "NaN%" }},
		{"rate of nothing", "guards[0].max", "out_of_range", func(s *Spec) { s.Metric, s.Max = ErrorRate, "0%" }},
		{"rate of more than all", "guards[0].max", "out_of_range", func(s *Spec) { s.Metric, s.Max = ErrorRate, "101%" }},
		{"rate in seconds", "guards[0].max", "limit_invalid", func(s *Spec) { s.Metric = ErrorRate }},
		{"floor of a latency", "guards[0].min", "min_not_allowed", func(s *Spec) { s.Max, s.Min = "", "1s" }},
		{"requests with max", "guards[0].min", "limit_missing", func(s *Spec) { s.Metric = Requests }},
		{"requests of none", "guards[0].min", "out_of_range", func(s *Spec) { s.Metric, s.Max, s.Min = Requests, "", "0" }},
		{"ratio below 1", "guards[0].maxRatio", "out_of_range", func(s *Spec) { s.Max, s.MaxRatio, s.Against = "", 0.5, "ecs" }},
		{"ratio finer than the histogram", "guards[0].maxRatio", "ratio_too_fine", func(s *Spec) { s.Max, s.MaxRatio, s.Against = "", 1.05, "ecs" }},
		{"ratio to nobody", "guards[0].against", "against_missing", func(s *Spec) { s.Max, s.MaxRatio = "", 1.2 }},
		{"ratio to itself", "guards[0].against", "against_itself", func(s *Spec) { s.Max, s.MaxRatio, s.Against = "", 1.2, "eks" }},
		{"ratio to an unknown origin", "guards[0].against", "origin_unknown", func(s *Spec) { s.Max, s.MaxRatio, s.Against = "", 1.2, "gke" }},
		{"against without a ratio", "guards[0].against", "against_without_ratio", func(s *Spec) { s.Against = "ecs" }},
		{"window too short", "guards[0].window", "out_of_range", func(s *Spec) { s.Window = time.Millisecond }},
		{"window too long", "guards[0].window", "out_of_range", func(s *Spec) { s.Window = time.Hour }},
		{"negative settling", "guards[0].settle", "out_of_range", func(s *Spec) { s.Settle = &minus }},
		{"settling all of the time", "guards[0].settle", "settle_above_bake", func(s *Spec) { s.Settle = &long }},
		{"negative requests", "guards[0].minRequests", "out_of_range", func(s *Spec) { s.Requests = -1 }},
		{"negative failures", "guards[0].failures", "out_of_range", func(s *Spec) { s.Failures = -1 }},
	} {
		s := good
		c.change(&s)
		plan := usualPlan
		plan.Observed = 5 * time.Minute
		_, errs := Compile([]Spec{s}, plan)
		if len(errs) != 1 || errs[0].Field != c.field || errs[0].Code != c.code || errs[0].Kind != policy.Invalid {
			t.Errorf("%s: %v", c.name, errs.Err())
		}
	}
}

func TestBadPlansOfGuards(t *testing.T) {
	good := Spec{Name: "g", Metric: P99, Max: "10s"}
	if _, errs := Compile([]Spec{good, good}, usualPlan); len(errs) != 1 || errs[0].Code != "name_duplicate" || errs[0].Field != "guards[1].name" {
		t.Error(errs)
	}
	if _, errs := Compile(make([]Spec, MaxGuards+1), usualPlan); len(errs) != 1 || errs[0].Code != "too_many" {
		t.Error(errs)
	}
	if _, errs := Compile(nil, Plan{}); len(errs) != 1 || errs[0].Code != "steps_missing" {
		t.Error(errs)
	}
	plan := usualPlan
	plan.FalseRollbacks = 0.9
	if _, errs := Compile(nil, plan); len(errs) != 1 || errs[0].Field != "falseRollbacks" {
		t.Error(errs)
	}
	if guards, errs := Compile(usualGuards(), usualPlan); errs != nil || len(guards) != 5 {
		t.Error(errs)
	}
}

func TestStatesThatAreNone(t *testing.T) {
	for _, text := range []string{"", "{}", "null", `{"strict":{"logs":[1]}}`, `{"slots":[{"candidate":{"l":[[5,4,1]]}}]}`, `{"seen":-1}`} {
		_, err := ReadState([]byte(text))
		if e := (*policy.Error)(nil); !errors.As(err, &e) || e.Code != "guard_state" {
			t.Errorf("%s: %v", text, err)
		}
	}
}
