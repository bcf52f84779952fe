package policy

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// In returns the service as one of its fleets has it: where that is rolled back, the primary has everything, and pins to other origins
// are off unless they were kept, and nothing is mirrored. It is nil for a fleet that does not serve it.
func (s *Service) In(fleet string) *Service {
	if s == nil || !slices.Contains(s.Fleets, fleet) {
		return nil
	}
	i := slices.IndexFunc(s.RolledBackIn, func(r FleetRollback) bool { return r.Fleet == fleet })
	if i < 0 {
		return s
	}
	out := *s
	out.RolledBackIn, out.Pins, out.Split.Weights = nil, slices.Clone(s.Pins), maps.Clone(s.Split.Weights)
	for origin := range out.Split.Weights {
		out.Split.Weights[origin] = 0
	}
	out.Split.Weights[s.Primary] = Whole
	out.Mirror = s.Mirror.Halted()
	for j := range out.Pins {
		p := &out.Pins[j]
		p.Enabled = p.Enabled && (s.RolledBackIn[i].KeepPins || p.Origin == s.Primary)
	}
	return &out
}

// Fleets names the fleets that serve a document, in the order written.
func Fleets(doc *crossfadev1.Service) []string {
	switch {
	case len(doc.GetFleets()) > 0:
		return doc.GetFleets()
	case doc.GetFleet() != "":
		return []string{doc.GetFleet()}
	}
	return []string{DefaultFleet}
}

// InFleet returns a document as one of its fleets has it, see [Service.In]. It may be the document itself.
func InFleet(doc *crossfadev1.Service, fleet string) *crossfadev1.Service {
	if i := rollbackIndex(doc, fleet); i >= 0 {
		return RolledBack(doc, doc.GetRolledBackIn()[i].GetKeepPins())
	}
	return doc
}

// RolledBackIn sends everything to the primary in one of the service's fleets, whatever the split; the others keep theirs. Where it is
// the only one, that is a rollback. Pins that an earlier one switched off stay off.
func RolledBackIn(doc *crossfadev1.Service, fleet string, keepPins bool) *crossfadev1.Service {
	if len(Fleets(doc)) == 1 {
		return RolledBack(doc, keepPins)
	}
	out := proto.CloneOf(doc)
	if i := rollbackIndex(doc, fleet); i >= 0 {
		out.RolledBackIn[i].KeepPins = out.RolledBackIn[i].GetKeepPins() && keepPins
	} else {
		out.RolledBackIn = append(out.RolledBackIn, &crossfadev1.FleetRollback{Fleet: fleet, KeepPins: keepPins})
	}
	return out
}

func rollbackIndex(doc *crossfadev1.Service, fleet string) int {
	return slices.IndexFunc(doc.GetRolledBackIn(), func(r *crossfadev1.FleetRollback) bool { return r.GetFleet() == fleet })
}

// RaisesWhereRolledBack returns the fleets that are rolled back, are still among the service's, and in which a change can bring requests
// to an origin that is not the primary, see [RaisesTraffic].
func RaisesWhereRolledBack(before, after *crossfadev1.Service) []string {
	var out []string
	for _, r := range before.GetRolledBackIn() {
		fleet := r.GetFleet()
		if slices.Contains(Fleets(after), fleet) && RaisesTraffic(InFleet(before, fleet), InFleet(after, fleet)) {
			out = append(out, fleet)
		}
	}
	return out
}

// keepRollbacks copies live rollbacks of single fleets into out, whose fleets may differ.
func keepRollbacks(live, out *crossfadev1.Service) {
	for _, r := range live.GetRolledBackIn() {
		if slices.Contains(Fleets(out), r.GetFleet()) {
			out.RolledBackIn = append(out.RolledBackIn, proto.CloneOf(r))
		}
	}
}

func (p *problems) fleets(doc *crossfadev1.Service) []string {
	if doc.GetFleet() != "" {
		p.checkName("fleet", doc.GetFleet(), "the fleet")
	}
	if doc.GetFleet() != "" && len(doc.GetFleets()) > 0 {
		p.add("fleets", "exclusive", doc.GetFleets()[0], fmt.Sprintf("fleet is written too (%q): it is one or the other", clip(doc.GetFleet())), "name all fleets under fleets, and leave fleet out")
	}
	if p.count("fleets", len(doc.GetFleets()), MaxFleets, "fleets") {
		return nil
	}
	first := map[string]int{}
	for i, name := range doc.GetFleets() {
		field := at("fleets", i)
		p.checkName(field, name, "the fleet")
		p.onlyOnce(first, field, "fleets", name, i)
	}
	return slices.Clone(Fleets(doc))
}

// onlyOnce refuses a name that a list has already.
func (p *problems) onlyOnce(first map[string]int, field, list, name string, i int) {
	if j, seen := first[name]; seen && name != "" {
		p.add(field, "name_duplicate", name, fmt.Sprintf("is in %s[%d] as well", list, j), "name each fleet once")
		return
	}
	first[name] = i
}

// rolledBackIn returns the rollbacks of single fleets.
func (p *problems) rolledBackIn(doc *crossfadev1.Service) []FleetRollback {
	if p.count("rolledBackIn", len(doc.GetRolledBackIn()), MaxFleets, "fleets") {
		return nil
	}
	first := map[string]int{}
	var out []FleetRollback
	for i, r := range doc.GetRolledBackIn() {
		field := at("rolledBackIn", i) + ".fleet"
		if name := r.GetFleet(); !slices.Contains(Fleets(doc), name) {
			p.add(field, "fleet_unknown", name, "the service is not served by this fleet", "its fleets are "+and(Fleets(doc)))
		}
		p.onlyOnce(first, field, "rolledBackIn", r.GetFleet(), i)
		out = append(out, FleetRollback{Fleet: r.GetFleet(), KeepPins: r.GetKeepPins()})
	}
	return out
}
