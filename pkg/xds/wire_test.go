package xds

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

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
