package policy

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// Merge is the rule of an apply: what the applied document leaves out of weights, pins and rollbacks of single fleets stays as it is live. Both documents compile.
// live is nil for the first apply of a service; then the primary has everything. The returned document says its weights in full. It fails where the
// applied document would change the primary, or remove an origin that live weights or pins still use.
//
// A split without weights keeps the live weights and sets the stickiness. An empty list of pins cannot be told from an absent one and
// keeps what is live; `pin rm` removes.
func Merge(live, applied *crossfadev1.Service) (*crossfadev1.Service, Errors) {
	out := proto.CloneOf(applied)
	if live == nil {
		if len(out.GetSplit().GetWeights()) == 0 {
			setWeights(out, Weights(out))
		}
		return out, nil
	}
	var found Errors
	if e := primaryKept(live, applied); e != nil {
		found = append(found, e)
	}
	if out.Split == nil && live.GetSplit() != nil {
		out.Split = &crossfadev1.Split{Sticky: proto.CloneOf(live.GetSplit().GetSticky())}
	}
	if len(out.GetSplit().GetWeights()) == 0 {
		found = append(found, keepWeights(live, out)...)
	}
	if len(out.GetPins()) == 0 {
		found = append(found, keepPins(live, out)...)
	}
	if len(out.GetRolledBackIn()) == 0 {
		keepRollbacks(live, out)
	}
	if len(found) > 0 {
		return nil, found
	}
	return out, nil
}

// primaryKept refuses another primary than the live one. A missing one is left to CompileService.
func primaryKept(live, applied *crossfadev1.Service) *Error {
	if applied.GetPrimary() == live.GetPrimary() || applied.GetPrimary() == "" {
		return nil
	}
	return &Error{
		Kind: Invalid, Code: "primary_differs", Field: "primary", Value: clip(applied.GetPrimary()),
		Message: fmt.Sprintf("the primary is %q, and an apply does not change it", live.GetPrimary()),
		Next:    fmt.Sprintf("run `shadowctl service set-primary %s %s`, or write primary: %s", live.GetName(), applied.GetPrimary(), live.GetPrimary()),
	}
}

// keepWeights copies live weights into out, whose origins may differ.
func keepWeights(live, out *crossfadev1.Service) Errors {
	var found Errors
	weights := map[string]int32{}
	for _, o := range out.GetOrigins() {
		weights[o.GetName()] = 0
	}
	for origin, w := range sortedWeights(Weights(live)) {
		if _, kept := weights[origin]; kept {
			weights[origin] = w
		} else if w > 0 {
			found = append(found, &Error{
				Kind: Held, Code: "origin_in_use", Field: "origins", Value: origin,
				Message: fmt.Sprintf("origin %q is not in the document and carries %s", origin, FormatWeight(BasisPoints(w))),
				Next:    "move its traffic first with `shadowctl split set " + live.GetName() + "`, or write split.weights",
			})
		}
	}
	setWeights(out, weights)
	return found
}

// keepPins copies live pins into out, whose origins may differ.
func keepPins(live, out *crossfadev1.Service) Errors {
	var found Errors
	origins := originNames(out.GetOrigins())
	for _, pin := range live.GetPins() {
		if !slices.Contains(origins, pin.GetOrigin()) {
			found = append(found, &Error{
				Kind: Held, Code: "origin_in_use", Field: "origins", Value: pin.GetOrigin(),
				Message: fmt.Sprintf("origin %q is not in the document and pin %q goes there", pin.GetOrigin(), pin.GetName()),
				Next:    fmt.Sprintf("remove the pin first with `shadowctl pin rm %s %s`, or write pins", live.GetName(), pin.GetName()),
			})
		}
		out.Pins = append(out.Pins, proto.CloneOf(pin))
	}
	return found
}

// RaisesTraffic tells whether a change can bring requests to an origin that is not the primary: a weight of such an origin goes up,
// a pin to one is new, switched on or takes other requests, or a pin to the primary that came before it is gone. After a rollback only
// a deliberate act may do this. before may be nil: then the primary had everything.
func RaisesTraffic(before, after *crossfadev1.Service) bool {
	primary := after.GetPrimary()
	was := Weights(before)
	for origin, w := range Weights(after) {
		if origin != primary && w > was[origin] {
			return true
		}
	}
	for i, pin := range after.GetPins() {
		if pinEnabled(pin) && pin.GetOrigin() != primary && pinTakesMore(before, after, i) {
			return true
		}
	}
	return false
}

// pinTakesMore tells whether the pin at an index of after can take requests that it did not take before.
func pinTakesMore(before, after *crossfadev1.Service, index int) bool {
	pin := after.GetPins()[index]
	old := pinIndex(before, pin.GetName())
	if old < 0 || !samePin(before.GetPins()[old], pin) {
		return true
	}
	for _, guard := range before.GetPins()[:old] {
		if pinEnabled(guard) && guard.GetOrigin() == after.GetPrimary() &&
			!slices.ContainsFunc(after.GetPins()[:index], func(p *crossfadev1.Pin) bool { return samePin(guard, p) }) {
			return true
		}
	}
	return false
}

// samePin tells whether two pins are on and send the same requests to the same origin.
func samePin(a, b *crossfadev1.Pin) bool {
	return pinEnabled(a) && pinEnabled(b) && a.GetOrigin() == b.GetOrigin() && proto.Equal(matchOnly(a), matchOnly(b))
}

func matchOnly(p *crossfadev1.Pin) *crossfadev1.Pin { return &crossfadev1.Pin{Match: p.GetMatch()} }
