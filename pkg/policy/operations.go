package policy

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// The functions of this file are the changes that the API offers, as pure functions of documents: each takes a document that compiles,
// leaves it as it is, and returns a changed copy or what is wrong. Fields in their errors are those of the requests.

// Weights returns the basis points of every origin of a document. Without weights the primary has everything.
func Weights(doc *crossfadev1.Service) map[string]int32 {
	weights := make(map[string]int32, len(doc.GetOrigins()))
	for _, o := range doc.GetOrigins() {
		weights[o.GetName()] = doc.GetSplit().GetWeights()[o.GetName()]
	}
	if len(doc.GetSplit().GetWeights()) == 0 && doc.GetPrimary() != "" {
		weights[doc.GetPrimary()] = int32(Whole)
	}
	return weights
}

// setWeights writes weights, in basis points, leaving the rest of the split alone.
func setWeights(doc *crossfadev1.Service, weights map[string]int32) {
	if doc.Split == nil {
		doc.Split = &crossfadev1.Split{}
	}
	doc.Split.Weights = weights
}

// WithSplit sets weights in basis points, in all fleets. Origins left out get 0; of two origins one suffices, and the other gets the rest.
func WithSplit(doc *crossfadev1.Service, weights map[string]int32) (*crossfadev1.Service, Errors) {
	var p problems
	origins := originNames(doc.GetOrigins())
	if len(weights) == 0 {
		p.add("weights", "weights_missing", "", "no weights are given", knownOrigins(origins))
		return nil, p.found
	}
	full := make(map[string]int32, len(origins))
	for _, o := range origins {
		full[o] = 0
	}
	maps.Copy(full, weights)
	if len(origins) == 2 && len(weights) == 1 {
		fillOther(full, weights, origins)
	}
	if p.weights("weights", full, origins); len(p.found) > 0 {
		return nil, p.found
	}
	out := proto.CloneOf(doc)
	setWeights(out, full)
	out.RolledBackIn = nil
	return out, nil
}

// fillOther gives the one of two origins that is not mentioned what the other leaves.
func fillOther(full, given map[string]int32, origins []string) {
	for i, o := range origins {
		if w, ok := given[o]; ok && w >= 0 && BasisPoints(w) <= Whole {
			full[origins[1-i]] = int32(Whole) - w
		}
	}
}

// WithPin adds a pin at the end, or replaces the one of the same name in its place.
func WithPin(doc *crossfadev1.Service, pin *crossfadev1.Pin) (*crossfadev1.Service, Errors) {
	var p problems
	if pin == nil {
		p.add("pin", "pin_missing", "", "no pin is given", "")
		return nil, p.found
	}
	out := proto.CloneOf(doc)
	if i := pinIndex(doc, pin.GetName()); i >= 0 {
		out.Pins[i] = proto.CloneOf(pin)
	} else {
		out.Pins = append(out.Pins, proto.CloneOf(pin))
	}
	p.checkName("pin.name", pin.GetName(), "the pin")
	p.pin("pin", pin, originNames(doc.GetOrigins()))
	p.count("pin", len(out.Pins), MaxPins, "pins")
	if len(p.found) > 0 {
		return nil, p.found
	}
	return out, nil
}

// WithoutPin removes a pin. An unknown name is a NotFound.
func WithoutPin(doc *crossfadev1.Service, name string) (*crossfadev1.Service, Errors) {
	i := pinIndex(doc, name)
	if i < 0 {
		return nil, Errors{{
			Kind: NotFound, Code: "pin_unknown", Field: "name", Value: clip(name),
			Message: fmt.Sprintf("service %q has no pin of this name", doc.GetName()), Next: knownPins(doc),
		}}
	}
	out := proto.CloneOf(doc)
	out.Pins = slices.Delete(out.Pins, i, i+1)
	return out, nil
}

func pinIndex(doc *crossfadev1.Service, name string) int {
	return slices.IndexFunc(doc.GetPins(), func(p *crossfadev1.Pin) bool { return p.GetName() == name })
}

func knownPins(doc *crossfadev1.Service) string {
	var names []string
	for _, p := range doc.GetPins() {
		names = append(names, p.GetName())
	}
	if len(names) == 0 {
		return "it has no pins at all"
	}
	return "its pins are " + and(names)
}

// WithPrimary changes where a rollback goes. It is Held unless the new primary carries everything or force is set. Weights stay.
func WithPrimary(doc *crossfadev1.Service, origin string, force bool) (*crossfadev1.Service, Errors) {
	var p problems
	if p.knownOrigin("origin", origin, originNames(doc.GetOrigins())); len(p.found) > 0 {
		return nil, p.found
	}
	weights := Weights(doc)
	if in := doc.GetRolledBackIn(); len(in) > 0 && !force && origin != doc.GetPrimary() {
		return nil, Errors{{
			Kind: Held, Code: "rolled_back", Field: "origin", Value: origin,
			Message: fmt.Sprintf("in fleet %s everything goes to %s, because it is rolled back there; it would all go to the new primary", in[0].GetFleet(), doc.GetPrimary()),
			Next:    fmt.Sprintf("run `shadowctl split set %s %s=100%%` first, or add --force", doc.GetName(), origin),
		}}
	}
	if w := BasisPoints(weights[origin]); w != Whole && !force && origin != doc.GetPrimary() {
		return nil, Errors{{
			Kind: Held, Code: "primary_not_full", Field: "origin", Value: origin,
			Message: fmt.Sprintf("carries %s; a new primary has to carry 100%%, because a rollback would send everything there", FormatWeight(w)),
			Next:    fmt.Sprintf("run `shadowctl split set %s %s=100%%` first, or add --force", doc.GetName(), origin),
		}}
	}
	out := proto.CloneOf(doc)
	setWeights(out, weights)
	out.Primary = origin
	return out, nil
}

// RolledBack sends everything to the primary, in all fleets. Pins to other origins are switched off unless keepPins; in fleets where
// they are off already they stay so.
func RolledBack(doc *crossfadev1.Service, keepPins bool) *crossfadev1.Service {
	return RolledBackTo(doc, doc.GetPrimary(), keepPins)
}

// RolledBackTo is [RolledBack] to an origin that was the primary when somebody rolled back, and may not be now. A fleet cannot be rolled back by itself
// then, as that is to the primary: pins that are off in one are off in all.
func RolledBackTo(doc *crossfadev1.Service, origin string, keepPins bool) *crossfadev1.Service {
	out := proto.CloneOf(doc)
	if origin != out.GetPrimary() {
		keepPins = keepPins && !slices.ContainsFunc(out.RolledBackIn, func(r *crossfadev1.FleetRollback) bool { return !r.GetKeepPins() })
		out.RolledBackIn = nil
	}
	weights := make(map[string]int32, len(out.GetOrigins()))
	for _, o := range out.GetOrigins() {
		weights[o.GetName()] = 0
	}
	weights[origin] = int32(Whole)
	setWeights(out, weights)
	for _, pin := range out.GetPins() {
		if !keepPins && pin.GetOrigin() != origin {
			pin.Enabled = new(false)
		}
	}
	out.RolledBackIn = slices.DeleteFunc(out.RolledBackIn, func(r *crossfadev1.FleetRollback) bool { return !keepPins || r.GetKeepPins() })
	return out
}
