package tree

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/structpb"
)

// describe makes a descriptor of a message with a field of each sort.
func describe(t testing.TB) protoreflect.MessageDescriptor {
	t.Helper()
	typ := func(k descriptorpb.FieldDescriptorProto_Type) *descriptorpb.FieldDescriptorProto_Type {
		return k.Enum()
	}
	one, many := descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(), descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	field := func(n int32, name string, label *descriptorpb.FieldDescriptorProto_Label, k descriptorpb.FieldDescriptorProto_Type, of string) *descriptorpb.FieldDescriptorProto {
		f := &descriptorpb.FieldDescriptorProto{Name: proto.String(name), Number: proto.Int32(n), Label: label, Type: typ(k)}
		if of != "" {
			f.TypeName = proto.String(of)
		}
		return f
	}
	entry := &descriptorpb.DescriptorProto{
		Name: proto.String("ByNameEntry"), Options: &descriptorpb.MessageOptions{MapEntry: proto.Bool(true)},
		Field: []*descriptorpb.FieldDescriptorProto{field(1, "key", one, descriptorpb.FieldDescriptorProto_TYPE_STRING, ""), field(2, "value", one, descriptorpb.FieldDescriptorProto_TYPE_INT32, "")},
	}
	message := &descriptorpb.DescriptorProto{
		Name: proto.String("M"), NestedType: []*descriptorpb.DescriptorProto{entry},
		Field: []*descriptorpb.FieldDescriptorProto{
			field(1, "id", one, descriptorpb.FieldDescriptorProto_TYPE_INT64, ""), field(2, "name", one, descriptorpb.FieldDescriptorProto_TYPE_STRING, ""),
			field(3, "child", one, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, ".t.M"), field(4, "nums", many, descriptorpb.FieldDescriptorProto_TYPE_SINT32, ""),
			field(5, "by_name", many, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, ".t.M.ByNameEntry"), field(6, "ratio", one, descriptorpb.FieldDescriptorProto_TYPE_DOUBLE, ""),
			field(7, "ok", one, descriptorpb.FieldDescriptorProto_TYPE_BOOL, ""), field(8, "raw", one, descriptorpb.FieldDescriptorProto_TYPE_BYTES, ""),
			field(9, "children", many, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, ".t.M"), field(10, "fixed", many, descriptorpb.FieldDescriptorProto_TYPE_FIXED32, ""),
		},
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{Name: proto.String("t.proto"), Package: proto.String("t"), Syntax: proto.String("proto3"), MessageType: []*descriptorpb.DescriptorProto{message}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file.Messages().Get(0)
}

// The forms on the wire.
func vi(n protowire.Number, v uint64) string {
	return string(protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), v))
}

func by(n protowire.Number, v string) string {
	return string(protowire.AppendString(protowire.AppendTag(nil, n, protowire.BytesType), v))
}

func f64(n protowire.Number, v uint64) string {
	return string(protowire.AppendFixed64(protowire.AppendTag(nil, n, protowire.Fixed64Type), v))
}

func foundProto(t testing.TB, a, b string, desc protoreflect.MessageDescriptor) string {
	t.Helper()
	var x, y Doc
	if err := x.ReadProto([]byte(a), [][2]int{{0, len(a)}}, desc, false); err != nil {
		return "first: " + err.Error()
	}
	if err := y.ReadProto([]byte(b), [][2]int{{0, len(b)}}, desc, false); err != nil {
		return "second: " + err.Error()
	}
	var out []string
	NewDiffer(func(f Found) {
		out = append(out, fmt.Sprintf("%s %s %s %s", kindNames[f.Kind], f.Path, f.Control.Type, f.Other.Type))
	}).Diff(&x, &y, nil)
	return strings.Join(out, "; ")
}

