package rule

import (
	"strings"
	"testing"
	"time"
)

// at walks a path like "a.[*].b" and returns the action that decides there.
func at(v *View, path string) Action {
	s, r := v.Start()
	for step := range strings.SplitSeq(path, ".") {
		switch step {
		case "":
		case "[*]":
			s, r = v.Element(&s, r)
		default:
			s, r = v.Member(&s, []byte(step), r)
		}
	}
	if r == nil {
		return ""
	}
	return r.Action
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern  string
		hit, not []string
	}{
		{"$", []string{"", "a", "a.[*].b"}, nil},
		{"$.a", []string{"a", "a.b", "a.[*]"}, []string{"", "b", "b.a", "[*]"}},
		{"$.a[*].b", []string{"a.[*].b", "a.[*].b.c"}, []string{"a.b", "a", "a.[*]", "a.[*].[*].b"}},
		{"$.*.b", []string{"a.b", "x.b"}, []string{"[*].b", "b", "a.c"}},
		{"$.**.b", []string{"b", "a.b", "a.[*].x.b", "b.b"}, []string{"", "a", "a.c"}},
		{"$.**", []string{"", "a", "[*].b"}, nil},
		{"$.a.**.b.**.c", []string{"a.b.c", "a.x.b.[*].c", "a.b.b.c.c"}, []string{"a.c", "b.c", "a.b"}},
		{"$['a.b']['*']", []string{"a.b.*"}, nil},
		{"$[*][*]", []string{"[*].[*]"}, []string{"[*]", "a.[*]"}},
	} {
		rules, errs := Compile([]Rule{{Path: c.pattern, Action: Ignore}})
		if errs.Err() != nil {
			t.Fatal(errs)
		}
		v := rules.View(0)
		for _, p := range c.hit {
			if c.pattern != "$['a.b']['*']" && at(v, p) != Ignore {
				t.Errorf("%s does not match %s", c.pattern, p)
			}
		}
		for _, p := range c.not {
			if at(v, p) == Ignore {
				t.Errorf("%s matches %s", c.pattern, p)
			}
		}
	}
	rules, _ := Compile([]Rule{{Path: "$['a.b']['*']", Action: Ignore}})
	v := rules.View(0)
	s, r := v.Start()
	s, r = v.Member(&s, []byte("a.b"), r)
	if _, r = v.Member(&s, []byte("*"), r); r == nil {
		t.Error("names in brackets")
	}
}

