package policy_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// live is a service in the middle of a migration.
func live() *crossfadev1.Service {
	doc, _ := policy.WithSplit(three(), map[string]int32{"ecs": 7000, "eks": 3000})
	doc.Split.Sticky = &crossfadev1.Sticky{Key: &crossfadev1.Sticky_ClientAddress{ClientAddress: &crossfadev1.StickyClientAddress{}}}
	doc.Pins = []*crossfadev1.Pin{headerPin("beta", exact("x-a", "1"))}
	return doc
}

func TestMerge(t *testing.T) {
	cases := []struct {
		name   string
		live   *crossfadev1.Service
		change func(*crossfadev1.Service)
		want   string // weights, or errors
		sticky bool
		pins   int
	}{
		{"first apply", nil, func(*crossfadev1.Service) {}, "ecs=100% eks=0% gke=0%", false, 0},
		{"first apply with a split", nil, func(d *crossfadev1.Service) { d.Split = &crossfadev1.Split{Weights: map[string]int32{"eks": 10000}} }, "eks=100%", false, 0},
		{"absent keeps", live(), func(*crossfadev1.Service) {}, "ecs=70% eks=30% gke=0%", true, 1},
		{"a split sets", live(), func(d *crossfadev1.Service) { d.Split = &crossfadev1.Split{Weights: map[string]int32{"eks": 10000}} }, "eks=100%", false, 1},
		{"stickiness alone keeps the weights", live(), func(d *crossfadev1.Service) { sticky(d, "cookie"); d.Split.Weights = nil }, "ecs=70% eks=30% gke=0%", true, 1},
		{"pins set", live(), func(d *crossfadev1.Service) {
			d.Pins = []*crossfadev1.Pin{headerPin("a", exact("x-a", "1")), headerPin("b", exact("x-b", "1"))}
		}, "ecs=70% eks=30% gke=0%", true, 2},
		{"an origin comes", live(), func(d *crossfadev1.Service) {
			o := proto.CloneOf(d.Origins[2])
			o.Name = "new"
			d.Origins = append(d.Origins, o)
		}, "ecs=70% eks=30% gke=0% new=0%", true, 1},
		{"an idle origin goes", live(), func(d *crossfadev1.Service) { d.Origins = d.Origins[:2] }, "ecs=70% eks=30%", true, 1},
		{"a busy origin goes", live(), func(d *crossfadev1.Service) { d.Origins = append(d.Origins[:1], d.Origins[2]) }, "held origin_in_use origins", false, 0},
		{"a busy origin goes, with a split", live(), func(d *crossfadev1.Service) {
			d.Origins = append(d.Origins[:1], d.Origins[2])
			d.Split = &crossfadev1.Split{Weights: map[string]int32{"ecs": 10000}}
			d.Pins = []*crossfadev1.Pin{{Name: "p", Origin: "gke", Match: &crossfadev1.Pin_Header{Header: exact("x-a", "1")}}}
		}, "ecs=100%", false, 1},
		{"another primary", live(), func(d *crossfadev1.Service) { d.Primary = "eks" }, "invalid primary_differs primary", false, 0},
	}
	for _, c := range cases {
		applied := three()
		c.change(applied)
		unchanged(t, applied)
		if c.live != nil {
			unchanged(t, c.live)
		}
		mustCompile(t, applied)
		out, errs := policy.Merge(c.live, applied)
		if got := firstCode(errs); errs != nil {
			if got != c.want || out != nil {
				t.Errorf("%s: %s", c.name, errs)
			}
			continue
		}
		s := mustCompile(t, out)
		if got := policy.FormatWeights(out.GetSplit().GetWeights(), s.OriginNames()); got != c.want || (s.Split.Sticky != nil) != c.sticky || len(s.Pins) != c.pins {
			t.Errorf("%s: %s, sticky %v, %d pins; want %s, %v, %d", c.name, got, s.Split.Sticky, len(s.Pins), c.want, c.sticky, c.pins)
		}
	}
}

