package policy

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// Diff lists the fields that differ between two documents of one kind, in the order of the schema. Elements that have a name are
// told apart by it: "pins[beta].enabled". An empty value means that the field is absent. Either document may be nil.
func Diff(before, after proto.Message) []*crossfadev1.FieldChange {
	d := differ{keys: map[string]string{}}
	was, is := d.flatten(before), d.flatten(after)
	paths := slices.SortedFunc(maps.Keys(d.keys), func(a, b string) int {
		return cmp.Or(cmp.Compare(d.keys[a], d.keys[b]), cmp.Compare(a, b))
	})
	var out []*crossfadev1.FieldChange
	for _, path := range paths {
		if b, a := was[path], is[path]; a != b {
			out = append(out, &crossfadev1.FieldChange{Field: path, Before: shorten(b, a), After: shorten(a, b)})
		}
	}
	return out
}

// differ flattens documents into values by path. keys orders the paths as the schema does.
type differ struct {
	keys map[string]string
	into map[string]string
}

// place is where a value stands: its path for people, and a key that sorts like the schema.
type place struct{ path, key string }

func (p place) field(name string, number int) place {
	if p.path != "" {
		name = p.path + "." + name
	}
	return place{name, fmt.Sprintf("%s.%05d", p.key, number)}
}

func (d *differ) flatten(m proto.Message) map[string]string {
	d.into = map[string]string{}
	if m != nil && m.ProtoReflect().IsValid() {
		d.message(place{}, m.ProtoReflect())
	}
	return d.into
}

func (d *differ) put(at place, value string) {
	if _, known := d.keys[at.path]; !known {
		d.keys[at.path] = at.key
	}
	d.into[at.path] = value
}

func (d *differ) message(at place, m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if !m.Has(f) {
			continue
		}
		here := at.field(f.JSONName(), int(f.Number()))
		switch v := m.Get(f); {
		case f.IsMap():
			d.weights(here, v.Map())
		case f.IsList() && f.Message() != nil:
			d.named(here, v.List())
		case f.IsList():
			d.put(here, listText(v.List()))
		case f.Message() != nil:
			d.single(here, v.Message())
		default:
			d.put(here, scalarText(f, v))
		}
	}
}

// scalarText writes one value: shares as people do, bytes as what tells them apart, and a field that is set to nothing otherwise than one that
// is not set.
func scalarText(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch {
	case f.Name() == "share":
		return FormatWeight(BasisPoints(v.Int()))
	case f.Kind() == protoreflect.BytesKind:
		return fmt.Sprintf("%d bytes, sha256 %.8x", len(v.Bytes()), sha256.Sum256(v.Bytes()))
	case v.String() == "":
		return `""`
	}
	return v.String()
}

// single flattens a message field: a duration or a time is one value, a message without fields is there or not.
func (d *differ) single(at place, m protoreflect.Message) {
	switch v := m.Interface().(type) {
	case *durationpb.Duration:
		d.put(at, v.AsDuration().String())
		return
	case *timestamppb.Timestamp:
		d.put(at, v.AsTime().Format(time.RFC3339Nano))
		return
	}
	before := len(d.into)
	if d.message(at, m); len(d.into) == before {
		d.put(at, "{}")
	}
}

// weights flattens a map from origins to basis points, the only kind of map there is.
func (d *differ) weights(at place, m protoreflect.Map) {
	weights := map[string]int32{}
	m.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		weights[k.String()] = int32(v.Int())
		return true
	})
	for origin, w := range sortedWeights(weights) {
		d.put(at.field(origin, 0), FormatWeight(BasisPoints(w)))
	}
}

// named flattens a list of messages that have names, and their order. That of a [crossfadev1.FleetRollback] is its fleet's. Where not each
// has a name of its own, they are told apart by where they stand.
func (d *differ) named(at place, list protoreflect.List) {
	names := namesIn(list)
	for i := range list.Len() {
		name := strconv.Itoa(i)
		if names != nil {
			name = names[i]
		}
		d.message(place{fmt.Sprintf("%s[%s]", at.path, name), fmt.Sprintf("%s.%05d", at.key, i)}, list.Get(i).Message())
	}
	if names != nil {
		d.put(at, "["+strings.Join(names, ", ")+"]")
	}
}

// namesIn returns the names of the messages in a list; nil if they have none, or two have the same.
func namesIn(list protoreflect.List) []string {
	var names []string
	for i := range list.Len() {
		m := list.Get(i).Message()
		f := nameField(m.Descriptor().Fields())
		if f == nil || slices.Contains(names, m.Get(f).String()) {
			return nil
		}
		names = append(names, m.Get(f).String())
	}
	return names
}

func nameField(fields protoreflect.FieldDescriptors) protoreflect.FieldDescriptor {
	if f := fields.ByName("name"); f != nil {
		return f
	}
	return fields.ByName("fleet")
}

func listText(list protoreflect.List) string {
	parts := make([]string, list.Len())
	for i := range parts {
		parts[i] = list.Get(i).String()
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// shorten leaves out of a long value how it begins like the other one.
func shorten(value, other string) string {
	const most = 300
	if len(value) <= most {
		return value
	}
	same := 0
	for same < len(value) && same < len(other) && value[same] == other[same] {
		same++
	}
	cut := strings.LastIndex(value[:same], ", ")
	if cut < 0 {
		return clip(value)
	}
	return clip("[…" + value[cut+1:])
}

// sortedWeights walks weights by the name of the origin.
func sortedWeights(weights map[string]int32) iter.Seq2[string, int32] {
	return func(yield func(string, int32) bool) {
		for _, origin := range slices.Sorted(maps.Keys(weights)) {
			if !yield(origin, weights[origin]) {
				return
			}
		}
	}
}
