package policy_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// spread is a service of two fleets in the middle of a migration, with a pin.
func spread() *crossfadev1.Service {
	doc := live()
	doc.Fleets = []string{"eu", "us"}
	return doc
}

func share(t *testing.T, doc *crossfadev1.Service, fleet, origin string) policy.BasisPoints {
	t.Helper()
	return mustCompile(t, doc).In(fleet).Split.Weights[origin]
}

func TestServiceInAFleet(t *testing.T) {
	doc := policy.RolledBackIn(spread(), "eu", false)
	s := mustCompile(t, doc)
	eu, us := s.In("eu"), s.In("us")
	if s.In("default") != nil || (*policy.Service)(nil).In("eu") != nil {
		t.Error("a fleet that does not serve it has it")
	}
	if us != s || us.Split.Weights["eks"] != 3000 || !us.Pins[0].Enabled {
		t.Errorf("the other fleet: %+v", us)
	}
	if eu.Split.Weights["ecs"] != policy.Whole || eu.Split.Weights["eks"] != 0 || eu.Pins[0].Enabled || eu.Split.Sticky == nil {
		t.Errorf("the fleet that is rolled back: %+v", eu)
	}
	if s.Split.Weights["eks"] != 3000 || !s.Pins[0].Enabled {
		t.Error("the service itself was changed")
	}
	if kept := mustCompile(t, policy.RolledBackIn(spread(), "eu", true)).In("eu"); kept.Split.Weights["eks"] != 0 || !kept.Pins[0].Enabled {
		t.Errorf("with pins kept: %+v", kept)
	}
	if again := eu.In("eu"); again != eu {
		t.Error("what a fleet has is not what it has there")
	}
	for _, fleet := range []string{"eu", "us"} { // documents and compiled services say the same
		if got := mustCompile(t, policy.InFleet(doc, fleet)).Split.Weights["eks"]; got != s.In(fleet).Split.Weights["eks"] {
			t.Errorf("document in %s: eks %d", fleet, got)
		}
	}
}

// A router of one fleet answers by what holds there.
func TestRouterOfAFleet(t *testing.T) {
	s := mustCompile(t, policy.RolledBackIn(spread(), "eu", false))
	for fleet, want := range map[string]string{"eu": "ecs", "us": "", "default": "none"} {
		d := policy.NewRouter(&policy.Fleet{Name: fleet}, []*policy.Service{s}).Route(policy.Request{Host: "orders.test", Path: "/"})
		if got := d.Origin; d.Service == "" && want != "none" || d.Service != "" && got != want {
			t.Errorf("%s: %+v", fleet, d)
		}
	}
}

func TestRolledBackIn(t *testing.T) {
	one := spread()
	unchanged(t, one)
	twice := policy.RolledBackIn(policy.RolledBackIn(one, "eu", false), "eu", true)
	if len(twice.GetRolledBackIn()) != 1 || twice.GetRolledBackIn()[0].GetKeepPins() {
		t.Errorf("pins that a rollback switched off came on again: %v", twice.GetRolledBackIn())
	}
	if off := policy.RolledBackIn(policy.RolledBackIn(one, "eu", true), "eu", false); off.GetRolledBackIn()[0].GetKeepPins() {
		t.Error("a rollback that switches pins off left them on")
	}
	single := spread()
	single.Fleets = []string{"eu"}
	if got := policy.RolledBackIn(single, "eu", false); !proto.Equal(got, policy.RolledBack(single, false)) {
		t.Errorf("in the only fleet: %v", got)
	}
	if all := policy.RolledBack(twice, false); len(all.GetRolledBackIn()) != 0 {
		t.Errorf("after a rollback everywhere: %v", all.GetRolledBackIn())
	}
	kept := policy.RolledBack(policy.RolledBackIn(one, "eu", false), true)
	if mustCompile(t, kept).In("eu").Pins[0].Enabled || !mustCompile(t, kept).In("us").Pins[0].Enabled {
		t.Error("a rollback that keeps pins switched those on that an earlier one had switched off")
	}
	if split, errs := policy.WithSplit(twice, map[string]int32{"ecs": 5000, "eks": 5000}); errs != nil || share(t, split, "eu", "eks") != 5000 {
		t.Errorf("a split ends it: %v %v", split.GetRolledBackIn(), errs)
	}
}

