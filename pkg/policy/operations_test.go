package policy_test

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// unchanged fails the test if the document is not at its end what it is now.
func unchanged(t *testing.T, doc *crossfadev1.Service) {
	t.Helper()
	before := proto.CloneOf(doc)
	t.Cleanup(func() {
		if !proto.Equal(doc, before) {
			t.Error("the document was changed in place")
		}
	})
}

func firstCode(errs policy.Errors) string {
	if len(errs) == 0 {
		return ""
	}
	return string(errs[0].Kind) + " " + errs[0].Code + " " + errs[0].Field
}

func three() *crossfadev1.Service {
	doc := orders()
	doc.Origins = append(doc.Origins, &crossfadev1.Origin{Name: "gke", Discovery: &crossfadev1.Origin_Static{
		Static: &crossfadev1.StaticEndpoints{Endpoints: []string{"10.0.0.3:8080"}},
	}})
	return doc
}

func TestWithSplit(t *testing.T) {
	cases := []struct {
		name    string
		doc     *crossfadev1.Service
		weights map[string]int32
		want    string // weights, or the first error
		errs    int
	}{
		{"one of two", orders(), map[string]int32{"eks": 1000}, "ecs=90% eks=10%", 0},
		{"the other of two", orders(), map[string]int32{"ecs": 1}, "ecs=0.01% eks=99.99%", 0},
		{"both", orders(), map[string]int32{"ecs": 2500, "eks": 7500}, "ecs=25% eks=75%", 0},
		{"three", three(), map[string]int32{"ecs": 2500, "eks": 7500}, "ecs=25% eks=75% gke=0%", 0},
		{"one of three", three(), map[string]int32{"gke": 10000}, "ecs=0% eks=0% gke=100%", 0},
		{"one of three, in part", three(), map[string]int32{"eks": 1000}, "invalid weights_sum weights", 1},
		{"both, not in sum", orders(), map[string]int32{"ecs": 9000, "eks": 900}, "invalid weights_sum weights", 1},
		{"unknown", orders(), map[string]int32{"gke": 1000}, "invalid origin_unknown weights.gke", 1},
		{"negative", orders(), map[string]int32{"eks": -1}, "invalid weight_range weights.eks", 1},
		{"above", orders(), map[string]int32{"eks": 10001}, "invalid weight_range weights.eks", 1},
		{"none", orders(), nil, "invalid weights_missing weights", 1},
	}
	for _, c := range cases {
		unchanged(t, c.doc)
		out, errs := policy.WithSplit(c.doc, c.weights)
		if len(errs) != c.errs {
			t.Errorf("%s: %d errors:\n%s", c.name, len(errs), errs)
		}
		got := firstCode(errs)
		if errs == nil {
			got = policy.FormatWeights(out.GetSplit().GetWeights(), mustCompile(t, out).OriginNames())
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestWithSplitKeepsStickiness(t *testing.T) {
	doc := orders()
	sticky(doc, "cookie")
	out, errs := policy.WithSplit(doc, map[string]int32{"eks": 10000})
	if errs != nil || out.GetSplit().GetSticky().GetCookie().GetName() != "cf" {
		t.Error(out, errs)
	}
}

func TestWithPin(t *testing.T) {
	doc := orders()
	unchanged(t, doc)
	one, errs := policy.WithPin(doc, headerPin("a", exact("x-a", "1")))
	two, errs2 := policy.WithPin(one, headerPin("b", exact("x-b", "1")))
	changed, errs3 := policy.WithPin(two, headerPin("a", exact("x-a", "2")))
	if errs != nil || errs2 != nil || errs3 != nil {
		t.Fatal(errs, errs2, errs3)
	}
	s := mustCompile(t, changed)
	if len(s.Pins) != 2 || s.Pins[0].Name != "a" || s.Pins[0].Match.Value != "2" || s.Pins[1].Name != "b" {
		t.Errorf("%+v", s.Pins)
	}
	if mustCompile(t, two).Pins[0].Match.Value != "1" {
		t.Error("the earlier document was changed")
	}
	for want, pin := range map[string]*crossfadev1.Pin{
		"invalid pin_missing pin":                   nil,
		"invalid name_missing pin.name":             headerPin("", exact("x-a", "1")),
		"invalid origin_unknown pin.origin":         {Name: "p", Origin: "gke", Match: &crossfadev1.Pin_Header{Header: exact("x-a", "1")}},
		"invalid header_reserved pin.header.name":   headerPin("p", exact("host", "1")),
		"invalid regex_invalid pin.header.regex":    headerPin("p", regex("x-a", "(")),
		"invalid pin_match pin":                     {Name: "p", Origin: "eks"},
		"invalid pin_condition pin.header":          headerPin("p", &crossfadev1.ValueMatch{Name: "x-a"}),
		"invalid value_space pin.header.exact":      headerPin("p", exact("x-a", " 1")),
		"invalid origin_missing pin.origin":         {Name: "p", Match: &crossfadev1.Pin_Header{Header: exact("x-a", "1")}},
		"invalid regex_unsupported pin.query.regex": {Name: "p", Origin: "eks", Match: &crossfadev1.Pin_Query{Query: regex("q", "é")}},
	} {
		if out, errs := policy.WithPin(doc, pin); out != nil || firstCode(errs) != want {
			t.Errorf("%s, want %s", firstCode(errs), want)
		}
	}
}

func TestWithPinBoundsTheirNumber(t *testing.T) {
	doc := orders()
	for i := range policy.MaxPins {
		doc, _ = policy.WithPin(doc, headerPin(fmt.Sprint("p", i), exact("x-a", "1")))
	}
	if _, errs := policy.WithPin(doc, headerPin("more", exact("x-a", "1"))); firstCode(errs) != "invalid too_many pin" {
		t.Error(errs)
	}
	if _, errs := policy.WithPin(doc, headerPin("p7", exact("x-a", "2"))); errs != nil {
		t.Errorf("replacing one of the full number: %s", errs)
	}
}

func TestWithoutPin(t *testing.T) {
	doc := orders()
	doc.Pins = []*crossfadev1.Pin{headerPin("a", exact("x-a", "1")), headerPin("b", exact("x-b", "1"))}
	unchanged(t, doc)
	out, errs := policy.WithoutPin(doc, "a")
	if errs != nil || len(out.GetPins()) != 1 || out.GetPins()[0].GetName() != "b" {
		t.Error(out, errs)
	}
	_, errs = policy.WithoutPin(doc, "c")
	if firstCode(errs) != "not_found pin_unknown name" || errs[0].Next != "its pins are a and b" {
		t.Error(errs)
	}
	if _, errs = policy.WithoutPin(orders(), "c"); errs[0].Next != "it has no pins at all" {
		t.Error(errs)
	}
}

func TestWithPrimary(t *testing.T) {
	full, _ := policy.WithSplit(orders(), map[string]int32{"eks": 10000})
	part, _ := policy.WithSplit(orders(), map[string]int32{"eks": 9999})
	cases := []struct {
		name   string
		doc    *crossfadev1.Service
		origin string
		force  bool
		want   string
	}{
		{"carries everything", full, "eks", false, ""},
		{"nearly everything", part, "eks", false, "held primary_not_full origin"},
		{"nothing, no split written", orders(), "eks", false, "held primary_not_full origin"},
		{"by force", part, "eks", true, ""},
		{"is it already", part, "ecs", false, ""},
		{"unknown", full, "gke", true, "invalid origin_unknown origin"},
	}
	for _, c := range cases {
		unchanged(t, c.doc)
		out, errs := policy.WithPrimary(c.doc, c.origin, c.force)
		if firstCode(errs) != c.want {
			t.Errorf("%s: %v, want %q", c.name, errs, c.want)
			continue
		}
		if errs != nil {
			continue
		}
		s := mustCompile(t, out)
		if s.Primary != c.origin || fmt.Sprint(s.Split.Weights) != fmt.Sprint(mustCompile(t, c.doc).Split.Weights) {
			t.Errorf("%s: primary %s, weights %v: only the primary may change", c.name, s.Primary, s.Split.Weights)
		}
	}
}

// A primary that is changed by force must not move traffic, also where the weights were never written.
func TestWithPrimaryByForceMovesNothing(t *testing.T) {
	out, errs := policy.WithPrimary(orders(), "eks", true)
	if errs != nil {
		t.Fatal(errs)
	}
	if w := mustCompile(t, out).Split.Weights; w["ecs"] != policy.Whole {
		t.Errorf("weights %v", w)
	}
}

func TestRolledBack(t *testing.T) {
	doc := three()
	sticky(doc, "cookie")
	doc.Split.Weights = map[string]int32{"eks": 6000, "gke": 4000}
	toPrimary := headerPin("home", exact("x-h", "1"))
	toPrimary.Origin = "ecs"
	doc.Pins = []*crossfadev1.Pin{headerPin("beta", exact("x-a", "1")), toPrimary}
	unchanged(t, doc)
	s := mustCompile(t, policy.RolledBack(doc, false))
	if s.Split.Weights["ecs"] != policy.Whole || s.Split.Weights["eks"] != 0 || s.Split.Sticky == nil {
		t.Errorf("%+v", s.Split)
	}
	if s.Pins[0].Enabled || !s.Pins[1].Enabled {
		t.Errorf("%+v: pins to others are off, those to the primary stay", s.Pins)
	}
	if kept := mustCompile(t, policy.RolledBack(doc, true)); !kept.Pins[0].Enabled {
		t.Error("kept pins stay on")
	}
	if policy.RaisesTraffic(doc, policy.RolledBack(doc, false)) {
		t.Error("a rollback raises nothing")
	}
	if again := policy.RolledBack(policy.RolledBack(doc, false), false); !proto.Equal(again, policy.RolledBack(doc, false)) {
		t.Error("a second rollback changes something")
	}
}
