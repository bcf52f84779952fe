package xds

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

func request(extensions int) *discovery.DeltaDiscoveryRequest {
	r := &discovery.DeltaDiscoveryRequest{
		Node: &core.Node{
			Id: "proxy-1", Cluster: "default",
			Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{"crossfade.listen_address": structpb.NewStringValue("127.0.0.1")}},
		},
		TypeUrl: kindURLs[levers], ResourceNamesSubscribe: []string{"a", "b"}, ResponseNonce: "7",
	}
	for range extensions {
		r.Node.Extensions = append(r.Node.Extensions, &core.Extension{Name: "n", Category: "c", TypeUrls: []string{"t"}})
	}
	return r
}

func encoded(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

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
	for _, number := range nameLists {
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
}

func TestOtherMessagesAreDecodedAsEver(t *testing.T) {
	want := request(2).GetNode()
	got := &core.Node{}
	if err := newCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(encoded(t, want))}, got); err != nil || !proto.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestTheFirstRequestSaysWhoIsAsking(t *testing.T) {
	server := NewServer(Options{})
	s := newSession(server, "?", time.Now())
	s.out.send = func(any) error { return nil }
	if err := s.take(request(0)); err != nil {
		t.Fatal(err)
	}
	if p, ok := server.Fleet("default").Proxy("proxy-1"); !ok || !p.Connected || s.places != (places{listen: "127.0.0.1"}) {
		t.Errorf("%+v at %q", p, s.places)
	}
	if got := s.kinds[levers].names; !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("took %q", got)
	}
}

// FuzzAcknowledgement holds the short way of decoding against protobuf's: what it takes, it takes as that does.
func FuzzAcknowledgement(f *testing.F) {
	ack := &discovery.DeltaDiscoveryRequest{TypeUrl: kindURLs[levers], ResponseNonce: "12"}
	f.Add(encoded(f, ack))
	f.Add(append(encoded(f, ack), encoded(f, ack)...))
	f.Add(encoded(f, &discovery.DeltaDiscoveryRequest{TypeUrl: kindURLs[levers]}))
	f.Add(encoded(f, request(0)))
	f.Add([]byte{0x12, 0x7f})
	f.Add([]byte{0x32, 0x01, 0xff}) // no UTF-8
	f.Fuzz(func(t *testing.T, b []byte) {
		want, got := &discovery.DeltaDiscoveryRequest{}, request(1) // left of the request before
		if acknowledgement(b, got) && (proto.Unmarshal(b, want) != nil || !proto.Equal(got, want)) {
			t.Errorf("%x: got %v, want %v", b, got, want)
		}
	})
}

func TestAcknowledgementsAreDecodedTheShortWay(t *testing.T) {
	for name, c := range map[string]struct {
		of    *discovery.DeltaDiscoveryRequest
		short bool
	}{
		"acknowledgement": {&discovery.DeltaDiscoveryRequest{TypeUrl: kindURLs[clusters], ResponseNonce: "7"}, true},
		"refusal":         {&discovery.DeltaDiscoveryRequest{TypeUrl: kindURLs[clusters], ResponseNonce: "7", ErrorDetail: &statuspb.Status{Message: "no"}}, false},
		"subscription":    {&discovery.DeltaDiscoveryRequest{TypeUrl: kindURLs[clusters], ResourceNamesSubscribe: []string{"a"}}, false},
		"another type":    {&discovery.DeltaDiscoveryRequest{TypeUrl: "x", ResponseNonce: "7"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := &discovery.DeltaDiscoveryRequest{}
			if short := acknowledgement(encoded(t, c.of), got); short != c.short || short && !proto.Equal(got, c.of) {
				t.Errorf("%t, %v", short, got)
			}
		})
	}
}

// FuzzWithout holds what is decoded after the cut against what is cut after decoding.
func FuzzWithout(f *testing.F) {
	f.Add(encoded(f, request(0)))
	f.Add(encoded(f, request(3)))
	f.Add(append(encoded(f, request(1)), encoded(f, request(2))...)) // nodes are merged
	f.Add(append(encoded(f, request(1)), 0x0a, 0x7f))                // cut off
	f.Fuzz(func(t *testing.T, b []byte) {
		before := slices.Clone(b)
		want, got := &discovery.DeltaDiscoveryRequest{}, &discovery.DeltaDiscoveryRequest{}
		if proto.Unmarshal(b, want) != nil {
			_ = proto.Unmarshal(without(b, nodeLists, requestNode), got) // whatever it says, it does not panic
			return
		}
		if m := want.Node.ProtoReflect(); m.IsValid() {
			for _, number := range nodeLists {
				m.Clear(m.Descriptor().Fields().ByNumber(number))
			}
		}
		if err := proto.Unmarshal(without(b, nodeLists, requestNode), got); err != nil || !proto.Equal(got, want) {
			t.Errorf("%x: got %v, %v, want %v", b, got, err, want)
		}
		if !slices.Equal(b, before) {
			t.Error("it wrote into what it was given")
		}
	})
}

// What the codec puts together from shared pieces is what protobuf makes of the whole.
func TestResponsesAreThoseOfProtobuf(t *testing.T) {
	body := &anypb.Any{TypeUrl: kindURLs[clusters], Value: []byte{1, 2, 3}}
	items := []*item{
		wrap(translate.Resource{Name: "a", Version: "1", Body: body}),
		wrap(translate.Resource{Name: "b", Version: "2", Body: body}),
	}
	for name, want := range map[string]*discovery.DeltaDiscoveryResponse{
		"everything": {
			TypeUrl: kindURLs[clusters], Nonce: "12", Resources: []*discovery.Resource{items[0].Resource, items[1].Resource}, RemovedResources: []string{"c", "d"},
		},
		"removals": {TypeUrl: kindURLs[clusters], Nonce: "1", RemovedResources: []string{"c"}},
		"nothing":  {TypeUrl: kindURLs[clusters], Nonce: "3"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &response{want.GetTypeUrl(), want.GetNonce(), &diff{items[:len(want.GetResources())], want.GetRemovedResources()}}
			for _, c := range []encoding.CodecV2{newCodec(), encoding.GetCodecV2("proto")} {
				b, err := c.Marshal(r)
				if err != nil {
					t.Fatal(err)
				}
				got := &discovery.DeltaDiscoveryResponse{}
				if err := proto.Unmarshal(b.Materialize(), got); err != nil || !proto.Equal(got, want) {
					t.Errorf("got %v, %v, want %v", got, err, want)
				}
			}
		})
	}
}