func TestTheDeepestDecidesThenTheLast(t *testing.T) {
	rules, errs := Compile([]Rule{{Path: "$.a", Action: Ignore}, {Path: "$.a.b", Action: MustEqual}, {Path: "$.**.c", Action: Tolerate, Abs: 1}, {Path: "$.a.c", Action: Ignore}, {Path: "$.s", Action: Set}, {Path: "$.a.m", Action: Map}})
	if errs.Err() != nil {
		t.Fatal(errs)
	}
	v := rules.View(0)
	for path, want := range map[string]Action{"a": Ignore, "a.b": MustEqual, "a.b.x": MustEqual, "a.c": Ignore, "a.x.c": Tolerate, "x.c.d": Tolerate, "x": "", "s": Set, "s.[*]": "", "a.m": Map, "a.m.x": ""} {
		if got := at(v, path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	s, r := v.Start()
	s, r = v.Member(&s, []byte("a"), r)
	if v.Prunes(&s, r) {
		t.Error("a rule below is not seen")
	}
	if s, r = v.Member(&s, []byte("zzz"), r); v.Prunes(&s, r) {
		t.Error("$.**.c may still match below")
	}
	var none *View
	if s, r := none.Start(); s.Live() || r != nil || none.Prunes(&s, r) || none.Header("a") != nil || none.Status() != nil || none.Body() != nil || none.Trailer("a") != nil {
		t.Error("no rules")
	}
}

func TestEndpoints(t *testing.T) {
	rules, errs := Compile([]Rule{{Endpoint: "/orders/{id}", Path: "status", Action: Ignore}, {Endpoint: "/", Path: "body", Action: Ignore}, {Path: "header:X-A", Action: Ignore}, {Path: "trailer:x-a", Action: MustEqual}})
	if errs.Err() != nil {
		t.Fatal(errs)
	}
	for path, want := range map[string]uint64{"/orders/17": 1, "/orders/17?x=/": 1, "/orders": 0, "/orders/17/items": 0, "/": 2, "": 0, "/other/17": 0} {
		if got := rules.Mask(path); got != want {
			t.Errorf("%s: %b", path, got)
		}
	}
	if v := rules.View(1); v.Status() == nil || v.Body() != nil || v.Header("x-a") == nil || v.Trailer("x-a").Action != MustEqual {
		t.Error("rules of an endpoint")
	}
	if v := rules.View(0); v.Status() != nil || v.Header("x-a") == nil {
		t.Error("rules of all")
	}
}

func TestTolerances(t *testing.T) {
	for _, c := range []struct {
		rule   Rule
		a, b   string
		number bool
		want   bool
	}{
		{Rule{Abs: 0.5}, "1", "1.5", true, true},
		{Rule{Abs: 0.5}, "1", "1.6", true, false},
		{Rule{Abs: 0.5}, "1", "1.5", false, false},
		{Rule{Rel: 0.1}, "-100", "-91", true, true},
		{Rule{Rel: 0.1}, "1", "-1", true, false},
		{Rule{Abs: 1}, "1e400", "1e400", true, false},
		{Rule{Window: time.Minute}, "2024-01-31T00:00:00Z", "2024-01-31T01:00:59+01:00", false, true},
		{Rule{Window: time.Minute}, "2024-01-31T00:00:00Z", "2024-01-31T00:01:01Z", false, false},
		{Rule{Window: time.Minute}, "1700000000", "1700000059", true, true},
		{Rule{Window: time.Minute}, "1700000000000", "1700000060001", true, false},
		{Rule{Window: time.Minute}, "17", "18", true, false},
		{Rule{Window: time.Minute}, "yesterday", "today", false, false},
		{Rule{Pattern: "uuid"}, "550e8400-e29b-41d4-a716-446655440000", "650e8400-e29b-41d4-a716-446655440000", false, true},
		{Rule{Pattern: "uuid"}, "550e8400-e29b-41d4-a716-446655440000", "none", false, false},
		{Rule{Pattern: "time"}, "2024-01-31", "1700000000", false, true},
		{Rule{Pattern: "id"}, "ord-1", "ord-2", false, true},
		{Rule{Pattern: "a+"}, "aa", "aaab", false, false},
		{Rule{Pattern: "hex"}, "c0ffee", "0", false, true},
		{Rule{Pattern: "number"}, "1.5e3", "-7", true, true},
	} {
		c.rule.Path, c.rule.Action = "$.x", Tolerate
		rules, errs := Compile([]Rule{c.rule})
		if errs.Err() != nil {
			t.Fatal(errs)
		}
		if got := rules.rules[0].Tolerates([]byte(c.a), []byte(c.b), c.number); got != c.want {
			t.Errorf("%+v: %s and %s: %v", c.rule, c.a, c.b, got)
		}
	}
}

func TestBadRules(t *testing.T) {
	long := strings.Repeat(".a", MaxSegments+1)
	for code, rules := range map[string][]Rule{
		"path_invalid":        {{Path: "a", Action: Ignore}, {Path: "", Action: Ignore}, {Path: "$.", Action: Ignore}, {Path: "$.a[0]", Action: Ignore}, {Path: "$.a*", Action: Ignore}, {Path: "$['a", Action: Ignore}, {Path: "$a", Action: Ignore}, {Path: "header:", Action: Ignore}, {Path: "header:a b", Action: Ignore}, {Path: "$" + long, Action: Ignore}},
		"too_long":            {{Path: "$." + strings.Repeat("a", MaxPathBytes), Action: Ignore}},
		"rule_action":         {{Path: "$", Action: "drop"}, {Path: "status", Action: Set}, {Path: "body", Action: Map}},
		"rule_tolerance":      {{Path: "$", Action: Tolerate}, {Path: "$", Action: Ignore, Abs: 1}, {Path: "status", Action: Tolerate, Abs: 1}, {Path: "body", Action: Tolerate, Abs: 1}},
		"tolerance_range":     {{Path: "$", Action: Tolerate, Abs: -1}, {Path: "$", Action: Tolerate, Rel: 1}, {Path: "$", Action: Tolerate, Window: -1}},
		"regex_invalid":       {{Path: "$", Action: Tolerate, Pattern: "("}},
		"regex_too_expensive": {{Path: "$", Action: Tolerate, Pattern: strings.Repeat("a", MaxExpression+1)}},
		"rule_key":            {{Path: "$", Action: Ignore, Key: "id"}},
		"endpoint_invalid":    {{Path: "$", Action: Ignore, Endpoint: "orders"}},
		"too_many":            make([]Rule, MaxRules+1),
	} {
		for _, r := range rules {
			if code == "too_many" {
				continue
			}
			_, errs := Compile([]Rule{r})
			if len(errs) != 1 || errs[0].Code != code || errs[0].Message == "" || !strings.HasPrefix(errs[0].Field, "rules[0].") || errs[0].Kind == "" {
				t.Errorf("%s: %+v: %v", code, r, errs)
			}
		}
		if _, errs := Compile(rules); len(errs) == 0 {
			t.Errorf("%s: no error", code)
		}
	}
	many := make([]Rule, 20)
	for i := range many {
		many[i] = Rule{Path: "$" + strings.Repeat(".a", 15), Action: Ignore}
	}
	if _, errs := Compile(many); len(errs) != 1 || errs[0].Code != "rules_too_large" {
		t.Error(errs)
	}
}

// FuzzCompile: no pattern makes compiling or matching panic, and whatever compiles can be walked.
func FuzzCompile(f *testing.F) {
	f.Add("$.a[*].**.b", "a.[*].b")
	f.Add("$['x']", "x")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		rules, errs := Compile([]Rule{{Path: pattern, Action: Ignore}, {Path: "$.**.b", Action: Tolerate, Pattern: "id"}})
		if errs.Err() != nil {
			return
		}
		at(rules.View(0), path)
		rules.Mask(path)
		tolerant := &Compiled{Rule: Rule{Action: Tolerate, Abs: 1, Rel: 0.5, Window: time.Hour}}
		if tolerant.Tolerates([]byte(pattern), []byte(path), true) != tolerant.Tolerates([]byte(path), []byte(pattern), true) {
			t.Fatalf("%q and %q", pattern, path)
		}
	})
}
