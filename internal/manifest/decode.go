package manifest

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// decoder fills a message from YAML nodes and collects everything that does not fit.
type decoder struct {
	file     string
	document int
	json     bool // as machines write it
	errs     Errors
}

// maxErrors is how many mistakes are told at once: nobody reads more, and it may be that every line of a large file is one.
const maxErrors = 100

// full says whether enough is wrong already.
func (d *decoder) full() bool { return len(d.errs) > maxErrors }

func (d *decoder) add(n *yaml.Node, code, field, value, message, next string) {
	if d.full() {
		return
	}
	if len(d.errs) == maxErrors {
		code, field, value, next = "more_problems", "", "", "correct these and try again"
		message = fmt.Sprintf("there is more wrong from here on: the first %d problems are shown", maxErrors)
	}
	e := &Error{File: d.file, Line: n.Line, Column: n.Column, Err: invalid(code, shown(field), shown(value), message, next)}
	e.Err.Document = d.document
	d.errs = append(d.errs, e)
}

// message fills m from a mapping, or a duration or a time from its text.
func (d *decoder) message(path string, n *yaml.Node, m protoreflect.Message) {
	switch v := m.Interface().(type) {
	case *durationpb.Duration:
		d.duration(path, n, v)
		return
	case *timestamppb.Timestamp:
		d.time(path, n, v)
		return
	}
	d.mapping(path, n, func(key, value *yaml.Node) {
		at := join(path, key.Value)
		f := m.Descriptor().Fields().ByJSONName(key.Value)
		if f == nil || hidden(f) {
			d.unknownField(at, key, m.Descriptor())
			return
		}
		if o := f.ContainingOneof(); o != nil && m.WhichOneof(o) != nil {
			other := m.WhichOneof(o).JSONName()
			d.add(key, "two_of_one", at, "", "cannot be set together with "+other, "keep one of them")
			return
		}
		if why, next := emptyMeansNothing(f, value); why != "" {
			d.add(key, "empty", at, "", why, next)
			return
		}
		d.field(at, value, f, m)
	})
}

// maxShown is how much of a field's path or of a value is told, in bytes.
const maxShown = 500

// shown is the beginning of a text that may be megabytes.
func shown(text string) string {
	if len(text) <= maxShown {
		return text
	}
	return strings.ToValidUTF8(text[:maxShown], "") + "…"
}

func (d *decoder) unknownField(at string, key *yaml.Node, m protoreflect.MessageDescriptor) {
	var known []string
	for i := range m.Fields().Len() {
		if f := m.Fields().Get(i); !hidden(f) {
			known = append(known, f.JSONName())
		}
	}
	next := didYouMean(key.Value, known)
	if next == "" {
		next = "known here: " + strings.Join(known, ", ")
	}
	d.add(key, "unknown_field", at, "", "there is no such field", next)
}

// field fills one field of m.
func (d *decoder) field(path string, n *yaml.Node, f protoreflect.FieldDescriptor, m protoreflect.Message) {
	switch {
	case f.IsList():
		d.list(path, n, f, m)
	case f.IsMap():
		d.mapping(path, n, func(key, value *yaml.Node) {
			if v, ok := d.scalar(fmt.Sprintf("%s[%q]", path, key.Value), value, f.MapValue()); ok {
				m.Mutable(f).Map().Set(protoreflect.ValueOfString(key.Value).MapKey(), v)
			}
		})
	case f.Message() != nil:
		d.message(path, n, m.Mutable(f).Message())
	default:
		if v, ok := d.scalar(path, n, f); ok {
			m.Set(f, v)
		}
	}
}

func (d *decoder) list(path string, n *yaml.Node, f protoreflect.FieldDescriptor, m protoreflect.Message) {
	if !d.isKind(path, n, yaml.SequenceNode, "a list") {
		return
	}
	items := m.Mutable(f).List()
	for i, item := range n.Content {
		if d.full() {
			return
		}
		at := fmt.Sprintf("%s[%d]", path, i)
		if f.Message() != nil {
			d.message(at, item, items.AppendMutable().Message())
		} else if v, ok := d.scalar(at, item, f); ok {
			items.Append(v)
		}
	}
}

// mapping calls each for every key, and refuses keys that are given twice.
func (d *decoder) mapping(path string, n *yaml.Node, each func(key, value *yaml.Node)) {
	if !d.isMapping(path, n) {
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content) && !d.full(); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
			d.add(key, "bad_key", path, "", "a key must be a plain name", "")
			continue
		}
		if line, ok := seen[key.Value]; ok {
			d.add(key, "duplicate_key", join(path, key.Value), "", fmt.Sprintf("is given twice, first on line %d", line), "remove one of them")
			continue
		}
		seen[key.Value] = key.Line
		each(key, n.Content[i+1])
	}
}

func (d *decoder) isMapping(path string, n *yaml.Node) bool {
	return d.isKind(path, n, yaml.MappingNode, "a mapping (name: value)")
}

// isKind refuses a node that is not of the wanted kind, and what no document may hold: aliases, tags of one's own and values left empty.
func (d *decoder) isKind(path string, n *yaml.Node, want yaml.Kind, what string) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		d.add(n, "alias", path, "*"+n.Value, "YAML aliases are not read", "write the value out")
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		d.add(n, "empty", path, "", "has no value; it must be "+what, "give it one, or leave the field out")
	case n.Style&yaml.TaggedStyle != 0:
		d.add(n, "tag", path, n.Tag, "YAML tags are not read", "remove the tag")
	case n.Kind != want:
		d.add(n, "wrong_type", path, n.Value, "must be "+what+", not "+describe(n), "")
	default:
		return true
	}
	return false
}

// emptyMeansNothing explains why `pins: []` and `split: {}` are refused: on the wire they cannot be told from fields left out.
func emptyMeansNothing(f protoreflect.FieldDescriptor, n *yaml.Node) (why, next string) {
	null := n.Kind == yaml.ScalarNode && n.Tag == "!!null"
	none := len(n.Content) == 0 && (n.Kind == yaml.SequenceNode || n.Kind == yaml.MappingNode)
	switch name := f.FullName(); {
	case !null && !none:
		return "", ""
	case name == "crossfade.v1.Service.pins":
		return "is empty, which could mean no pins or no change of them",
			"leave it out to keep the pins that are live; remove one with `shadowctl pin rm SERVICE PIN`"
	case name == "crossfade.v1.Service.split", name == "crossfade.v1.Split.weights":
		return "is empty, which gives no origin a weight",
			"leave it out to keep the split that is live; change it with `shadowctl split set SERVICE ORIGIN=10%`"
	default:
		return "", ""
	}
}

// describe names what a node is, for a sentence.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "a mapping"
	}
	switch n.Tag {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	default:
		return "a text"
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
