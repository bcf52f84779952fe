package translate

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"

	runtimev3 "github.com/envoyproxy/go-control-plane/envoy/service/runtime/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// The runtime layers of the bootstrap that the control plane fills. Later ones win over earlier ones, in this order.
const (
	BaseLayers = 16              // "levers-00" to "levers-15": all levers, a service's in the layer that LayerOf says
	TopLayer   = "levers-recent" // small: recent changes, folded back into the base layers when quiet
	ReadyLayer = "ready"         // holds ReadyKey
)

// ReadyKey is a fraction: all of it (a million) once the proxy has its first complete configuration. The readiness listener of the
// bootstrap answers 503 while it is 0 or missing.
const ReadyKey = "crossfade.ready"

// On is the value of a fraction that is switched on. Off is 0.
const On = 1_000_000

// perBasisPoint is how many millionths a basis point is.
const perBasisPoint = On / uint32(policy.Whole)

// Levers returns the live weights and pin switches of a service, sorted by key: one for each origin, one for each pin, and the share of
// the mirror that runs, if one does. Where a service has several fleets, give it as one of them has it, see [policy.Service.In].
func Levers(s *policy.Service) []Lever {
	out := make([]Lever, 0, len(s.Origins)+len(s.Pins)+1)
	for _, o := range s.Origins {
		out = append(out, Lever{Key: policy.WeightKey(s.Name, o.Name), Value: uint32(s.Split.Weights[o.Name]), Primary: o.Name == s.Primary})
	}
	for _, p := range s.Pins {
		l := Lever{Key: policy.PinKey(s.Name, p.Name), Fraction: true}
		if p.Enabled {
			l.Value = On
		}
		out = append(out, l)
	}
	out = append(out, otherOriginLevers(s)...)
	if m := s.Mirror; m != nil {
		out = append(out, Lever{Key: policy.MirrorKey(s.Name, m.Name), Value: uint32(m.Share) * perBasisPoint, Fraction: true})
	}
	slices.SortFunc(out, func(a, b Lever) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// LayerOf names the base layer that holds the levers of a service. It depends on the service's name only.
func LayerOf(service string) string {
	h := fnv.New32a()
	h.Write([]byte(service))
	return BaseLayer(int(h.Sum32() % BaseLayers))
}

// BaseLayer names the i-th base layer, i from 0 to BaseLayers-1.
func BaseLayer(i int) string { return fmt.Sprintf("levers-%02d", i) }

// Layer makes the runtime layer of that name. The order of levers does not matter; of two with one key the last wins.
//
// Weights travel as whole numbers. Envoy reads a bare number in the place of a fraction as per cent, which is how fractions travel that
// are off or on altogether: at every change Envoy parses all levers of all layers anew, and a numerator with a denominator costs it
// several times a number. Other fractions travel so; values of a wrong type are acknowledged, only to be passed over.
func Layer(name string, levers []Lever) Resource {
	fields := make(map[string]*structpb.Value, len(levers))
	for _, l := range levers {
		fields[l.Key] = leverValue(l)
	}
	return resource(name, &runtimev3.Runtime{Name: name, Layer: &structpb.Struct{Fields: fields}})
}

func leverValue(l Lever) *structpb.Value {
	n := structpb.NewNumberValue(float64(l.Value))
	switch {
	case !l.Fraction || l.Count || l.Value == 0:
		return n
	case l.Value == On:
		return structpb.NewNumberValue(100)
	}
	return structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{
		"numerator":   n,
		"denominator": structpb.NewStringValue("MILLION"),
	}})
}
