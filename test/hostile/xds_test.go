package hostile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/stack"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// adsTime bounds a stream.
const adsTime = 30 * time.Second

// ads is a stream of a proxy that sends what it likes.
type ads struct {
	discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	t   *testing.T
	end context.CancelFunc
}

func openADS(t *testing.T, conn grpc.ClientConnInterface) *ads {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), adsTime)
	s, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx, grpc.MaxCallRecvMsgSize(1<<30))
	if err != nil {
		t.Fatal(err)
	}
	return &ads{s, t, cancel}
}

func nodeOf(id, fleet string) *corev3.Node { return &corev3.Node{Id: id, Cluster: fleet} }

// say sends a request; where the stream has ended, that is for who receives.
func (s *ads) say(r *discoveryv3.DeltaDiscoveryRequest) bool {
	s.t.Helper()
	err := s.Send(r)
	if err != nil && !errors.Is(err, io.EOF) {
		s.t.Fatal(err)
	}
	return err == nil
}

// hear receives; the stream has to be served still.
func (s *ads) hear() *discoveryv3.DeltaDiscoveryResponse {
	s.t.Helper()
	r, err := s.Recv()
	if err != nil {
		s.t.Fatalf("the stream ended: %v", err)
	}
	return r
}

// served checks that the stream is served still, and ends it.
func (s *ads) served() {
	s.t.Helper()
	s.say(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: deltaclient.Runtime, ResourceNamesSubscribe: translate.LayerNames()})
	for s.hear().GetTypeUrl() != deltaclient.Runtime {
	}
	s.end()
}

// refused receives until the stream ends, with this code and a sentence with these words.
func (s *ads) refused(code codes.Code, words ...string) {
	s.t.Helper()
	for {
		_, err := s.Recv()
		if err == nil {
			continue
		}
		said := status.Convert(err)
		if said.Code() != code {
			s.t.Errorf("%v, want %v", err, code)
		}
		for _, w := range words {
			if !strings.Contains(said.Message(), w) {
				s.t.Errorf("%.300v does not say %q", err, w)
			}
		}
		if len(said.Message()) > 1000 {
			s.t.Errorf("the refusal has %d bytes", len(said.Message()))
		}
		return
	}
}

// TestProxies: streams that lie, flood and forget, beside a real Envoy that gets every change in time.
func TestProxies(t *testing.T) {
	together(t)
	w := newWorld(t, func(c *stack.Config) { c.Envoy = envoytest.Binary(t, "") })
	stop := w.others("beside", int32(envoytest.Port(t).Number()))
	good, err := w.AddProxy(t.Context(), "default", 1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), adsTime)
	defer cancel()
	if err := good.AwaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	start, _ := w.memory()
	for _, c := range []struct {
		name string
		do   func(*world, *testing.T)
	}{
		{"nodes", (*world).hostileNodes},
		{"many fleets", (*world).manyFleets},
		{"a changing node", (*world).changingNode},
		{"nonces", (*world).hostileNonces},
		{"a million names", (*world).millionNames},
		{"unknown types", (*world).unknownTypes},
		{"wildcard on and off", (*world).wildcards},
		{"lies about versions", (*world).versionLies},
		{"refusals of a megabyte", (*world).refusalFlood},
		{"many streams", (*world).manyStreams},
		{"what multiplies", (*world).multiplying},
		{"metrics", (*world).hostileMetrics},
		{"labels", (*world).labelFlood},
		{"load reports", (*world).hostileLoads},
		{"ever other ids", (*world).everOtherIDs}, // the last: from now on, only who connects is heard
		{"who comes late", (*world).whoComesLate},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.do(w, t)
			now, peak := w.memory()
			t.Logf("memory %d MiB, %d at most so far", now, peak)
		})
	}
	b := stop()
	now, peak := w.memory()
	t.Logf("memory %d MiB before, %d after, %d at most", start, now, peak)
	if peak > 1200 {
		t.Errorf("the control plane took %d MiB", peak)
	}
	b.unaffected(t, 50, 2*time.Second)
	got, err := w.API.ListProxies(t.Context(), &crossfadev1.ListProxiesRequest{Fleet: "default", PageSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range got.GetItems() {
		if p.GetProxy() == good.ID && p.GetState() != "ok" {
			t.Errorf("the good proxy: %v", p)
		}
	}
}

func (w *world) hostileNodes(t *testing.T) {
	conn := dial(t, w.Server.XDS)
	long := strings.Repeat("x", 1<<20)
	text := func(s string) *structpb.Struct {
		return &structpb.Struct{Fields: map[string]*structpb.Value{"crossfade.listen_address": structpb.NewStringValue(s), "crossfade.experiment_address": structpb.NewStringValue(s)}}
	}
	deep := structpb.NewNullValue()
	for range 3000 {
		deep = structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{deep}})
	}
	for _, c := range []struct {
		node  *corev3.Node
		words []string
	}{
		{nil, []string{"node.id"}},
		{nodeOf("", "default"), []string{"node.id", "shadowctl bootstrap"}},
		{nodeOf(long, "default"), []string{"node.id", "256"}},
		{nodeOf("x", ""), []string{"node.cluster"}},
		{nodeOf("x", long), []string{"node.cluster"}},
		{&corev3.Node{Id: "x", Cluster: "default", Metadata: text(long)}, []string{"crossfade.listen_address"}},
	} {
		s := openADS(t, conn)
		s.say(&discoveryv3.DeltaDiscoveryRequest{Node: c.node, TypeUrl: deltaclient.Cluster})
		s.refused(codes.InvalidArgument, c.words...)
	}
	s := openADS(t, conn) // of no use, but no harm either
	s.say(&discoveryv3.DeltaDiscoveryRequest{
		Node: &corev3.Node{Id: "deep", Cluster: "default", Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{"deep": deep, "long": structpb.NewStringValue(long)}}}, TypeUrl: deltaclient.Cluster,
	})
	s.hear()
	s.end()
	s = openADS(t, conn)
	s.say(&discoveryv3.DeltaDiscoveryRequest{Node: nodeOf("untyped", "default")})
	s.refused(codes.InvalidArgument, "type URL")
	s = openADS(t, conn)
	s.say(&discoveryv3.DeltaDiscoveryRequest{Node: &corev3.Node{Id: "x", Cluster: "default", UserAgentName: strings.Repeat("x", 17<<20)}, TypeUrl: deltaclient.Cluster})
	s.refused(codes.ResourceExhausted)
}

