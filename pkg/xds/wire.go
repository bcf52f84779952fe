package xds

import (
	"fmt"
	"slices"
	"unicode/utf8"

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

// Unmarshal implements encoding.CodecV2. Nearly all of a stream's first request is the list of what an Envoy was built with, 61 kB that take
// 137 kB when decoded: it is left out, as are other lists that nobody reads and of which an element travels in two bytes and takes a hundred.
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
	if acknowledgement(whole.ReadOnlyData(), r) {
		return nil
	}
	b := whole.ReadOnlyData()
	b = without(b, nodeLists, requestNode)
	b = without(b, locators) // of a kind of names that we do not serve
	b = withoutMore(b, maxNames+1)
	b = without(b, []protowire.Number{statusDetails}, requestError)
	if n := lengthOf(b, requestNode); n > maxNodeBytes {
		return fmt.Errorf("the node has %d bytes, extensions aside; at most %d are taken", n, maxNodeBytes)
	}
	if len(b) == whole.Len() {
		return proto.Unmarshal(b, r)
	}
	// A node is nested deeply. Decoded here, it would double the stack of the goroutine that waits for requests, for the life of the stream.
	done := make(chan error)
	go func() { done <- proto.Unmarshal(b, r) }()
	return <-done
}

// acknowledgement decodes a request that is nothing else, as nearly all are: a type that is served, and a nonce.
func acknowledgement(b []byte, r *discovery.DeltaDiscoveryRequest) bool {
	var typeURL, nonce string
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 || kind != protowire.BytesType {
			return false
		}
		value, m := protowire.ConsumeBytes(b[n:])
		if m < 0 {
			return false
		}
		b = b[n+m:]
		switch number {
		case requestTypeURL:
			k, served := kindByURL[string(value)]
			if !served {
				return false
			}
			typeURL = kindURLs[k]
		case requestNonce:
			if !utf8.Valid(value) {
				return false
			}
			nonce = string(value)
		default:
			return false
		}
	}
	r.Reset()
	r.TypeUrl, r.ResponseNonce = typeURL, nonce
	return true
}

// Numbers of fields.
const (
	requestNode    = 1 // of a DeltaDiscoveryRequest, like the next ones
	requestTypeURL = 2
	requestAdded   = 3 // names
	requestRemoved = 4
	requestHas     = 5 // names and versions
	requestNonce   = 6
	requestError   = 7

	requestLocatorsAdded   = 8
	requestLocatorsRemoved = 9

	statusDetails   = 3 // of the Status of an error
	nodeExtensions  = 9 // of a Node, like the next ones
	nodeFeatures    = 10
	nodeAddresses   = 11
	responseTypeURL = 4 // of a DeltaDiscoveryResponse, like the next ones
	responseNonce   = 5
	responseRemoved = 6
)

// What is left out of requests: elements of lists that nobody reads.
var (
	nodeLists = []protowire.Number{nodeExtensions, nodeFeatures, nodeAddresses}
	locators  = []protowire.Number{requestLocatorsAdded, requestLocatorsRemoved}
	nameLists = []protowire.Number{requestAdded, requestRemoved, requestHas} // what is more than anybody may ask for
)

// maxNodeBytes bounds a node without those lists: decoded, metadata takes up to thirty times what it takes on its way.
const maxNodeBytes = 4 << 20

// lengthOf is how many bytes the fields of a number have, all together.
func lengthOf(message []byte, of protowire.Number) (sum int) {
	for len(message) > 0 {
		number, _, n := protowire.ConsumeField(message)
		if n < 0 {
			break
		}
		if number == of {
			sum += n
		}
		message = message[n:]
	}
	return sum
}

// withoutMore returns a request without what comes after so many names of one list: a name travels in two bytes and takes sixteen when decoded. What is
// left is one too many, so that [session.bound] refuses it.
func withoutMore(request []byte, most int) []byte {
	var names [requestHas + 1]int
	for at := 0; at < len(request); {
		number, _, n := protowire.ConsumeField(request[at:])
		if n < 0 {
			break
		}
		if slices.Contains(nameLists, number) {
			if names[number]++; names[number] > most {
				return slices.Concat(request[:at], without(request[at:], nameLists))
			}
		}
		at += n
	}
	return request
}

// without returns a message without some fields, of the messages that a path of numbers leads to. What is malformed stays, for the decoder to complain of.
func without(message []byte, fields []protowire.Number, path ...protowire.Number) []byte {
	var out []byte
	done := 0 // how much of the message out stands for
	for at := 0; at < len(message); {
		number, kind, n := protowire.ConsumeField(message[at:])
		if n < 0 {
			break
		}
		switch {
		case kind != protowire.BytesType:
		case len(path) == 0 && slices.Contains(fields, number):
			out = append(out, message[done:at]...)
			done = at + n
		case len(path) > 0 && number == path[0]:
			_, _, tag := protowire.ConsumeTag(message[at:])
			inner, _ := protowire.ConsumeBytes(message[at+tag:])
			out = append(out, message[done:at]...)
			out = protowire.AppendBytes(protowire.AppendTag(out, number, kind), without(inner, fields, path[1:]...))
			done = at + n
		}
		at += n
	}
	if done == 0 {
		return message
	}
	return append(out, message[done:]...)
}
