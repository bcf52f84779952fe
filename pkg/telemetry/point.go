package telemetry

import (
	"bytes"
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

// number is a NumberDataPoint.
type number struct {
	start, end     uint64
	value          int64
	cluster, class []byte
}

// readNumber reads a NumberDataPoint. Envoy's numbers are whole and not negative.
func readNumber(b []byte) (number, error) {
	var p number
	whole := false
	r := reader{rest: b}
	for r.next() {
		switch {
		case r.is(2, protowire.Fixed64Type):
			p.start = r.value
		case r.is(3, protowire.Fixed64Type):
			p.end = r.value
		case r.is(4, protowire.Fixed64Type):
			whole = false
		case r.is(6, protowire.Fixed64Type):
			whole, p.value = true, int64(r.value)
		case r.is(numberAttributes, protowire.BytesType):
			if err := readAttribute(r.bytes, &p.cluster, &p.class); err != nil {
				return p, err
			}
		}
	}
	switch {
	case r.err != nil:
		return p, r.err
	case !whole || p.value < 0:
		return p, errors.New("a point is not a whole number, or negative")
	}
	return p, nil
}

// histogram reads a HistogramDataPoint.
func (f *flush) histogram(b []byte) error {
	var start, end uint64
	var cluster, class []byte
	var h histogram
	r := reader{rest: b}
	for r.next() {
		switch {
		case r.is(2, protowire.Fixed64Type):
			start = r.value
		case r.is(3, protowire.Fixed64Type):
			end = r.value
		case r.num == 6:
			h.counts = r.packed(h.counts)
		case r.num == 7:
			h.bounds = r.packed(h.bounds)
		case r.is(histogramAttributes, protowire.BytesType):
			if err := readAttribute(r.bytes, &cluster, &class); err != nil {
				return err
			}
		}
	}
	if r.err != nil {
		return r.err
	}
	if err := f.seen(start, end); err != nil {
		return err
	}
	if len(h.counts) != len(h.bounds)+8 {
		return errors.New("a histogram does not have one more counts than bounds")
	}
	origin, _ := bytes.CutSuffix(cluster, eitherSuffix)
	i, err := f.cluster(origin)
	if err != nil || i < 0 {
		return err
	}
	h.delta = i
	f.histograms = append(f.histograms, h)
	return nil
}

// packed adds the current field to a repeated field of 8-byte numbers: all of them in one field, as Envoy writes it, or one by one.
func (r *reader) packed(have []byte) []byte {
	switch r.typ {
	case protowire.BytesType:
		if len(r.bytes)%8 != 0 {
			r.err = errWire
		}
		if len(have) == 0 {
			return r.bytes[:len(r.bytes):len(r.bytes)] // so that an append does not write into the message
		}
		return append(have, r.bytes...)
	case protowire.Fixed64Type:
		return protowire.AppendFixed64(have, r.value)
	}
	return have
}

// readAttribute reads a KeyValue and keeps the two that count here.
func readAttribute(b []byte, cluster, class *[]byte) error {
	var key, value []byte
	r := reader{rest: b}
	for r.next() {
		switch {
		case r.is(1, protowire.BytesType):
			key = r.bytes
		case r.is(2, protowire.BytesType):
			var err error
			if value, err = readString(r.bytes, value); err != nil {
				return err
			}
		}
	}
	if r.err != nil {
		return r.err
	}
	switch string(key) {
	case "envoy.cluster_name":
		*cluster = value
	case "envoy.response_code_class":
		*class = value
	}
	return nil
}

// readString reads an AnyValue that is a string, on top of what an earlier piece of it held; one of another kind is no string.
func readString(b, value []byte) ([]byte, error) {
	r := reader{rest: b}
	for r.next() {
		switch {
		case r.is(1, protowire.BytesType):
			value = r.bytes
		case r.is(2, protowire.VarintType), r.is(3, protowire.VarintType), r.is(4, protowire.Fixed64Type),
			r.is(5, protowire.BytesType), r.is(6, protowire.BytesType), r.is(7, protowire.BytesType):
			value = nil
		}
	}
	return value, r.err
}
