package server

import (
	"fmt"
	"strings"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Bounds of what is decoded, since nobody has been asked for a role by then: an empty part takes two bytes on the wire, and a hundred as what it is.
const (
	maxParts   = 200_000   // messages within a request
	largeBytes = 256 << 10 // of a request that may have to wait; in less there is no room for maxParts
	maxLarge   = 2         // of these are decoded at a time
)

// codec reads messages as gRPC's own does, but leaves it to the interceptors to say that one cannot be read: gRPC would answer Internal, as if that were a
// mistake of the server, and of a stream nobody could change that afterwards.
type codec struct {
	encoding.CodecV2
	maxMessage int           // bytes
	large      chan struct{} // holds one for each large message that is being decoded
	broken     sync.Map      // why a message could not be read, by its pointer, until check takes it
}

func newCodec(maxMessage int) *codec {
	return &codec{CodecV2: encoding.GetCodecV2(protocodec.Name), maxMessage: maxMessage, large: make(chan struct{}, maxLarge)}
}

// Unmarshal implements encoding.CodecV2. It has no error for bytes that are no message, or too many: that one stays empty, and check knows it.
func (c *codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	if err := c.read(data, m); err != nil {
		proto.Reset(m)
		c.broken.Store(m, err)
	}
	return nil
}

func (c *codec) read(data mem.BufferSlice, m proto.Message) error {
	n := data.Len()
	_, counts := m.(*crossfadev1.WorkRequest) // of a comparator, which has shown its token; the desk bounds them
	if n > largeBytes && !counts {
		c.large <- struct{}{}
		defer func() { <-c.large }()
	}
	switch {
	case counts:
	case n > c.maxMessage:
		return tooLarge("the request has %d bytes; at most %d are taken", n, c.maxMessage)
	case n > largeBytes:
		whole := data.MaterializeToBuffer(mem.DefaultBufferPool())
		defer whole.Free()
		if countParts(m.ProtoReflect().Descriptor(), whole.ReadOnlyData(), maxParts) > maxParts {
			return tooLarge("the request is made of more than %d parts", maxParts)
		}
		data = mem.BufferSlice{whole}
	}
	if err := c.CodecV2.Unmarshal(data, m); err != nil {
		return malformed(m, err)
	}
	return nil
}

// countParts counts the messages within one, as it is on the wire, until they are more than most. Where the wire is broken decoding ends as well.
func countParts(d protoreflect.MessageDescriptor, wire []byte, most int) (n int) {
	for len(wire) > 0 && n <= most {
		number, kind, tag := protowire.ConsumeTag(wire)
		if tag < 0 {
			return n
		}
		size := protowire.ConsumeFieldValue(number, kind, wire[tag:])
		if f := d.Fields().ByNumber(number); f != nil && f.Message() != nil && kind == protowire.BytesType {
			inner, _ := protowire.ConsumeBytes(wire[tag:])
			n += 1 + countParts(f.Message(), inner, most-n)
		}
		if size < 0 {
			return n
		}
		wire = wire[tag+size:]
	}
	return n
}

// check returns why a message that came in could not be read, if so. Whoever receives one asks, once, before anything is made of it.
func (c *codec) check(message any) error {
	err, broken := c.broken.LoadAndDelete(message)
	if !broken {
		return nil
	}
	return err.(error)
}

func tooLarge(format string, args ...any) error {
	return newStatus(codes.ResourceExhausted, policy.Errors{{Code: "message_too_large", Message: fmt.Sprintf(format, args...), Next: "apply the documents in several calls"}}, nil)
}

func malformed(m proto.Message, err error) error {
	why := strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\u00a0", " "), "proto: ") // the library varies the blank
	return invalid("message_malformed", "", "", fmt.Sprintf("the request cannot be read as a %s: %s", proto.MessageName(m), why),
		"use a client that is generated from the protos of this version, or shadowctl")
}
