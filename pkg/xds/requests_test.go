package xds

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// What an Envoy was built with is 61 kB of its node: a thousand of them, decoded and kept, took 137 MB.
func TestRequestsLoseTheListOfExtensions(t *testing.T) {
	for name, extensions := range map[string]int{"none": 0, "some": 3} {
		t.Run(name, func(t *testing.T) {
			// In two pieces, as it may arrive.
			b := encoded(t, request(extensions))
			got := &discovery.DeltaDiscoveryRequest{}
			if err := newCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(b[:5]), mem.SliceBuffer(b[5:])}, got); err != nil {
				t.Fatal(err)
			}
			if want := request(0); !proto.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

// TestListsThatNobodyReadsTakeNoMemory: an element of them travels in two bytes and takes a hundred when decoded.
func TestListsThatNobodyReadsTakeNoMemory(t *testing.T) {
	var lists []byte
	for _, number := range nodeLists {
		for range 1000 {
			lists = protowire.AppendBytes(protowire.AppendTag(lists, number, protowire.BytesType), nil)
		}
	}
	r := request(0)
	r.ErrorDetail = &statuspb.Status{Message: "no"}
	refusal := encoded(t, r.GetErrorDetail())
	for range 1000 {
		refusal = protowire.AppendBytes(protowire.AppendTag(refusal, statusDetails, protowire.BytesType), nil)
	}
	node := append(encoded(t, r.GetNode()), lists...)
	r.Node, r.ErrorDetail = nil, nil
	b := append(protowire.AppendBytes(protowire.AppendTag(nil, requestNode, protowire.BytesType), node), encoded(t, r)...)
	b = protowire.AppendBytes(protowire.AppendTag(b, requestError, protowire.BytesType), refusal)
	want := request(0)
	want.ErrorDetail = &statuspb.Status{Message: "no"}
	got := &discovery.DeltaDiscoveryRequest{}
	if err := newCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(b)}, got); err != nil || !proto.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestNamesAreCountedBeforeTheyAreDecoded: an empty one travels in two bytes and takes sixteen, a few hundred megabytes in one message.
func TestNamesAreCountedBeforeTheyAreDecoded(t *testing.T) {
	for _, number := range []protowire.Number{requestAdded, requestRemoved, requestHas} {
		b := encoded(t, &discovery.DeltaDiscoveryRequest{TypeUrl: kindURLs[clusters]})
		for i := range 3 * maxNames {
			var element []byte
			if number == requestHas { // versions are a map, of which equal keys are one
				element = protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), strconv.Itoa(i))
			}
			b = protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), element)
		}
		b = append(b, encoded(t, &discovery.DeltaDiscoveryRequest{ResponseNonce: "7"})...)
		got := &discovery.DeltaDiscoveryRequest{}
		if err := newCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(b)}, got); err != nil {
			t.Fatal(err)
		}
		if n := len(got.GetResourceNamesSubscribe()) + len(got.GetResourceNamesUnsubscribe()) + len(got.GetInitialResourceVersions()); n != maxNames+1 {
			t.Errorf("of list %d, %d names are decoded", number, n)
		}
		if got.GetResponseNonce() != "7" {
			t.Errorf("with list %d, what comes after it is lost", number)
		}
		if err := newSession(NewServer(Options{}), "?", time.Now()).bound(got); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("list %d: %v", number, err)
		}
	}
}

func TestANodeIsBounded(t *testing.T) {
	for _, c := range []struct {
		metadata int
		ok       bool
	}{{3 << 20, true}, {5 << 20, false}} {
		r := request(3)
		r.Node.Metadata.Fields["more"] = structpb.NewStringValue(strings.Repeat("x", c.metadata))
		err := newCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(encoded(t, r))}, &discovery.DeltaDiscoveryRequest{})
		if (err == nil) != c.ok || err != nil && !strings.Contains(err.Error(), "at most 4194304") {
			t.Errorf("metadata of %d bytes: %v", c.metadata, err)
		}
	}
	empty := slices.Repeat(protowire.AppendBytes(protowire.AppendTag(nil, requestNode, protowire.BytesType), nil), maxNodeBytes/2+1)
	if err := decodeRequest(empty, &discovery.DeltaDiscoveryRequest{}); err == nil || !strings.Contains(err.Error(), "at most 4194304") {
		t.Errorf("a node in millions of empty pieces: %v", err)
	}
}

// returning is the request of a proxy that comes back with so many resources of a kind.
func returning(resources int) *discovery.DeltaDiscoveryRequest {
	r := request(300)
	r.InitialResourceVersions = map[string]string{}
	for i := range resources {
		name := fmt.Sprintf("service-%04d/eks", i)
		r.ResourceNamesSubscribe = append(r.ResourceNamesSubscribe, name)
		r.InitialResourceVersions[name] = strconv.Itoa(1_000_000 + i)
	}
	return r
}

