package policy

import (
	"cmp"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Unknown returns an error for each part of a document that has fields which this version does not know: a newer one made it, and what it says
// there must not be passed over in silence.
func Unknown(doc proto.Message) Errors {
	var p problems
	p.unknown("", doc.ProtoReflect())
	slices.SortFunc(p.found, func(a, b *Error) int { return cmp.Compare(a.Field, b.Field) }) // messages and maps are walked in no order
	return p.found
}

// unknown looks into a message and into those within it.
func (p *problems) unknown(path string, m protoreflect.Message) {
	if rest := m.GetUnknown(); len(rest) > 0 {
		number, _, _ := protowire.ConsumeField(rest)
		p.add(path, "unknown_field", "", fmt.Sprintf("has a field that this version does not know (number %d): a newer version wrote it", number),
			"use that version, or take the field out with it")
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		name := f.JSONName()
		if path != "" {
			name = path + "." + name
		}
		switch {
		case f.IsMap():
			if f.MapValue().Message() != nil {
				v.Map().Range(func(key protoreflect.MapKey, v protoreflect.Value) bool {
					p.unknown(fmt.Sprintf("%s[%s]", name, key.String()), v.Message())
					return true
				})
			}
		case f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				p.unknown(at(name, i), v.List().Get(i).Message())
			}
		default:
			p.unknown(name, v.Message())
		}
		return true
	})
}
