package rollout

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
)

func seconds(n float64) *durationpb.Duration {
	return durationpb.New(time.Duration(n * float64(time.Second)))
}

// asked is a document with a guard of each kind: 0 and 1 are of metrics, 2 of a mirror, 3 of Prometheus, 4 relative.
func asked(change ...func(*crossfadev1.Rollout)) *crossfadev1.Rollout {
	doc := &crossfadev1.Rollout{
		ApiVersion: policy.APIVersion, Kind: policy.KindRollout, Name: "r1", Service: "orders", To: "eks",
		Steps: []*crossfadev1.RolloutStep{
			{Weight: 1000, Bake: seconds(60), MinRequests: new(int64(50))},
			{Weight: 5000, Gate: &crossfadev1.RolloutGate{Approval: &crossfadev1.RolloutApproval{Role: "approver", NotStarter: true}}},
			{Weight: 10_000},
		},
		Guards: []*crossfadev1.RolloutGuard{
			{Name: "errors", Metric: "errorRate", Max: "0.5%"},
			{Name: "slow", Metric: "p99", Max: "10s", Window: seconds(30), Settle: seconds(0), MinRequests: 5, Failures: 2},
			{Name: "same", Mirror: "m1"},
			{Name: "lost", Prometheus: &crossfadev1.RolloutQuery{Server: "main", Query: "sum(rate(lost_total[1m]))"}, Max: "0.5", Min: "-1"},
			{Name: "slower", Metric: "p90", MaxRatio: 1.5},
		},
		MinRequests: 20,
	}
	for _, c := range change {
		c(doc)
	}
	return doc
}

// there is a world in which [asked] may start.
func there() *World {
	w := here()
	w.Starter = "bob"
	w.Server = func(name string) error {
		if name != "main" {
			return &policy.Error{Kind: policy.Invalid, Code: "no_such", Message: "the settings have main"}
		}
		return nil
	}
	w.Hook = func(url string) error {
		if !strings.HasPrefix(url, "https://hooks.test/") {
			return errors.New("only https://hooks.test/ is allowed")
		}
		return nil
	}
	return w
}

func TestADocumentBecomesAPlan(t *testing.T) {
	doc := asked()
	before := proto.CloneOf(doc)
	c, errs := Compile(doc)
	if errs != nil {
		t.Fatal(errs)
	}
	p, guards, errs := c.For(there())
	if errs != nil {
		t.Fatal(errs)
	}
	query := &Query{Name: "lost", Server: "main", Query: "sum(rate(lost_total[1m]))", Every: 10 * time.Second, Min: new(-1.0), Max: new(0.5), Failures: 3}
	want := &Plan{
		Name: "r1", Service: "orders", From: "ecs", To: "eks", Primary: "ecs", Starter: "bob",
		Steps: []PlanStep{
			{Weight: 1000, Bake: time.Minute, MinRequests: 50},
			{Weight: 5000, Bake: 5 * time.Minute, MinRequests: 20, Gate: &Gate{Role: "approver", NotStarter: true}},
			{Weight: 10_000, Bake: 5 * time.Minute, MinRequests: 20},
		},
		Guards: []PlanGuard{
			{Name: "errors", Window: guard.DefaultWindow},
			{Name: "slow", Window: 30 * time.Second},
			{Name: "same", Mirror: "m1"},
			{Name: "lost", Window: 10 * time.Second, Query: query},
			{Name: "slower", Window: guard.DefaultWindow, Relative: true, Against: "ecs"},
		},
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got  %+v\nwant %+v", p, want)
	}
	if len(guards) != 3 || guards[1].Name() != "slow" || guards[2].Against() != "ecs" || guards[0].Against() != "" {
		t.Errorf("guards: %+v", guards)
	}
	if c.Mirrors["same"] != "m1" || len(c.Queries) != 1 || !reflect.DeepEqual(c.Queries[0], query) || len(c.Specs) != 3 || c.Plan.From != "" || c.Lease != 0 {
		t.Errorf("%+v", c)
	}
	if !proto.Equal(doc, before) {
		t.Error("the document was changed")
	}
	if p.Failure() != BackAtOnce || p.retention() != DefaultRetention || p.backPause() != DefaultBackPause {
		t.Errorf("defaults: %s %s %s", p.Failure(), p.retention(), p.backPause())
	}
}

