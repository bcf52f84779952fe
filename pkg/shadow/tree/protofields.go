package tree

import (
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// fits says that fields have the form on the wire that their descriptor asks for. Otherwise they are unknown, as for every reader.
func fits(fd protoreflect.FieldDescriptor, fields []field) bool {
	want := wireType(fd.Kind())
	packable := fd.IsList() && want != protowire.BytesType && want != protowire.StartGroupType
	for _, f := range fields {
		if f.wire != want && !(packable && f.wire == protowire.BytesType) {
			return false
		}
	}
	return true
}

func wireType(k protoreflect.Kind) protowire.Type {
	switch k {
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	}
	return protowire.VarintType
}

// single adds one value.
func (p *protoReader) single(f field, fd protoreflect.FieldDescriptor, at key, depth int) error {
	switch k := fd.Kind(); k {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return p.message(f.start, f.end, fd.Message(), at, depth+1)
	case protoreflect.StringKind, protoreflect.BytesKind:
		p.bytes(f, at, k == protoreflect.StringKind)
	case protoreflect.BoolKind:
		kind := boolFalse
		if f.value != 0 {
			kind = boolTrue
		}
		p.scalar(kind, at, strconv.AppendBool(p.arena, f.value != 0))
	default:
		kind := number
		if isOdd(k, f.value) {
			kind = odd
		}
		p.scalar(kind, at, appendNumber(p.arena, k, f.value))
	}
	return nil
}

func isOdd(k protoreflect.Kind, v uint64) bool {
	var f float64
	switch k {
	case protoreflect.FloatKind:
		f = float64(math.Float32frombits(uint32(v)))
	case protoreflect.DoubleKind:
		f = math.Float64frombits(v)
	}
	return math.IsNaN(f) || math.IsInf(f, 0)
}

func appendNumber(dst []byte, k protoreflect.Kind, v uint64) []byte {
	switch k {
	case protoreflect.FloatKind:
		return strconv.AppendFloat(dst, float64(math.Float32frombits(uint32(v))), 'g', -1, 32)
	case protoreflect.DoubleKind:
		return strconv.AppendFloat(dst, math.Float64frombits(v), 'g', -1, 64)
	case protoreflect.Sint32Kind, protoreflect.Sint64Kind:
		return strconv.AppendInt(dst, protowire.DecodeZigZag(v), 10)
	case protoreflect.Sfixed32Kind, protoreflect.Int32Kind, protoreflect.EnumKind:
		return strconv.AppendInt(dst, int64(int32(v)), 10)
	case protoreflect.Int64Kind, protoreflect.Sfixed64Kind:
		return strconv.AppendInt(dst, int64(v), 10)
	case protoreflect.Uint32Kind:
		return strconv.AppendUint(dst, uint64(uint32(v)), 10)
	}
	return strconv.AppendUint(dst, v, 10)
}

// list adds a repeated field, packed or not, as an array.
func (p *protoReader) list(from, to int, fd protoreflect.FieldDescriptor, at key, depth int) error {
	n := p.open(array, at)
	for i := from; i < to; i++ {
		f := p.fields[i]
		if f.wire == protowire.BytesType && wireType(fd.Kind()) != protowire.BytesType {
			if err := p.packed(n, f, fd); err != nil {
				return err
			}
			continue
		}
		if err := p.single(f, fd, key{}, depth); err != nil {
			return err
		}
		p.nodes[n].size++
	}
	p.close(n)
	return nil
}

func (p *protoReader) packed(parent int, f field, fd protoreflect.FieldDescriptor) error {
	for at := f.start; at < f.end; {
		rest := p.src[at:f.end]
		one, n := field{wire: wireType(fd.Kind())}, 0
		switch one.wire {
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(rest)
			one.value = uint64(v)
		case protowire.Fixed64Type:
			one.value, n = protowire.ConsumeFixed64(rest)
		default:
			one.value, n = protowire.ConsumeVarint(rest)
		}
		if n < 0 || len(p.nodes) > MaxNodes {
			return ErrSyntax
		}
		at += uint32(n)
		if err := p.single(one, fd, key{}, 0); err != nil {
			return err
		}
		p.nodes[parent].size++
	}
	return nil
}

// mapEntries adds a map as an object, whose keys are values.
func (p *protoReader) mapEntries(from, to int, fd protoreflect.FieldDescriptor, at key, depth int) error {
	n := p.open(object, at)
	p.nodes[n].flags |= mapped
	for i := from; i < to; i++ {
		if err := p.mapEntry(p.fields[i], fd, depth); err != nil {
			return err
		}
		p.nodes[n].size++
	}
	p.close(n)
	return nil
}

func (p *protoReader) mapEntry(entry field, fd protoreflect.FieldDescriptor, depth int) error {
	first := len(p.fields)
	defer func() { p.fields = p.fields[:first] }()
	if err := p.scan(entry.start, entry.end); err != nil {
		return err
	}
	// A key or value that is absent is zero; for a value of bytes or a message that is an empty one.
	k := field{wire: wireType(fd.MapKey().Kind())}
	v := field{wire: wireType(fd.MapValue().Kind()), start: entry.start, end: entry.start}
	for _, f := range p.fields[first:] {
		switch {
		case f.number == 1 && f.wire == k.wire:
			k = f
		case f.number == 2 && f.wire == v.wire:
			v = f
		}
	}
	start := len(p.arena)
	switch kind := fd.MapKey().Kind(); kind {
	case protoreflect.StringKind:
		p.arena = append(p.arena, p.src[k.start:k.end]...)
	default:
		p.arena = appendNumber(p.arena, kind, k.value)
	}
	return p.single(v, fd.MapValue(), key{uint32(start), uint32(len(p.arena)), keyInArena}, depth)
}
