package xds

import (
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // what the codec falls back on
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// item is a resource as it travels. Immutable, shared by all tables and proxies.
type item struct {
	*discovery.Resource
	wire mem.Buffer // as an element of DeltaDiscoveryResponse.resources
}

func wrap(r translate.Resource) *item {
	m := &discovery.Resource{Name: r.Name, Version: r.Version, Resource: r.Body}
	b, err := proto.Marshal(&discovery.DeltaDiscoveryResponse{Resources: []*discovery.Resource{m}})
	if err != nil {
		panic("xds: " + r.Name + ": " + err.Error()) // names have been checked, and the body is bytes
	}
	return &item{m, mem.SliceBuffer(b)}
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
	rest, err := proto.Marshal(&discovery.DeltaDiscoveryResponse{
		TypeUrl: r.GetTypeUrl(), Nonce: r.GetNonce(), RemovedResources: r.GetRemovedResources(),
	})
	if err != nil {
		return nil, err
	}
	out := make(mem.BufferSlice, 0, len(r.items)+1)
	out = append(out, mem.SliceBuffer(rest))
	for _, i := range r.items {
		out = append(out, i.wire)
	}
	return out, nil
}