// FuzzRequest holds our way of decoding against protobuf's: what that takes, we take, less what nobody reads.
func FuzzRequest(f *testing.F) {
	ack := &discovery.DeltaDiscoveryRequest{TypeUrl: kindURLs[levers], ResponseNonce: "12"}
	refusal := &discovery.DeltaDiscoveryRequest{TypeUrl: kindURLs[clusters], ErrorDetail: &statuspb.Status{Message: "no"}, ResourceNamesUnsubscribe: []string{"a"}}
	entry := func(fields ...byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, requestHas, protowire.BytesType), fields)
	}
	for _, b := range [][]byte{
		encoded(f, ack),
		append(encoded(f, ack), encoded(f, ack)...),
		encoded(f, &discovery.DeltaDiscoveryRequest{TypeUrl: kindURLs[levers]}),
		encoded(f, &discovery.DeltaDiscoveryRequest{TypeUrl: "another", ResourceLocatorsSubscribe: []*discovery.ResourceLocator{{Name: "x"}}}),
		append(encoded(f, refusal), encoded(f, refusal)...), // errors are merged
		encoded(f, request(0)),
		append(encoded(f, request(1)), encoded(f, request(2))...), // so are nodes
		append(encoded(f, request(1)), 0x0a, 0x7f),                // cut off
		encoded(f, returning(3)),
		append(encoded(f, returning(3)), encoded(f, returning(2))...),
		entry(),
		entry(0x12, 0x01, 'v'), // without a name
		entry(0x0a, 0x01, 'a', 0x0a, 0x01, 'b', 0x18, 1), // with two, and another field
		entry(0x0a, 0x01, 0xff),                          // no UTF-8
		{0x12, 0x7f},
		{0x32, 0x01, 0xff}, // no UTF-8
		{0x12, 0x00, 0x10, 0x01, 0x14},
		{0x0b, 0x0c}, // a group
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := slices.Clone(b)
		want, got := &discovery.DeltaDiscoveryRequest{}, request(1) // left of the request before
		wrong := proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(b, want)
		err := decodeRequest(b, got)
		if !slices.Equal(b, before) {
			t.Error("it wrote into what it was given")
		}
		if wrong != nil {
			return // perhaps in what is left out
		}
		if m := want.Node.ProtoReflect(); m.IsValid() {
			for _, number := range nodeLists {
				m.Clear(m.Descriptor().Fields().ByNumber(number))
			}
		}
		if want.ErrorDetail != nil {
			want.ErrorDetail.Details = nil
		}
		want.ResourceLocatorsSubscribe, want.ResourceLocatorsUnsubscribe = nil, nil
		if err != nil || !proto.Equal(got, want) {
			t.Errorf("%x: got %v, %v, want %v", b, got, err, want)
		}
	})
}

// TestWhatProtobufRefusesIsRefused, where it is in something that is read.
func TestWhatProtobufRefusesIsRefused(t *testing.T) {
	field := func(number protowire.Number, value ...byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
	}
	for name, b := range map[string][]byte{
		"cut off":            {0x12, 0x7f},
		"no field":           {0x02, 0x00},
		"end of a group":     {0x14},
		"type, no UTF-8":     field(requestTypeURL, 0xff),
		"name, no UTF-8":     field(requestAdded, 0xff),
		"removed, no UTF-8":  field(requestRemoved, 0xff),
		"nonce, no UTF-8":    field(requestNonce, 0xff),
		"key, no UTF-8":      field(requestHas, field(entryKey, 0xff)...),
		"version, no UTF-8":  field(requestHas, field(entryValue, 0xff)...),
		"entry, cut off":     field(requestHas, 0x0a, 0x7f),
		"node, cut off":      field(requestNode, 0x0a, 0x7f),
		"node, no UTF-8":     field(requestNode, field(1, 0xff)...),
		"refusal, no UTF-8":  field(requestError, field(2, 0xff)...),
		"refusal, malformed": field(requestError, 0x0a, 0x7f),
	} {
		if proto.Unmarshal(b, &discovery.DeltaDiscoveryRequest{}) == nil {
			t.Errorf("%s: protobuf takes it", name)
		}
		if decodeRequest(b, &discovery.DeltaDiscoveryRequest{}) == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}

// BenchmarkRequest decodes what a stream says first, when a proxy comes back with 1,000 resources, as we and as protobuf do.
func BenchmarkRequest(b *testing.B) {
	data := encoded(b, returning(1000))
	for name, decode := range map[string]func([]byte, *discovery.DeltaDiscoveryRequest) error{
		"ours":     decodeRequest,
		"protobuf": func(b []byte, r *discovery.DeltaDiscoveryRequest) error { return proto.Unmarshal(b, r) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := decode(data, &discovery.DeltaDiscoveryRequest{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
