package deltaclient

import (
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// wireResource is a resource as it stands in a response. Its slices point into the response.
type wireResource struct {
	name, version, body []byte
}

// wireResponse is a DeltaDiscoveryResponse of which only the envelope is decoded. It is used again for the next one.
type wireResponse struct {
	typeURL, nonce []byte
	resources      []wireResource
	removed        [][]byte
	size           int
	buffer         mem.Buffer
}

// codec takes responses apart itself, and leaves what is sent to protobuf.
type codec struct{}

// Name says that both ends speak protobuf.
func (codec) Name() string { return "proto" }

// Marshal encodes a request.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is not a message", v)
	}
	b, err := proto.Marshal(m)
	return mem.BufferSlice{mem.SliceBuffer(b)}, err
}

// Unmarshal takes the envelope of a response apart.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	r, ok := v.(*wireResponse)
	if !ok {
		return fmt.Errorf("%T is not a response", v)
	}
	r.free()
	r.buffer = data.MaterializeToBuffer(mem.DefaultBufferPool())
	return r.parse(r.buffer.ReadOnlyData())
}

// kept is how many resources a response has room for once it was taken: of the first ones, which bring everything, the room would be a third
// of what a client needs for as long as its stream lasts.
const kept = 16

// free lets go of the bytes.
func (r *wireResponse) free() {
	if r.buffer != nil {
		r.buffer.Free()
	}
	if cap(r.resources) > kept {
		r.resources = nil
	}
	clear(r.resources)
	clear(r.removed)
	*r = wireResponse{resources: r.resources[:0], removed: r.removed[:0]}
}

func (r *wireResponse) parse(b []byte) error {
	r.size = len(b)
	return fields(b, func(number protowire.Number, value []byte) (err error) {
		switch number {
		case 2:
			var resource wireResource
			if resource, err = parseResource(value); err == nil {
				r.resources = append(r.resources, resource)
			}
		case 4:
			r.typeURL = value
		case 5:
			r.nonce = value
		case 6:
			r.removed = append(r.removed, value)
		}
		return err
	})
}

func parseResource(b []byte) (r wireResource, err error) {
	err = fields(b, func(number protowire.Number, value []byte) error {
		switch number {
		case 1:
			r.version = value
		case 2:
			return fields(value, func(number protowire.Number, value []byte) error {
				if number == 2 {
					r.body = value
				}
				return nil
			})
		case 3:
			r.name = value
		}
		return nil
	})
	return r, err
}

var errWire = errors.New("not a message")

// fields calls f for each field that has bytes and passes over the others.
func fields(b []byte, f func(number protowire.Number, value []byte) error) error {
	for len(b) > 0 {
		number, form, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errWire
		}
		b = b[n:]
		if form != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, form, b); n < 0 {
				return errWire
			}
			b = b[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return errWire
		}
		if err := f(number, value); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// Sum is what one resource adds to the checksum of all that a client holds, which is the XOR of them: it does not depend on the order
// in which they came, nor on how a control plane counts versions.
func Sum(typeURL, name string, body []byte) uint64 {
	var d xxhash.Digest
	_, _ = d.WriteString(typeURL)
	_, _ = d.WriteString("\x00" + name + "\x00")
	_, _ = d.Write(body)
	return d.Sum64()
}