func TestMergeNamesTheCommand(t *testing.T) {
	applied := three()
	applied.Primary = "eks"
	_, errs := policy.Merge(live(), applied)
	want := "primary: \"eks\": the primary is \"ecs\", and an apply does not change it; run `shadowctl service set-primary orders eks`, or write primary: ecs"
	if errs.Error() != want {
		t.Errorf("got  %s\nwant %s", errs, want)
	}
}

func TestRaisesTraffic(t *testing.T) {
	weights := func(w map[string]int32) func(*crossfadev1.Service) {
		return func(d *crossfadev1.Service) { d.Split.Weights = w }
	}
	home := func(name string, m *crossfadev1.ValueMatch) *crossfadev1.Pin {
		p := headerPin(name, m)
		p.Origin = "ecs"
		return p
	}
	guarded := func() *crossfadev1.Service {
		d := live()
		d.Pins = []*crossfadev1.Pin{home("guard", exact("x-g", "1")), headerPin("beta", exact("x-a", "1"))}
		return d
	}
	off := func(p *crossfadev1.Pin) { p.Enabled = new(false) }
	cases := []struct {
		name   string
		before *crossfadev1.Service
		change func(*crossfadev1.Service)
		want   bool
	}{
		{"nothing", live(), func(*crossfadev1.Service) {}, false},
		{"more to another", live(), weights(map[string]int32{"ecs": 6999, "eks": 3001}), true},
		{"less to another", live(), weights(map[string]int32{"ecs": 7001, "eks": 2999}), false},
		{"from one other to another", live(), weights(map[string]int32{"ecs": 7000, "gke": 3000}), true},
		{"everything home", live(), weights(map[string]int32{"ecs": 10000}), false},
		{"weights left out", live(), func(d *crossfadev1.Service) { d.Split = nil }, false},
		{"a new pin", live(), func(d *crossfadev1.Service) { d.Pins = append(d.Pins, headerPin("p", exact("x-b", "1"))) }, true},
		{"a new pin that is off", live(), func(d *crossfadev1.Service) {
			p := headerPin("p", exact("x-b", "1"))
			off(p)
			d.Pins = append(d.Pins, p)
		}, false},
		{"a new pin home", live(), func(d *crossfadev1.Service) { d.Pins = append(d.Pins, home("p", exact("x-b", "1"))) }, false},
		{"a pin goes", live(), func(d *crossfadev1.Service) { d.Pins = nil }, false},
		{"a pin off", live(), func(d *crossfadev1.Service) { off(d.Pins[0]) }, false},
		{"a pin that takes others", live(), func(d *crossfadev1.Service) { d.Pins[0] = headerPin("beta", exact("x-a", "2")) }, true},
		{"a pin that leaves home", guarded(), func(d *crossfadev1.Service) { d.Pins[0].Origin = "gke" }, true},
		{"the guard before a pin goes", guarded(), func(d *crossfadev1.Service) { d.Pins = d.Pins[1:] }, true},
		{"the guard moves behind the pin", guarded(), func(d *crossfadev1.Service) { d.Pins[0], d.Pins[1] = d.Pins[1], d.Pins[0] }, true},
		{"another guard in between", guarded(), func(d *crossfadev1.Service) {
			d.Pins = []*crossfadev1.Pin{d.Pins[0], home("g2", exact("x-h", "1")), d.Pins[1]}
		}, false},
		{"other settings", live(), func(d *crossfadev1.Service) { d.Hosts = []string{"*"} }, false},
	}
	for _, c := range cases {
		after := proto.CloneOf(c.before)
		c.change(after)
		if got := policy.RaisesTraffic(c.before, after); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	on := live()
	before := proto.CloneOf(on)
	off(before.Pins[0])
	if !policy.RaisesTraffic(before, on) {
		t.Error("a pin that is switched on raises traffic")
	}
	if !policy.RaisesTraffic(nil, live()) || policy.RaisesTraffic(nil, orders()) {
		t.Error("without a document before, everything was at the primary")
	}
}
