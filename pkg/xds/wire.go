package xds

import (
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // what the codec falls back on
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// item is a resource as it travels. Immutable, shared by all tables and proxies.
type item struct {
	*discovery.Resource
	wire  mem.Buffer // as an element of DeltaDiscoveryResponse.resources
	eds   bool       // see translate.Resource
	files bool       // the same
}

func wrap(r translate.Resource) *item {
	m := &discovery.Resource{Name: r.Name, Version: r.Version, Resource: r.Body}
	b, err := proto.Marshal(&discovery.DeltaDiscoveryResponse{Resources: []*discovery.Resource{m}})
	if err != nil {
		panic("xds: " + r.Name + ": " + err.Error()) // names have been checked, and the body is bytes
	}
	return &item{m, mem.SliceBuffer(b), r.EDS, r.Files}
}

func resourcesOf(items []*item) []*discovery.Resource {
	out := make([]*discovery.Resource, len(items))
	for i, r := range items {
		out[i] = r.Resource
	}
	return out
}

// stream adds to each response the items that it is made of.
type stream struct {
	discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
	session *session
}

// Send implements the stream for the delta server.
func (s stream) Send(r *discovery.DeltaDiscoveryResponse) error {
	return s.SendMsg(&response{r, s.session.itemsOf(r)})
}

// response is a DeltaDiscoveryResponse whose resources are marshalled already. For a server without our codec it is just that message.
type response struct {
	*discovery.DeltaDiscoveryResponse
	items []*item
}

// rest is the response as protobuf but for its resources.
func (r *response) rest() []byte {
	b := make([]byte, 0, len(r.GetTypeUrl())+len(r.GetNonce())+4) // mostly that is all
	b = protowire.AppendString(protowire.AppendTag(b, responseTypeURL, protowire.BytesType), r.GetTypeUrl())
	b = protowire.AppendString(protowire.AppendTag(b, responseNonce, protowire.BytesType), r.GetNonce())
	for _, name := range r.GetRemovedResources() {
		b = protowire.AppendString(protowire.AppendTag(b, responseRemoved, protowire.BytesType), name)
	}
	return b
}

// codec is gRPC's own for protobuf, except that responses to proxies share the bytes of their resources: a thousand proxies that are
// sent the same take the memory of one, and the time to copy it.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2("proto")} }

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	r, ok := v.(*response)
	if !ok || len(r.items) != len(r.GetResources()) {
		return c.CodecV2.Marshal(v)
	}
	out := make(mem.BufferSlice, 0, len(r.items)+1)
	out = append(out, mem.SliceBuffer(r.rest()))
	for _, i := range r.items {
		out = append(out, i.wire)
	}
	return out, nil
}

// Unmarshal implements encoding.CodecV2. Nearly all of a stream's first request is the list of what an Envoy was built with, 61 kB that take
// 137 kB when decoded: it is left out.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	r, ok := v.(*discovery.DeltaDiscoveryRequest)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	whole := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer whole.Free()
	b := without(whole.ReadOnlyData(), requestNode, nodeExtensions)
	if len(b) == whole.Len() {
		return proto.Unmarshal(b, r)
	}
	// A node is nested deeply. Decoded here, it would double the stack of the goroutine that waits for requests, for the life of the stream.
	done := make(chan error)
	go func() { done <- proto.Unmarshal(b, r) }()
	return <-done
}

// Numbers of fields.
const (
	requestNode     = 1 // of a DeltaDiscoveryRequest
	nodeExtensions  = 9 // of a Node
	responseTypeURL = 4 // of a DeltaDiscoveryResponse, like the next ones
	responseNonce   = 5
	responseRemoved = 6
)

// without returns a message without the fields that a path of numbers leads to. What is malformed stays, for the decoder to complain of.
func without(message []byte, path ...protowire.Number) []byte {
	var out []byte
	done := 0 // how much of the message out stands for
	for at := 0; at < len(message); {
		number, kind, n := protowire.ConsumeField(message[at:])
		if n < 0 {
			break
		}
		if number == path[0] && kind == protowire.BytesType {
			out = append(out, message[done:at]...)
			if len(path) > 1 {
				_, _, tag := protowire.ConsumeTag(message[at:])
				inner, _ := protowire.ConsumeBytes(message[at+tag:])
				out = protowire.AppendBytes(protowire.AppendTag(out, number, kind), without(inner, path[1:]...))
			}
			done = at + n
		}
		at += n
	}
	if done == 0 {
		return message
	}
	return append(out, message[done:]...)
}
