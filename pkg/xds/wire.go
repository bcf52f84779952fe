package xds

import (
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // what the codec falls back on
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

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

// response is a DeltaDiscoveryResponse whose resources are marshalled already. What it carries is shared by all proxies that are sent the same.
type response struct {
	typeURL, nonce string
	*diff
}

// GetTypeUrl, GetNonce and GetResources are those of a DeltaDiscoveryResponse.
func (r *response) GetTypeUrl() string { return r.typeURL }

// GetNonce is what the proxy answers with.
func (r *response) GetNonce() string { return r.nonce }

// GetResources are the resources that are sent, names of those that are gone aside.
func (r *response) GetResources() []*discovery.Resource {
	out := make([]*discovery.Resource, len(r.upserts))
	for i, r := range r.upserts {
		out[i] = r.Resource
	}
	return out
}

// ProtoReflect makes it just that message for a server without our codec.
func (r *response) ProtoReflect() protoreflect.Message {
	return (&discovery.DeltaDiscoveryResponse{
		TypeUrl: r.typeURL, Nonce: r.nonce, Resources: r.GetResources(), RemovedResources: r.removals,
	}).ProtoReflect()
}

// types are the fields that name a type, as they travel.
var types = func() map[string]mem.Buffer {
	out := map[string]mem.Buffer{}
	for _, url := range append(kindURLs[:], resource.SecretType) {
		out[url] = mem.SliceBuffer(protowire.AppendString(protowire.AppendTag(nil, responseTypeURL, protowire.BytesType), url))
	}
	return out
}()

// rest is the response as protobuf but for its type and its resources.
func (r *response) rest() []byte {
	b := make([]byte, 0, len(r.nonce)+2) // mostly that is all
	b = protowire.AppendString(protowire.AppendTag(b, responseNonce, protowire.BytesType), r.nonce)
	for _, name := range r.removals {
		b = protowire.AppendString(protowire.AppendTag(b, responseRemoved, protowire.BytesType), name)
	}
	return b
}

// taker is a message that takes its bytes as they came, holds a reference to them for as long as it needs them, and decodes them itself. See package telemetry.
type taker interface{ TakeWire(data mem.BufferSlice) }

// codec is gRPC's own for protobuf, except that responses to proxies share the bytes of their resources: a thousand proxies that are
// sent the same take the memory of one, and the time to copy it.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2("proto")} }

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	r, ok := v.(*response)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	out := make(mem.BufferSlice, 0, len(r.upserts)+2)
	out = append(out, types[r.typeURL], mem.SliceBuffer(r.rest()))
	for _, i := range r.upserts {
		out = append(out, i.wire)
	}
	return out, nil
}

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if t, ok := v.(taker); ok {
		t.TakeWire(data)
		return nil
	}
	r, ok := v.(*discovery.DeltaDiscoveryRequest)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	whole := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer whole.Free()
	return decodeRequest(whole.ReadOnlyData(), r)
}

// Numbers of the fields of a DeltaDiscoveryResponse.
const (
	responseTypeURL = 4
	responseNonce   = 5
	responseRemoved = 6
)