func TestWhatADocumentMayLeaveOutOrWriteOtherwise(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*crossfadev1.Rollout)
		holds  func(*Compiled) bool
	}{
		"a preset with the bake and the requests of all": {func(d *crossfadev1.Rollout) { d.Steps, d.Preset, d.Bake = nil, "10,50", seconds(60) }, func(c *Compiled) bool {
			return reflect.DeepEqual(c.Plan.Steps, []PlanStep{{Weight: 1000, Bake: time.Minute, MinRequests: 20}, {Weight: 5000, Bake: time.Minute, MinRequests: 20}})
		}},
		"a step without requests":         {func(d *crossfadev1.Rollout) { d.Steps[0].MinRequests = new(int64(0)) }, func(c *Compiled) bool { return c.Plan.Steps[0].MinRequests == 0 }},
		"no retention":                    {func(d *crossfadev1.Rollout) { d.Retention = seconds(0) }, func(c *Compiled) bool { return c.Plan.Retention < 0 && c.Plan.retention() == 0 }},
		"a retention":                     {func(d *crossfadev1.Rollout) { d.Retention = seconds(60) }, func(c *Compiled) bool { return c.Plan.retention() == time.Minute }},
		"gradual, with a pause":           {func(d *crossfadev1.Rollout) { d.OnFailure, d.BackPause = "gradual", seconds(3) }, func(c *Compiled) bool { return c.Plan.backPause() == 3*time.Second }},
		"a hook":                          {func(d *crossfadev1.Rollout) { d.Hook = &crossfadev1.RolloutHook{Url: "https://hooks.test/x"} }, func(c *Compiled) bool { return c.Plan.Hook == "https://hooks.test/x" }},
		"against an origin that is named": {func(d *crossfadev1.Rollout) { d.Guards[4].Against = "ecs" }, func(c *Compiled) bool { return c.Specs[2].Against == "ecs" }},
		"a query with one limit":          {func(d *crossfadev1.Rollout) { d.Guards[3].Max = "" }, func(c *Compiled) bool { return c.Queries[0].Max == nil && *c.Queries[0].Min == -1 }},
		"no guards":                       {func(d *crossfadev1.Rollout) { d.Guards = nil }, func(c *Compiled) bool { return len(c.Plan.Guards) == 0 && c.Specs == nil }},
		"a run that somebody wrote":       {func(d *crossfadev1.Rollout) { d.Run = &crossfadev1.RolloutRun{Id: "no run", From: "?"} }, func(c *Compiled) bool { return c.Plan.ID == "" && c.Plan.From == "" }},
		"a lease":                         {func(d *crossfadev1.Rollout) { d.Run = &crossfadev1.RolloutRun{Lease: seconds(60)} }, func(c *Compiled) bool { return c.Lease == time.Minute }},
		"a year of steps": {func(d *crossfadev1.Rollout) {
			d.Steps, d.Preset, d.Bake = nil, "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,100", durationpb.New(MaxBake)
		}, func(c *Compiled) bool { return len(c.Plan.Steps) == 21 }},
	} {
		compiled, errs := Compile(asked(c.change))
		if errs != nil || !c.holds(compiled) {
			t.Errorf("%s: %+v, %v", name, compiled, errs)
			continue
		}
		if _, _, errs := compiled.For(there()); errs != nil {
			t.Errorf("%s: %v", name, errs)
		}
	}
}

func codes(errs policy.Errors) (out []string) {
	for _, e := range errs {
		out = append(out, strings.TrimSpace(e.Code+" "+e.Field))
	}
	return out
}

func TestCompileRefuses(t *testing.T) {
	for name, bad := range badDocuments() {
		c, errs := Compile(asked(bad.change))
		if c != nil || !slices.Equal(codes(errs), bad.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", name, codes(errs), bad.want)
		}
		for _, e := range errs {
			if e.Kind != policy.Invalid || e.Message == "" || strings.Contains(e.Error(), "secret") || strings.Contains(e.Error(), openFrom+",") {
				t.Errorf("%s: %+v", name, e)
			}
		}
	}
	if _, errs := Compile(nil); !slices.Equal(codes(errs), []string{"document_empty"}) {
		t.Error(errs)
	}
}

