package shadow

import (
	"encoding/binary"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/rule"
)

// Descriptors know the messages of gRPC services. They are never changed.
type Descriptors struct{ files *protoregistry.Files }

// MaxDescriptorBytes bounds a set of descriptors.
const MaxDescriptorBytes = 4 << 20

// ReadDescriptors reads a FileDescriptorSet, as protoc --include_imports --descriptor_set_out or buf build writes it.
func ReadDescriptors(set []byte) (*Descriptors, *policy.Error) {
	wrong := func(message string) *policy.Error {
		return &policy.Error{Kind: policy.Invalid, Code: "descriptors_invalid", Field: "descriptors", Message: message, Next: "make it with protoc --include_imports --descriptor_set_out, or buf build"}
	}
	if len(set) > MaxDescriptorBytes {
		return nil, wrong(fmt.Sprintf("has %d bytes; at most %d are allowed", len(set), MaxDescriptorBytes))
	}
	var fds descriptorpb.FileDescriptorSet
	if proto.Unmarshal(set, &fds) != nil {
		return nil, wrong("is not a FileDescriptorSet")
	}
	files, err := protodesc.NewFiles(&fds)
	if err != nil {
		return nil, wrong("is incomplete or contradicts itself")
	}
	return &Descriptors{files}, nil
}

// output is the message that a method answers, by its path; nil if it is not known.
func (d *Descriptors) output(path string) protoreflect.MessageDescriptor {
	service, method, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if d == nil || !ok {
		return nil
	}
	found, err := d.files.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil
	}
	if s, ok := found.(protoreflect.ServiceDescriptor); ok {
		if m := s.Methods().ByName(protoreflect.Name(method)); m != nil {
			return m.Output()
		}
	}
	return nil
}

// grpc compares messages in the frames of gRPC. A body that was cut off is compared as bytes.
func (c *Comparer) grpc(p *Pair, a, b *Answer, prefix bool, v *rule.View) {
	if prefix {
		c.text(KindBinary, a, b, v)
		return
	}
	bodyA, errA := c.frames(a, &c.framesA)
	bodyB, errB := c.frames(b, &c.framesB)
	asArray := len(c.framesA) != 1 || len(c.framesB) != 1
	desc := c.descs.output(p.Path)
	if errA == nil {
		errA = c.a.ReadProto(bodyA, c.framesA, desc, asArray)
	}
	if errB == nil {
		errB = c.b.ReadProto(bodyB, c.framesB, desc, asArray)
	}
	c.proto = true
	c.structure(a, b, errA, errB, v)
}

// maxFrames is how many messages of one body are read.
const maxFrames = 10_000

// frames finds the messages of a body. Those that are compressed are decoded one after the other; then all are copied.
func (c *Comparer) frames(a *Answer, out *[][2]int) ([]byte, error) {
	*out = (*out)[:0]
	packed := false
	at := 0
	for at < len(a.Body) {
		if len(a.Body)-at < 5 || len(*out) >= maxFrames {
			return nil, errFrame
		}
		n := int(binary.BigEndian.Uint32(a.Body[at+1:]))
		if n > len(a.Body)-at-5 || a.Body[at] > 1 {
			return nil, errFrame
		}
		packed = packed || a.Body[at] == 1
		*out = append(*out, [2]int{at + 5, at + 5 + n})
		at += 5 + n
	}
	if !packed {
		return a.Body, nil
	}
	return c.unpack(a, *out)
}

// unpack decodes the messages of a body into a new one.
func (c *Comparer) unpack(a *Answer, frames [][2]int) ([]byte, error) {
	encoding := first(a.Headers, "Grpc-Encoding")
	var body []byte
	for i, f := range frames {
		message := a.Body[f[0]:f[1]]
		if a.Body[f[0]-5] == 1 {
			decoded, over, err := Decode(encoding, message, DecodeLimits{Bytes: 4 << 20, Ratio: 200})
			if err != nil || over {
				return nil, errFrame
			}
			message = decoded
		}
		if len(body)+len(message) > maxUnpacked {
			return nil, errFrame
		}
		start := len(body)
		body = append(body, message...)
		frames[i] = [2]int{start, len(body)}
	}
	return body, nil
}

// maxUnpacked bounds the messages of one body together.
const maxUnpacked = 8 << 20

// protobuf compares bodies that are one message, of which nothing is known.
func (c *Comparer) protobuf(a, b *Answer, prefix bool, v *rule.View) {
	if prefix {
		c.text(KindBinary, a, b, v)
		return
	}
	errA := c.a.ReadProto(a.Body, [][2]int{{0, len(a.Body)}}, nil, false)
	errB := c.b.ReadProto(b.Body, [][2]int{{0, len(b.Body)}}, nil, false)
	c.proto = true
	c.structure(a, b, errA, errB, v)
}
