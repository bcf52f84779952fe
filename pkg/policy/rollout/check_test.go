package rollout

import (
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

func here() *World {
	return &World{
		Origins: []string{"ecs", "eks", "old"}, Primary: "ecs", Share: map[string]int32{"ecs": 10_000}, Roles: map[string][]string{"approver": {"ann", "bob"}, "owner": {"ann"}},
		Mirrors: map[string]Mirror{"m1": {Service: "orders", Candidate: "eks"}}, Hook: func(string) error { return nil },
	}
}

func TestGoodPlans(t *testing.T) {
	for _, change := range []func(*Plan){
		withHook, reversed, onFailure(Freeze), onFailure(BackInStep), func(p *Plan) { p.Guards = nil }, func(p *Plan) { p.Steps = p.Steps[:1]; p.Guards = p.Guards[1:] },
		func(p *Plan) { p.Retention = -1 },
	} {
		p, w := plan(change), here()
		if p.Reverse() {
			w.Share = map[string]int32{"eks": 10_000}
		}
		if found := Check(p, w); len(found) > 0 {
			t.Errorf("%+v: %v", p, found)
		}
	}
}

func TestBadPlans(t *testing.T) {
	step := func(i int, change func(*PlanStep)) func(*Plan, *World) {
		return func(p *Plan, _ *World) { change(&p.Steps[i]) }
	}
	hook := func(url string) func(*Plan, *World) { return func(p *Plan, _ *World) { p.Hook = url } }
	for _, c := range []struct {
		code, field string
		change      func(*Plan, *World)
	}{
		{"name_missing", "name", func(p *Plan, _ *World) { p.Name = "" }},
		{"name_invalid", "service", func(p *Plan, _ *World) { p.Service = "a b" }},
		{"name_missing", "to", func(p *Plan, _ *World) { p.To = "" }},
		{"origin_unknown", "to", func(p *Plan, _ *World) { p.To = "gke" }},
		{"origin_unknown", "from", func(p *Plan, _ *World) { p.From = "gke" }},
		{"origin_same", "from", func(p *Plan, _ *World) { p.From = "eks" }},
		{"origin_not_primary", "to", func(p *Plan, _ *World) { p.From = "old" }},
		{"on_failure_unknown", "onFailure", func(p *Plan, _ *World) { p.OnFailure = "panic" }},
		{"on_failure_reverse", "onFailure", func(p *Plan, w *World) { reversed(p); p.OnFailure = BackAtOnce }},
		{"steps_empty", "steps", func(p *Plan, _ *World) { p.Steps = nil }},
		{"too_many", "steps", func(p *Plan, _ *World) { p.Steps = make([]PlanStep, MaxSteps+1) }},
		{"weight_range", "steps[0].weight", step(0, func(s *PlanStep) { s.Weight = 0 })},
		{"weight_range", "steps[2].weight", step(2, func(s *PlanStep) { s.Weight = policy.Whole + 1 })},
		{"steps_order", "steps[1].weight", step(1, func(s *PlanStep) { s.Weight = 1000 })},
		{"steps_order", "steps[2].weight", step(2, func(s *PlanStep) { s.Weight = 4999 })},
		{"bake_too_short", "steps[0].bake", step(0, func(s *PlanStep) { s.Bake = 0 })},
		{"bake_too_short", "steps[0].bake", step(0, func(s *PlanStep) { s.Bake = -time.Hour })},
		{"duration_too_long", "steps[0].bake", step(0, func(s *PlanStep) { s.Bake = MaxBake + 1 })},
		{"bake_below_window", "steps[1].bake", step(1, func(s *PlanStep) { s.Bake = 1500 * time.Millisecond })},
		{"out_of_range", "steps[0].minRequests", step(0, func(s *PlanStep) { s.MinRequests = -1 })},
		{"role_missing", "steps[1].gate.approval.role", step(1, func(s *PlanStep) { s.Gate = &Gate{} })},
		{"role_empty", "steps[1].gate.approval.role", step(1, func(s *PlanStep) { s.Gate = &Gate{Role: "pope"} })},
		{"role_only_starter", "steps[1].gate.approval.role", step(1, func(s *PlanStep) { s.Gate = &Gate{Role: "owner", NotStarter: true} })},
		{"name_missing", "guards[0].name", func(p *Plan, _ *World) { p.Guards[0].Name = "" }},
		{"name_twice", "guards[1].name", func(p *Plan, _ *World) { p.Guards[1].Name = "err" }},
		{"against_missing", "guards[1].against", func(p *Plan, _ *World) { p.Guards[1].Against = "" }},
		{"against_itself", "guards[1].against", func(p *Plan, _ *World) { p.Guards[1].Against = "eks" }},
		{"against_idle", "guards[1].against", func(p *Plan, _ *World) { p.Guards[1].Against = "old" }},
		{"origin_unknown", "guards[1].against", func(p *Plan, _ *World) { p.Guards[1].Against = "gke" }},
		{"guards_only_relative", "guards", func(p *Plan, _ *World) { p.Guards = p.Guards[1:] }},
		{"too_many", "guards", func(p *Plan, _ *World) { p.Guards = make([]PlanGuard, MaxGuards+1) }},
		{"out_of_range", "backPause", func(p *Plan, _ *World) { p.BackPause = -1 }},
		{"duration_too_long", "retention", func(p *Plan, _ *World) { p.Retention = MaxRetention + 1 }},
		{"hook_url", "hook.url", hook("hooks.test/x")},
		{"hook_url", "hook.url", hook("ftp://hooks.test/x")},
		{"hook_url", "hook.url", hook("https://")},
		{"hook_url", "hook.url", hook("https:hooks.test")},
		{"hook_url", "hook.url", hook("http://[::1")},
		{"hook_credentials", "hook.url", hook("https://ann:secret@hooks.test/")},
		{"hook_fragment", "hook.url", hook("https://hooks.test/#x")},
		{"too_long", "hook.url", hook("https://hooks.test/" + strings.Repeat("x", maxHookBytes))},
		{"rollout_running", "service", func(_ *Plan, w *World) { w.Running = "r0" }},
		{"split_elsewhere", "to", func(_ *Plan, w *World) { w.Share = map[string]int32{"ecs": 9000, "old": 1000} }},
		{"step_below_split", "steps[0].weight", func(_ *Plan, w *World) { w.Share = map[string]int32{"ecs": 8000, "eks": 2000} }},
	} {
		p, w := plan(), here()
		if strings.HasPrefix(c.code, "bake_below") {
			p.Guards[0].Window = 2 * time.Second
		}
		c.change(p, w)
		found := Check(p, w)
		if len(found) != 1 || found[0].Code != c.code || found[0].Field != c.field || found[0].Message == "" {
			t.Errorf("%s at %s: found %v", c.code, c.field, found)
		}
		if strings.Contains(found.Error(), "secret") {
			t.Errorf("repeats a password: %v", found)
		}
	}
}

func TestLadders(t *testing.T) {
	for _, preset := range Presets() {
		steps, err := ParseLadder(preset, time.Minute, 100)
		p := plan(func(p *Plan) { p.Steps = steps })
		if err != nil || len(Check(p, here())) > 0 || steps[len(steps)-1].Weight != policy.Whole {
			t.Errorf("%s: %v %v", preset, err, Check(p, here()))
		}
	}
	steps, err := ParseLadder(" 0.5% , 10,100 % ", time.Minute, 0)
	if err != nil || steps[0].Weight != 50 || steps[1].Weight != 1000 || steps[2].Weight != policy.Whole {
		t.Errorf("%v %v", steps, err)
	}
	for bad, code := range map[string]string{"": "steps_empty", "10,x": "weight_invalid", "10,,50": "weight_invalid", "101": "weight_invalid", "-1": "weight_invalid", strings.Repeat("1,", 60): "too_many"} {
		if _, err := ParseLadder(bad, time.Minute, 0); len(err) == 0 || err[0].Code != code {
			t.Errorf("%q: %v, want %s", bad, err, code)
		}
	}
}

func TestTimetable(t *testing.T) {
	lines, end := Timetable(plan())
	if len(lines) != 3 || lines[1].Earliest != 3*time.Second || lines[1].Gate != "approver" || lines[2].Weight != policy.Whole || end != 9*time.Second {
		t.Errorf("%+v, end %s", lines, end)
	}
}
