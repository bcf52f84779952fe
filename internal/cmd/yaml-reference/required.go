package main

import (
	_ "embed"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// whole is valid documents that together have every message of the schema.
//
//go:embed whole.yaml
var whole []byte

// requiredFields finds the fields that a document cannot do without, by leaving each out in turn. What may be left out of a message
// in any of them is not required.
func requiredFields() (map[protoreflect.FullName]bool, error) {
	docs, err := manifest.Parse("whole.yaml", whole)
	if err != nil {
		return nil, err
	}
	required := map[protoreflect.FullName]bool{}
	for _, d := range docs {
		doc := d.Document
		if errs := check(doc); len(errs) > 0 {
			return nil, fmt.Errorf("whole.yaml: %w", errs)
		}
		each(manifest.Object(doc).ProtoReflect(), func(m protoreflect.Message, f protoreflect.FieldDescriptor) {
			if !m.Has(f) {
				required[f.FullName()] = false
				return
			}
			saved := proto.Clone(m.Interface()).ProtoReflect()
			m.Clear(f)
			refused := len(check(doc)) > 0
			m.Set(f, own(saved, f))
			if known, seen := required[f.FullName()]; !seen || known {
				required[f.FullName()] = refused
			}
		})
	}
	return required, nil
}

// own is the value of a field, in a form that another message can hold.
func own(m protoreflect.Message, f protoreflect.FieldDescriptor) protoreflect.Value {
	if f.IsList() || f.IsMap() || f.Message() != nil {
		return m.Mutable(f)
	}
	return m.Get(f)
}

// each calls visit for every field, also in messages within.
func each(m protoreflect.Message, visit func(protoreflect.Message, protoreflect.FieldDescriptor)) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case !m.Has(f): // nothing within
		case f.IsList() && f.Message() != nil:
			for j := range m.Get(f).List().Len() {
				each(m.Get(f).List().Get(j).Message(), visit)
			}
		case !f.IsMap() && f.Message() != nil && f.Message().FullName().Parent() != "google.protobuf":
			each(m.Get(f).Message(), visit)
		}
		visit(m, f)
	}
}

func check(doc *crossfadev1.Document) policy.Errors {
	doc = proto.CloneOf(doc)
	if s := doc.GetService(); s != nil {
		_, errs := policy.CompileService(s)
		return errs
	}
	if m := doc.GetMirror(); m != nil {
		_, errs := policy.CompileMirror(m)
		return errs
	}
	if r := doc.GetRollout(); r != nil {
		_, errs := rollout.Compile(r)
		return errs
	}
	_, errs := policy.CompileFleet(doc.GetFleet())
	return errs
}
