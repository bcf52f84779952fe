package statsim

import (
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// Messages are written by hand: an object for each of 100,000 numbers would make the simulator dearer than what it measures.

// nested appends a field that is a message, whose content body appends.
func nested(b []byte, num protowire.Number, body func([]byte) []byte) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	at := len(b)
	b = body(b)
	n := len(b) - at
	var length [binary.MaxVarintLen64]byte
	width := binary.PutUvarint(length[:], uint64(n))
	b = append(b, length[:width]...)
	copy(b[at+width:], b[at:at+n])
	copy(b[at:], length[:width])
	return b
}

func text(b []byte, num protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), s)
}

// varint appends a number; 0 is left out.
func varint(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

func fixed(b []byte, num protowire.Number, v uint64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(b, num, protowire.Fixed64Type), v)
}

func float(b []byte, num protowire.Number, v float64) []byte {
	return fixed(b, num, math.Float64bits(v))
}

// raw is a codec for messages that are bytes already: *[]byte.
type raw struct{}

// Name is that of the codec for protobuf, which is what the bytes are.
func (raw) Name() string { return "proto" }

// Marshal hands over the bytes as they are. They must not be changed until the call has ended.
func (raw) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("statsim: %T is not a message", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(*b)}, nil
}

// Unmarshal copies the bytes.
func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("statsim: %T is not a message", v)
	}
	*b = data.Materialize()
	return nil
}
