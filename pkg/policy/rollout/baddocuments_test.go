package rollout

import (
	"math"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// badDocuments is what Compile refuses, by what is wrong.
func badDocuments() map[string]struct {
	change func(*crossfadev1.Rollout)
	want   []string // code and field of each error
} {
	type doc = crossfadev1.Rollout
	step := func(i int, change func(*crossfadev1.RolloutStep)) func(*doc) {
		return func(d *doc) { change(d.Steps[i]) }
	}
	g := func(i int, change func(*crossfadev1.RolloutGuard)) func(*doc) {
		return func(d *doc) { change(d.Guards[i]) }
	}
	hook := func(url string) func(*doc) { return func(d *doc) { d.Hook = &crossfadev1.RolloutHook{Url: url} } }
	return map[string]struct {
		change func(*doc)
		want   []string
	}{
		"another kind":                 {func(d *doc) { d.ApiVersion, d.Kind = "v2", "Mirror" }, []string{"api_version apiVersion", "kind kind"}},
		"bad names":                    {func(d *doc) { d.Name, d.Service, d.To = "", "A", "e/k" }, []string{"name_missing name", "name_invalid service", "name_invalid to"}},
		"from an origin to itself":     {func(d *doc) { d.From = "eks" }, []string{"origin_same from"}},
		"a bad origin":                 {func(d *doc) { d.From = "E" }, []string{"name_invalid from"}},
		"no steps":                     {func(d *doc) { d.Steps = nil }, []string{"steps_empty steps"}},
		"steps and a preset":           {func(d *doc) { d.Preset = "10,50" }, []string{"steps_twice preset"}},
		"too many steps":               {func(d *doc) { d.Steps = make([]*crossfadev1.RolloutStep, MaxSteps+1) }, []string{"too_many steps"}},
		"empty steps":                  {func(d *doc) { d.Steps = make([]*crossfadev1.RolloutStep, 2) }, []string{"weight_range steps[0].weight", "weight_range steps[1].weight"}},
		"steps out of order":           {step(1, func(s *crossfadev1.RolloutStep) { s.Weight = 1000 }), []string{"steps_order steps[1].weight"}},
		"over 100 %":                   {step(2, func(s *crossfadev1.RolloutStep) { s.Weight = 10_001 }), []string{"weight_range steps[2].weight"}},
		"less than nothing":            {step(0, func(s *crossfadev1.RolloutStep) { s.Weight = math.MinInt32 }), []string{"weight_range steps[0].weight"}},
		"a preset out of order":        {func(d *doc) { d.Steps, d.Preset = nil, "10,50,40" }, []string{"steps_order preset[2]"}},
		"a preset over 100 %":          {func(d *doc) { d.Steps, d.Preset = nil, "10,101" }, []string{"weight_invalid preset[1]"}},
		"a preset of nothing":          {func(d *doc) { d.Steps, d.Preset = nil, " " }, []string{"steps_empty preset"}},
		"a bake of none":               {step(0, func(s *crossfadev1.RolloutStep) { s.Bake = seconds(0) }), []string{"duration_too_short steps[0].bake"}},
		"a negative bake":              {step(0, func(s *crossfadev1.RolloutStep) { s.Bake = seconds(-1) }), []string{"duration_negative steps[0].bake"}},
		"an endless bake":              {step(0, func(s *crossfadev1.RolloutStep) { s.Bake = seconds(1e9) }), []string{"duration_too_long steps[0].bake"}},
		"a long bake":                  {func(d *doc) { d.Bake = durationpb.New(MaxBake + time.Second) }, []string{"duration_too_long bake"}},
		"a bake shorter than a window": {step(0, func(s *crossfadev1.RolloutStep) { s.Bake = seconds(29) }), []string{"bake_below_window steps[0].bake"}},
		"a bake shorter than a window, of all steps": {func(d *doc) { d.Bake = seconds(29) }, []string{"bake_below_window bake"}},
		"a bake in which nobody asks":                {func(d *doc) { d.Guards[3].Prometheus.Every = seconds(90) }, []string{"bake_below_window steps[0].bake"}},
		"negative requests":                          {func(d *doc) { d.MinRequests = -1 }, []string{"out_of_range minRequests"}},
		"negative requests of a step":                {step(0, func(s *crossfadev1.RolloutStep) { s.MinRequests = new(int64(-1)) }), []string{"out_of_range steps[0].minRequests"}},
		"a gate of nothing":                          {step(1, func(s *crossfadev1.RolloutStep) { s.Gate.Approval = nil }), []string{"gate_empty steps[1].gate"}},
		"a gate without a role":                      {step(1, func(s *crossfadev1.RolloutStep) { s.Gate.Approval.Role = "" }), []string{"role_missing steps[1].gate.approval.role"}},
		"a gate with a bad role":                     {step(1, func(s *crossfadev1.RolloutStep) { s.Gate.Approval.Role = "the boss" }), []string{"name_invalid steps[1].gate.approval.role"}},
		"another failure":                            {func(d *doc) { d.OnFailure = "panic" }, []string{"on_failure_unknown onFailure"}},
		"a pause of none":                            {func(d *doc) { d.OnFailure, d.BackPause = "gradual", seconds(0) }, []string{"duration_too_short backPause"}},
		"a pause that nobody makes":                  {func(d *doc) { d.BackPause = seconds(5) }, []string{"back_pause_unused backPause"}},
		"a negative retention":                       {func(d *doc) { d.Retention = seconds(-5) }, []string{"duration_negative retention"}},
		"an endless retention":                       {func(d *doc) { d.Retention = durationpb.New(MaxRetention + time.Hour) }, []string{"duration_too_long retention"}},
		"a hook of nothing":                          {hook(""), []string{"hook_url hook.url"}},
		"a hook that is no URL":                      {hook("hooks.test/x"), []string{"hook_url hook.url"}},
		"a hook with a password":                     {hook("https://ann:secret@hooks.test/"), []string{"hook_credentials hook.url"}},

		"too many guards":             {func(d *doc) { d.Guards = make([]*crossfadev1.RolloutGuard, MaxGuards+1) }, []string{"too_many guards"}},
		"a guard of nothing":          {func(d *doc) { d.Guards[1] = nil }, []string{"guard_empty guards[1].metric", "name_missing guards[1].name"}},
		"a guard of two things":       {g(2, func(g *crossfadev1.RolloutGuard) { g.Metric = "p99" }), []string{"guard_twice guards[2].mirror"}},
		"a guard of three":            {g(3, func(g *crossfadev1.RolloutGuard) { g.Mirror, g.Metric = "m1", "p99" }), []string{"guard_twice guards[3].mirror"}},
		"two of one name":             {g(3, func(g *crossfadev1.RolloutGuard) { g.Name = "errors" }), []string{"name_twice guards[3].name"}},
		"a name that is none":         {g(4, func(g *crossfadev1.RolloutGuard) { g.Name = "a b" }), []string{"name_invalid guards[4].name"}},
		"a rate without a unit":       {g(0, func(g *crossfadev1.RolloutGuard) { g.Max = "0.5" }), []string{"limit_unit guards[0].max"}},
		"a latency without a unit":    {g(1, func(g *crossfadev1.RolloutGuard) { g.Max = "10" }), []string{"limit_unit guards[1].max"}},
		"the last guard is named":     {g(4, func(g *crossfadev1.RolloutGuard) { g.MaxRatio = 1.01 }), []string{"ratio_too_fine guards[4].maxRatio"}},
		"a ratio that is no number":   {g(4, func(g *crossfadev1.RolloutGuard) { g.MaxRatio = math.NaN() }), []string{"out_of_range guards[4].maxRatio"}},
		"a ratio without an end":      {g(4, func(g *crossfadev1.RolloutGuard) { g.MaxRatio = math.Inf(1) }), []string{"out_of_range guards[4].maxRatio"}},
		"a ratio to itself":           {g(4, func(g *crossfadev1.RolloutGuard) { g.Against = "eks" }), []string{"against_itself guards[4].against"}},
		"a ratio of a rate and a max": {g(0, func(g *crossfadev1.RolloutGuard) { g.MaxRatio = 2 }), []string{"limit_twice guards[0].max"}},
		"only relative guards":        {func(d *doc) { d.Guards = d.Guards[4:] }, []string{"guards_only_relative guards"}},
		"a window of none":            {g(1, func(g *crossfadev1.RolloutGuard) { g.Window = seconds(0) }), []string{"duration_too_short guards[1].window"}},
		"an endless window":           {g(1, func(g *crossfadev1.RolloutGuard) { g.Window = seconds(601) }), []string{"bake_below_window steps[0].bake", "bake_below_window bake", "out_of_range guards[1].window"}},
		"a negative settling":         {g(1, func(g *crossfadev1.RolloutGuard) { g.Settle = seconds(-1) }), []string{"duration_negative guards[1].settle"}},
		"failures below none":         {g(1, func(g *crossfadev1.RolloutGuard) { g.Failures = -1 }), []string{"out_of_range guards[1].failures"}},
		"a mirror with a limit":       {g(2, func(g *crossfadev1.RolloutGuard) { g.Max, g.Failures = "1%", 2 }), []string{"guard_field_unused guards[2].max", "guard_field_unused guards[2].failures"}},
		"a mirror that is no name":    {g(2, func(g *crossfadev1.RolloutGuard) { g.Mirror = "a/b" }), []string{"name_invalid guards[2].mirror"}},
		"a query with a window":       {g(3, func(g *crossfadev1.RolloutGuard) { g.Window = seconds(10) }), []string{"guard_field_unused guards[3].window"}},
		"a query of nothing": {g(3, func(g *crossfadev1.RolloutGuard) { g.Prometheus, g.Max, g.Min = &crossfadev1.RolloutQuery{}, "", "" }), []string{
			"name_missing guards[3].prometheus.server", "query_missing guards[3].prometheus.query", "limit_missing guards[3].max",
		}},
		"a long query":              {g(3, func(g *crossfadev1.RolloutGuard) { g.Prometheus.Query = strings.Repeat("x", MaxQueryBytes+1) }), []string{"too_long guards[3].prometheus.query"}},
		"a query without a pause":   {g(3, func(g *crossfadev1.RolloutGuard) { g.Prometheus.Every = seconds(0.5) }), []string{"duration_too_short guards[3].prometheus.every"}},
		"a query in per cent":       {g(3, func(g *crossfadev1.RolloutGuard) { g.Max = "0.5%" }), []string{"limit_invalid guards[3].max"}},
		"a query up to no number":   {g(3, func(g *crossfadev1.RolloutGuard) { g.Max, g.Min = "NaN", "Inf" }), []string{"limit_invalid guards[3].max", "limit_invalid guards[3].min"}},
		"a query up to hexadecimal": {g(3, func(g *crossfadev1.RolloutGuard) { g.Max = "0x1p-2" }), []string{"limit_invalid guards[3].max"}},
		"a query up to too much":    {g(3, func(g *crossfadev1.RolloutGuard) { g.Max = "1e999" }), []string{"limit_invalid guards[3].max"}},
		"limits that cross":         {g(3, func(g *crossfadev1.RolloutGuard) { g.Min = "0.6" }), []string{"limits_crossed guards[3].min"}},
		"answers below none":        {g(3, func(g *crossfadev1.RolloutGuard) { g.Failures = 61 }), []string{"out_of_range guards[3].failures"}},
	}
}
