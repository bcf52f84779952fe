package telemetry

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

// errWire is what every message gets that is not protobuf.
var errWire = errors.New("not a valid protobuf message")

// reader walks the fields of one message, without copying. As in the generated decoders, a field of a known number but another wire type is
// an unknown field.
type reader struct {
	rest  []byte
	num   protowire.Number
	typ   protowire.Type
	bytes []byte // value of a field of BytesType
	value uint64 // value of a field of a numeric type
	err   error
}

// next goes to the next field; false at the end and at an error.
func (r *reader) next() bool {
	if len(r.rest) == 0 || r.err != nil {
		return false
	}
	num, typ, n := protowire.ConsumeTag(r.rest)
	if n < 0 {
		return r.fail()
	}
	r.num, r.typ, r.rest = num, typ, r.rest[n:]
	switch typ {
	case protowire.BytesType:
		r.bytes, n = protowire.ConsumeBytes(r.rest)
	case protowire.VarintType:
		r.value, n = protowire.ConsumeVarint(r.rest)
	case protowire.Fixed64Type:
		r.value, n = protowire.ConsumeFixed64(r.rest)
	default:
		n = protowire.ConsumeFieldValue(num, typ, r.rest)
	}
	if n < 0 {
		return r.fail()
	}
	r.rest = r.rest[n:]
	return true
}

func (r *reader) fail() bool {
	r.err = errWire
	return false
}

// is says whether the field has a number and a type.
func (r *reader) is(num protowire.Number, typ protowire.Type) bool {
	return r.num == num && r.typ == typ
}