func TestMergeKeepsRollbacksOfFleets(t *testing.T) {
	back := policy.RolledBackIn(spread(), "eu", false)
	applied := func(change func(*crossfadev1.Service)) *crossfadev1.Service {
		doc := three()
		doc.Fleets = []string{"eu", "us"}
		change(doc)
		return doc
	}
	merge := func(doc *crossfadev1.Service) *crossfadev1.Service {
		t.Helper()
		out, errs := policy.Merge(back, doc)
		if errs != nil {
			t.Fatal(errs)
		}
		return out
	}
	more := func(d *crossfadev1.Service) {
		d.Split = &crossfadev1.Split{Weights: map[string]int32{"ecs": 1000, "eks": 9000}}
	}
	raised := merge(applied(more))
	if share(t, raised, "eu", "eks") != 0 || share(t, raised, "us", "eks") != 9000 || policy.RaisesWhereRolledBack(back, raised) != nil {
		t.Errorf("an apply that says nothing of it ended a rollback: %v", raised.GetRolledBackIn())
	}
	if moved := merge(applied(func(d *crossfadev1.Service) { d.Fleets = []string{"us", "asia"} })); len(moved.GetRolledBackIn()) != 0 {
		t.Errorf("of a fleet that it leaves: %v", moved.GetRolledBackIn())
	}
	elsewhere := merge(applied(func(d *crossfadev1.Service) { d.RolledBackIn = []*crossfadev1.FleetRollback{{Fleet: "us"}} }))
	if got := policy.RaisesWhereRolledBack(back, elsewhere); !slices.Equal(got, []string{"eu"}) {
		t.Errorf("what raises traffic in eu again: %v", got)
	}
	pins := policy.RolledBackIn(spread(), "eu", true)
	pin := merge(applied(func(d *crossfadev1.Service) {
		d.RolledBackIn = []*crossfadev1.FleetRollback{{Fleet: "eu", KeepPins: true}}
		d.Pins = []*crossfadev1.Pin{headerPin("new", exact("x-b", "1"))}
	}))
	if got := policy.RaisesWhereRolledBack(pins, pin); !slices.Equal(got, []string{"eu"}) {
		t.Errorf("a new pin, where pins were kept: %v", got)
	}
}

func TestPrimaryOfAServiceThatIsRolledBackInAFleet(t *testing.T) {
	full, _ := policy.WithSplit(spread(), map[string]int32{"eks": 10000})
	back := policy.RolledBackIn(full, "eu", false)
	if _, errs := policy.WithPrimary(back, "eks", false); firstCode(errs) != "held rolled_back origin" {
		t.Errorf("it would move all of eu: %v", errs)
	}
	if _, errs := policy.WithPrimary(back, "eks", true); errs != nil {
		t.Error(errs)
	}
}

func TestCheckServicesOfSeveralFleets(t *testing.T) {
	a := mustCompile(t, named("orders", func(d *crossfadev1.Service) { d.Fleets = []string{"eu", "us"} }))
	with := func(fleets ...string) *policy.Service {
		return mustCompile(t, named("carts", func(d *crossfadev1.Service) { d.Fleets = fleets }))
	}
	for _, c := range []struct {
		b    *policy.Service
		want string
	}{
		{with("asia"), ""},
		{with("asia", "us"), `of fleet "us"`},
		{with("us", "eu"), `of fleet "us"`}, // told once
	} {
		errs := policy.CheckServices([]*policy.Service{a, c.b})
		if c.want == "" && errs != nil || c.want != "" && (len(errs) != 1 || !strings.Contains(errs[0].Message, c.want)) {
			t.Errorf("%v: %v", c.b.Fleets, errs)
		}
	}
}

func TestDiffOfFleets(t *testing.T) {
	got := diffText(spread(), policy.RolledBackIn(spread(), "eu", true))
	if want := "rolledBackIn:  -> [eu]\nrolledBackIn[eu].fleet:  -> eu\nrolledBackIn[eu].keepPins:  -> true\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
