package deltaclient_test

import (
	"bytes"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/crossfade-proxy/crossfade/deploy/envoy"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/internal/envoybin"
	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
)

// nodes is a control plane that answers nothing and hands on what its proxies say of themselves.
type nodes struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	first chan *corev3.Node
}

func (n *nodes) DeltaAggregatedResources(s discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	r, err := s.Recv()
	if err != nil {
		return err
	}
	select {
	case n.first <- r.GetNode():
	case <-s.Context().Done():
	}
	<-s.Context().Done()
	return nil
}

// The node is what a control plane keeps of each proxy if it is not careful: that of a client must not be smaller than an Envoy's.
func TestNodeIsLikeAnEnvoys(t *testing.T) {
	l, err := net.Listen("tcp", loopback.Host()+":0")
	if err != nil {
		t.Fatal(err)
	}
	n := &nodes{first: make(chan *corev3.Node)}
	g := grpc.NewServer()
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, n)
	go func() { _ = g.Serve(l) }()
	t.Cleanup(g.Stop)

	ready, admin := envoytest.Port(t), envoytest.Port(t)
	ready.Release()
	admin.Release()
	var b bytes.Buffer
	if err := envoy.Render(&b, envoy.Bootstrap{
		NodeID: "proxy-1", ListenAddress: ready.Host(), XDSAddress: l.Addr().String(), ReadyAddress: ready.Addr(), AdminAddress: admin.Addr(),
	}); err != nil {
		t.Fatal(err)
	}
	envoytest.Start(t, envoytest.Config{Version: envoybin.Newest, Bootstrap: b.Bytes()})
	want := <-n.first

	conn, err := grpc.NewClient("passthrough:///"+l.Addr().String(), append(deltaclient.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ended := make(chan error, 1)
	client := deltaclient.New(deltaclient.Config{ID: want.GetId(), Fleet: want.GetCluster(), ListenAddress: ready.Host()})
	go func() { ended <- client.Run(t.Context(), conn) }()
	got := <-n.first
	g.Stop()
	<-ended

	for _, node := range []*corev3.Node{want, got} {
		slices.SortFunc(node.Extensions, func(a, b *corev3.Extension) int {
			return strings.Compare(a.GetCategory()+" "+a.GetName(), b.GetCategory()+" "+b.GetName())
		})
		node.GetUserAgentBuildVersion().Metadata = nil // of its build: four short words
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		update(t, want.GetExtensions())
		return
	}
	if !proto.Equal(got, want) {
		t.Errorf("%d bytes and %d extensions, an Envoy has %d and %d (UPDATE_GOLDEN=1 writes its list)", proto.Size(got), len(got.Extensions), proto.Size(want), len(want.Extensions))
		got.Extensions, want.Extensions = nil, nil
		t.Errorf("got %v, want %v", got, want)
	}
}

// update writes the list of a newer Envoy.
func update(t *testing.T, extensions []*corev3.Extension) {
	var b strings.Builder
	for _, e := range extensions {
		b.WriteString(strings.Join(append([]string{e.GetCategory(), e.GetName()}, e.GetTypeUrls()...), " ") + "\n")
	}
	if err := os.WriteFile("extensions.txt", []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
