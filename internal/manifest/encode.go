package manifest

import (
	"bytes"
	"encoding/base64"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// YAML writes the object of a document so that Parse reads the same again: fields in the order of the schema, only those that are
// set, durations as "24h", weights of steps as 10%.
func YAML(doc *crossfadev1.Document) ([]byte, error) { return Text(Node(doc)) }

// Text writes a node as YAML.
func Text(n *yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(n); err != nil {
		return nil, err
	}
	return b.Bytes(), enc.Close()
}

// Node turns a message into an ordered tree in the form of documents: fields that are not set are left out.
func Node(m proto.Message) *yaml.Node { return encoder{sparse: true}.message(m.ProtoReflect()) }

// encoder turns messages into trees, in the form of documents or of answers.
type encoder struct {
	sparse  bool // only fields that are set; else every one that cannot be absent
	seconds bool // durations as "86400s", weights of steps as 1000; else as "24h" and 10%
}

func (e encoder) message(m protoreflect.Message) *yaml.Node {
	switch v := m.Interface().(type) {
	case *durationpb.Duration:
		if e.seconds {
			return text(FormatSeconds(v))
		}
		return text(FormatDuration(v))
	case *timestamppb.Timestamp:
		return text(v.AsTime().UTC().Format(time.RFC3339Nano))
	case *crossfadev1.Mirror, *crossfadev1.Rollout:
		e.sparse = true // as in a document, so that it can be applied
	case *crossfadev1.Document:
		if o := Object(v); o != nil {
			return encoder{sparse: true, seconds: e.seconds}.message(o.ProtoReflect())
		}
		return Map()
	}
	out := Map()
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if !hidden(f) && (m.Has(f) || !e.sparse && !f.HasPresence()) {
			Put(out, f.JSONName(), e.field(f, m.Get(f)))
		}
	}
	return out
}

func (e encoder) field(f protoreflect.FieldDescriptor, v protoreflect.Value) *yaml.Node {
	switch {
	case f.IsList():
		out := List()
		for i := range v.List().Len() {
			out.Content = append(out.Content, e.value(f, v.List().Get(i)))
		}
		if f.Message() == nil {
			out.Style = yaml.FlowStyle
		}
		return out
	case f.IsMap():
		out := Map()
		var keys []string
		v.Map().Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
			keys = append(keys, k.String())
			return true
		})
		slices.Sort(keys)
		for _, k := range keys {
			Put(out, k, e.value(f.MapValue(), v.Map().Get(protoreflect.ValueOfString(k).MapKey())))
		}
		if f.MapValue().Message() == nil {
			out.Style = yaml.FlowStyle
		}
		return out
	default:
		return e.value(f, v)
	}
}

func (e encoder) value(f protoreflect.FieldDescriptor, v protoreflect.Value) *yaml.Node {
	if isStepWeight(f) && !e.seconds {
		return text(policy.FormatWeight(policy.BasisPoints(v.Int())))
	}
	switch f.Kind() {
	case protoreflect.MessageKind:
		return e.message(v.Message())
	case protoreflect.BoolKind:
		return scalar("!!bool", strconv.FormatBool(v.Bool()))
	case protoreflect.EnumKind:
		return text(enumName(f.Enum(), v.Enum()))
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		return number(v.Float())
	case protoreflect.StringKind:
		return text(v.String())
	case protoreflect.BytesKind:
		return text(base64.StdEncoding.EncodeToString(v.Bytes()))
	default:
		return scalar("!!int", v.String())
	}
}

// enumName is the name of an enum value in lower case, without the prefix that protobuf asks for: WAIT_NONE is "none".
func enumName(e protoreflect.EnumDescriptor, n protoreflect.EnumNumber) string {
	v := e.Values().ByNumber(n)
	if v == nil {
		return strconv.Itoa(int(n))
	}
	prefix := strings.ToLower(string(e.Name())) + "_"
	return strings.TrimPrefix(strings.ToLower(string(v.Name())), prefix)
}

// number writes a float without exponent; what is not a number becomes null.
func number(v float64) *yaml.Node {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return scalar("!!null", "null")
	}
	s := strconv.FormatFloat(v, 'f', -1, 64)
	switch {
	case strings.Contains(s, "."):
	case math.Abs(v) < 1<<53:
		return scalar("!!int", s)
	default:
		s += ".0" // YAML reads an integer of this size as one or as a float, by its length
	}
	return scalar("!!float", s)
}

func scalar(tag, value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}
}

// text is quoted by the library where YAML 1.2 would read something else, and here where older readers would.
func text(value string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(value)
	switch strings.ToLower(value) {
	case "y", "n", "yes", "no", "on", "off":
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}