func TestProto(t *testing.T) {
	desc := describe(t)
	packed := func(vs ...uint64) string {
		var b []byte
		for _, v := range vs {
			b = protowire.AppendVarint(b, v)
		}
		return string(b)
	}
	nan := uint64(0x7ff8000000000001)
	for name, c := range map[string]struct{ a, b, want, plain string }{
		"the order of fields":    {a: vi(1, 5) + by(2, "x"), b: by(2, "x") + vi(1, 5)},
		"zero is absent":         {a: vi(1, 0) + by(2, ""), b: "", plain: "missing $.#1 number absent; missing $.#2 string absent"},
		"number":                 {a: vi(1, 5), b: vi(1, 6), want: "number $.id number number", plain: "number $.#1 number number"},
		"negative":               {a: vi(1, ^uint64(0)), b: vi(1, ^uint64(0))},
		"last one counts":        {a: vi(1, 4) + vi(1, 5), b: vi(1, 5), plain: "type $.#1 array number"},
		"string":                 {a: by(2, "x"), b: by(2, "y"), want: "value $.name string string", plain: "value $.#2 string string"},
		"missing":                {a: by(2, "x"), b: "", want: "missing $.name string absent", plain: "missing $.#2 string absent"},
		"child":                  {a: by(3, vi(1, 5)), b: by(3, vi(1, 6)), want: "number $.child.id number number", plain: "number $.#3.#1 number number"},
		"empty child is present": {a: by(3, ""), b: "", want: "missing $.child object absent", plain: "missing $.#3 string absent"},
		"packed or not":          {a: by(4, packed(2, 4)), b: vi(4, 2) + vi(4, 4), plain: "type $.#4 object array"},
		"element":                {a: by(4, packed(2, 4)), b: by(4, packed(2, 6)), want: "number $.nums[*] number number", plain: "type $.#4 object string"},
		"order":                  {a: by(4, packed(2, 4)), b: by(4, packed(4, 2)), want: "order $.nums array array", plain: "type $.#4 object string"},
		"order of a map":         {a: by(5, by(1, "a")+vi(2, 1)) + by(5, by(1, "b")+vi(2, 2)), b: by(5, by(1, "b")+vi(2, 2)) + by(5, by(1, "a")+vi(2, 1)), plain: "order $.#5 array array"},
		"keys of a map":          {a: by(5, by(1, "ann")+vi(2, 1)), b: by(5, by(1, "ann")+vi(2, 2)), want: "number $.by_name.{key} number number", plain: "number $.#5.#2 number number"},
		"nan":                    {a: f64(6, nan), b: f64(6, nan)},
		"bool":                   {a: vi(7, 1), b: vi(7, 0), want: "missing $.ok bool absent", plain: "number $.#7 number number"},
		"bytes":                  {a: by(8, "\xff\x00"), b: by(8, "\xff\x01"), want: "value $.raw bytes bytes", plain: "value $.#8 bytes bytes"},
		"unknown":                {a: vi(1, 1) + vi(99, 1), b: vi(1, 1) + vi(99, 2), want: "number $.#99 number number", plain: "number $.#99 number number"},
		"another form":           {a: by(1, "x"), b: by(1, "y"), want: "value $.#1 string string", plain: "value $.#1 string string"},
		"cut off":                {a: vi(1, 1), b: "\x12\x05x", want: "second: not well-formed", plain: "second: not well-formed"},
		"list of messages":       {a: by(9, vi(1, 1)) + by(9, vi(1, 2)), b: by(9, vi(1, 1)) + by(9, vi(1, 3)), want: "number $.children[*].id number number", plain: "number $.#9[*].#1 number number"},
	} {
		if got := foundProto(t, c.a, c.b, desc); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if got := foundProto(t, c.a, c.b, nil); got != c.plain && name != "packed or not" && name != "element" && name != "order" {
			t.Errorf("%s, without descriptor: %q, want %q", name, got, c.plain)
		}
	}
}

func TestDeepMessages(t *testing.T) {
	deep := by(2, "x")
	for range 150 {
		deep = by(3, deep)
	}
	if got := foundProto(t, deep, deep, describe(t)); got != "first: nested too deeply" {
		t.Error(got)
	}
	if got := foundProto(t, deep, deep, nil); got != "" {
		t.Error(got)
	}
}

// FuzzProto: nothing panics; what the library reads is read, and equal to itself.
func FuzzProto(f *testing.F) {
	f.Add([]byte(vi(1, 5)+by(2, "x")+by(3, vi(1, 1))), []byte(by(4, "\x01\x02")+by(5, by(1, "k")+vi(2, 1))))
	desc := describe(f)
	valueDesc := (&structpb.Value{}).ProtoReflect().Descriptor()
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var x, y Doc
		n := 0
		d := NewDiffer(func(Found) { n++ })
		for _, desc := range []protoreflect.MessageDescriptor{nil, desc, valueDesc} {
			errX := x.ReadProto(a, [][2]int{{0, len(a)}}, desc, false)
			errY := y.ReadProto(b, [][2]int{{0, len(b)}}, desc, true)
			if desc == valueDesc && errX != nil && proto.Unmarshal(a, &structpb.Value{}) == nil && len(a) < 100 {
				t.Fatalf("%x: %v", a, errX)
			}
			if errX == nil {
				if d.Diff(&x, &x, nil); n > 0 {
					t.Fatalf("%x differs from itself", a)
				}
			}
			if errX == nil && errY == nil {
				d.Diff(&x, &y, nil)
				n = 0
			}
		}
	})
}