// manyFleets names fleets that nobody else does.
func (w *world) manyFleets(t *testing.T) {
	conn := dial(t, w.Server.XDS)
	refused := 0
	n := either(2000, 10_000)
	for i := range n {
		s := openADS(t, conn)
		s.say(&discoveryv3.DeltaDiscoveryRequest{Node: nodeOf("p", fmt.Sprintf("fleet-%d", i)), TypeUrl: deltaclient.Cluster})
		if _, err := s.Recv(); status.Code(err) == codes.ResourceExhausted {
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
		s.end()
	}
	if refused < n-1000 {
		t.Errorf("%d of %d fleets that nobody names were refused", refused, n)
	}
}

// everOtherIDs is a proxy that comes with another id each time: a container that is never let up.
func (w *world) everOtherIDs(t *testing.T) {
	conn := dial(t, w.Server.XDS)
	for i := range either(2000, 30_000) {
		s := openADS(t, conn)
		s.say(&discoveryv3.DeltaDiscoveryRequest{Node: nodeOf(fmt.Sprintf("other-%d-%s", i, strings.Repeat("x", 200)), "default"), TypeUrl: deltaclient.Cluster})
		s.hear()
		s.end()
	}
	known := 0
	for token := ""; ; {
		page, err := w.API.ListProxies(t.Context(), &crossfadev1.ListProxiesRequest{PageSize: 1000, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		known += len(page.GetItems())
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	t.Logf("%d proxies are known", known)
	if known > 11_000 {
		t.Errorf("%d proxies are remembered: there is no bound", known)
	}
}

// whoComesLate is an honest proxy after all of that: it gets everything, and is heard.
func (w *world) whoComesLate(t *testing.T) {
	conn := dial(t, w.Server.XDS)
	s := openADS(t, conn)
	s.say(&discoveryv3.DeltaDiscoveryRequest{Node: nodeOf("late", "default"), TypeUrl: deltaclient.Cluster})
	s.hear()
	if err := export(t, conn, "default", "late", counter(uint64(time.Now().UnixNano()), fixed(6, 1), "beside/ecs")); err != nil {
		t.Errorf("its metrics: %v", err)
	}
	s.served()
}

func (w *world) changingNode(t *testing.T) {
	s := openADS(t, dial(t, w.Server.XDS))
	s.say(&discoveryv3.DeltaDiscoveryRequest{Node: nodeOf("first", "default"), TypeUrl: deltaclient.Cluster})
	s.hear()
	for i := range 1000 {
		s.say(&discoveryv3.DeltaDiscoveryRequest{Node: nodeOf(fmt.Sprintf("changed-%d", i), fmt.Sprintf("other-%d", i)), TypeUrl: deltaclient.Cluster})
	}
	s.served()
	got, err := w.API.ListProxies(t.Context(), &crossfadev1.ListProxiesRequest{PageSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range got.GetItems() {
		if strings.HasPrefix(p.GetProxy(), "changed-") {
			t.Fatalf("%s is a proxy now", p.GetProxy())
		}
	}
}

// hostileNonces acknowledges what was never sent, what is old, and everything twice; what it should have still comes.
func (w *world) hostileNonces(t *testing.T) {
	s := openADS(t, dial(t, w.Server.XDS))
	s.say(&discoveryv3.DeltaDiscoveryRequest{Node: nodeOf("nonces", "default"), TypeUrl: deltaclient.Cluster})
	first := s.hear()
	for i := range either(2000, 50_000) {
		nonce := []string{first.GetNonce(), "", "-1", "18446744073709551616", strings.Repeat("9", 500), fmt.Sprint(i)}[i%6]
		r := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: deltaclient.Cluster, ResponseNonce: nonce}
		if i%7 == 0 {
			r.ErrorDetail = &statuspb.Status{Code: int32(codes.Internal), Message: "no"}
		}
		s.say(r)
	}
	s.served()
}
