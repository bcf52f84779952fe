package shadowtest

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// GRPCPath is the path of the gRPC method.
const GRPCPath = "/shop.Orders/Get"

// protoFields are the fields of the message that the method answers: strings 1 to fields, and what no descriptor names.
type protoFields struct {
	values  [fields]string
	present [fields]bool
	unknown map[int]string
}

func newProtoFields(id uint64) protoFields {
	p := protoFields{unknown: map[int]string{}}
	for i := range fields {
		p.values[i], p.present[i] = string(rune('a'+(id+uint64(i))%26))+" value", true
	}
	return p
}

func (p *protoFields) change(s spot, what string) {
	switch s.kind {
	case "proto_value":
		p.values[s.field] = what
	case "proto_missing":
		p.present[s.field] = false
	default:
		p.unknown[100+s.field] = what
	}
}

func (p *protoFields) encode() []byte {
	var b []byte
	for i := range fields {
		if p.present[i] {
			b = protowire.AppendString(protowire.AppendTag(b, protowire.Number(i+1), protowire.BytesType), p.values[i])
		}
	}
	for n := 100; n < 100+fields; n++ {
		if v, ok := p.unknown[n]; ok {
			b = protowire.AppendString(protowire.AppendTag(b, protowire.Number(n), protowire.BytesType), v)
		}
	}
	return b
}

func protoName(i int) string { return "field_" + string(rune('a'+i)) }

// Descriptors is the FileDescriptorSet of the gRPC service.
func Descriptors() []byte {
	message := &descriptorpb.DescriptorProto{Name: proto.String("Order")}
	for i := range fields {
		message.Field = append(message.Field, &descriptorpb.FieldDescriptorProto{
			Name: proto.String(protoName(i)), Number: proto.Int32(int32(i + 1)), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
			Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(),
		})
	}
	file := &descriptorpb.FileDescriptorProto{
		Name: proto.String("shop.proto"), Package: proto.String("shop"), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{message, {Name: proto.String("Request")}},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: proto.String("Orders"), Method: []*descriptorpb.MethodDescriptorProto{{
			Name: proto.String("Get"), InputType: proto.String(".shop.Request"), OutputType: proto.String(".shop.Order"),
		}}}},
	}
	out, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{file}})
	if err != nil {
		panic(err) // it is a constant
	}
	return out
}