func TestWhatAWorldRefuses(t *testing.T) {
	toPrimary := func(d *crossfadev1.Rollout) { d.To = "ecs" }
	hook := func(d *crossfadev1.Rollout) { d.Hook = &crossfadev1.RolloutHook{Url: "https://other.test/x"} }
	none := func(*crossfadev1.Rollout) {}
	for name, c := range map[string]struct {
		change func(*crossfadev1.Rollout)
		world  func(*World)
		want   string
	}{
		"no second origin":                 {none, func(w *World) { w.Origins, w.Primary = []string{"eks"}, "eks" }, "origin_alone to"},
		"no such origin":                   {func(d *crossfadev1.Rollout) { d.To, d.Guards = "gke", nil }, nil, "origin_unknown to"},
		"to the primary, from which?":      {toPrimary, nil, "from_missing from"},
		"against a third":                  {func(d *crossfadev1.Rollout) { d.Guards[4].Against = "old" }, nil, "against_idle guards[4].against"},
		"against nobody":                   {func(d *crossfadev1.Rollout) { d.Guards[4].Against = "gke" }, nil, "origin_unknown guards[4].against"},
		"a role that nobody has":           {none, func(w *World) { w.Roles = nil }, "role_empty steps[1].gate.approval.role"},
		"a role that only the starter has": {none, func(w *World) { w.Roles["approver"] = []string{"bob"} }, "role_only_starter steps[1].gate.approval.role"},
		"a role that only the starter has, by certificate": {none, func(w *World) {
			w.Roles["approver"], w.StarterName = []string{"spiffe://e.test/bob"}, "spiffe://e.test/bob"
		}, "role_only_starter steps[1].gate.approval.role"},
		"a mirror that is not there":    {none, func(w *World) { w.Mirrors = nil }, "mirror_unknown guards[2].mirror"},
		"a mirror of another service":   {none, func(w *World) { w.Mirrors["m1"] = Mirror{Service: "carts", Candidate: "eks"} }, "mirror_of_another guards[2].mirror"},
		"a mirror of another candidate": {none, func(w *World) { w.Mirrors["m1"] = Mirror{Service: "orders", Candidate: "ecs"} }, "mirror_of_another guards[2].mirror"},
		"a mirror in the dark":          {none, func(w *World) { w.Mirrors["m1"] = Mirror{Service: "orders", Candidate: "eks", Dark: true} }, "mirror_dark guards[2].mirror"},
		"a server that is not there":    {func(d *crossfadev1.Rollout) { d.Guards[3].Prometheus.Server = "other" }, nil, "no_such guards[3].prometheus.server"},
		"no servers at all":             {none, func(w *World) { w.Server = nil }, "server_unknown guards[3].prometheus.server"},
		"a hook that is not allowed":    {hook, nil, "hook_not_allowed hook.url"},
		"no hooks at all":               {hook, func(w *World) { w.Hook = nil }, "hook_not_allowed hook.url"},
		"another on its way":            {none, func(w *World) { w.Running = "r0" }, "rollout_running service"},
		"a first step below the split":  {none, func(w *World) { w.Share = map[string]int32{"ecs": 8000, "eks": 2000} }, "step_below_split steps[0].weight"},
		"a preset below the split": {
			func(d *crossfadev1.Rollout) { d.Steps, d.Preset = nil, "10,100" }, func(w *World) { w.Share = map[string]int32{"ecs": 8000, "eks": 2000} }, "step_below_split preset[0]",
		},
		"a rollback to the side that fails": {
			func(d *crossfadev1.Rollout) { toPrimary(d); d.From, d.OnFailure, d.Guards = "eks", "rollback", nil },
			func(w *World) { w.Share = map[string]int32{"eks": 10_000} }, "on_failure_reverse onFailure",
		},
	} {
		w := there()
		if c.world != nil {
			c.world(w)
		}
		compiled, errs := Compile(asked(c.change))
		if errs != nil {
			t.Errorf("%s: %v", name, errs)
			continue
		}
		p, guards, errs := compiled.For(w)
		if p != nil || guards != nil || !slices.Equal(codes(errs), []string{c.want}) {
			t.Errorf("%s: got %q, want %s", name, codes(errs), c.want)
		}
	}
}

func TestTheOriginThatTrafficMovesFrom(t *testing.T) {
	for _, c := range []struct{ to, from, primary, origins, want string }{
		{"eks", "", "ecs", "ecs eks", "ecs"}, {"eks", "", "ecs", "ecs eks old", "ecs"}, {"ecs", "", "ecs", "ecs eks", "eks"}, {"ecs", "old", "ecs", "ecs eks old", "old"},
	} {
		compiled, errs := Compile(asked(func(d *crossfadev1.Rollout) { d.To, d.From, d.Guards = c.to, c.from, d.Guards[:1] }))
		if errs != nil {
			t.Fatal(errs)
		}
		w := there()
		w.Primary, w.Origins, w.Share = c.primary, strings.Fields(c.origins), map[string]int32{c.want: 10_000}
		if p, _, errs := compiled.For(w); errs != nil || p.From != c.want || p.Primary != c.primary {
			t.Errorf("%+v: %+v, %v", c, p, errs)
		}
	}
}

func TestWithinTheLimitsOfAQuery(t *testing.T) {
	both := &Query{Min: new(-1.0), Max: new(0.5)}
	for v, want := range map[float64]bool{-1: true, 0.5: true, 0.51: false, -1.1: false, math.Inf(1): false} {
		if both.Within(v) != want {
			t.Errorf("%g: %t", v, !want)
		}
	}
	if both.Within(math.NaN()) || !(&Query{Min: new(1.0)}).Within(2) || (&Query{Max: new(1.0)}).Within(2) {
		t.Error(fmt.Sprint(both))
	}
}
