package deltaclient_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
)

// scripted is a control plane of which each test says what it does with a stream.
type scripted struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	serve func(discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error
}

func (s *scripted) DeltaAggregatedResources(stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	return s.serve(stream)
}

func script(t *testing.T, serve func(discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error) string {
	t.Helper()
	l, err := net.Listen("tcp", loopback.Host()+":0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer() // the smallest windows
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, &scripted{serve: serve})
	go func() { _ = g.Serve(l) }()
	t.Cleanup(g.Stop)
	return l.Addr().String()
}

func proxy(changed func()) *deltaclient.Client {
	return deltaclient.New(deltaclient.Config{ID: "p", Fleet: "f", Layers: []string{"layer"}, Changed: changed})
}

// big is a response with a layer that has so many bytes.
func big(nonce string, size int) *discoveryv3.DeltaDiscoveryResponse {
	return &discoveryv3.DeltaDiscoveryResponse{TypeUrl: deltaclient.Runtime, Nonce: nonce, Resources: []*discoveryv3.Resource{
		{Name: "layer", Version: nonce, Resource: &anypb.Any{TypeUrl: deltaclient.Runtime, Value: []byte(strings.Repeat("x", size))}},
	}}
}

// TestDirectIsLikeGRPC: the same client over both connections says and takes the same, large and small, one after the other and at once.
func TestDirectIsLikeGRPC(t *testing.T) {
	const most = 5 << 20
	said := make(chan []*discoveryv3.DeltaDiscoveryRequest, 1)
	address := script(t, func(s discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
		var all []*discoveryv3.DeltaDiscoveryRequest
		take := func() {
			r, err := s.Recv()
			if err != nil {
				t.Error(err)
			}
			all = append(all, r)
		}
		take()
		for i, size := range []int{10, most, 0, 1 << 14} {
			if err := s.Send(big(string(rune('a'+i)), size)); err != nil {
				return err
			}
		}
		for range 4 + 1 { // clusters are asked for, too
			take()
		}
		said <- all
		return status.Error(codes.Aborted, "that was 100 % of it")
	})
	grpcConn, err := grpc.NewClient(address, append(deltaclient.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer grpcConn.Close()
	var stats [2]deltaclient.Stats
	var requests [2][]*discoveryv3.DeltaDiscoveryRequest
	for i, conn := range []grpc.ClientConnInterface{grpcConn, deltaclient.Direct(address)} {
		c := proxy(nil)
		if err := c.Run(t.Context(), conn); status.Code(err) != codes.Aborted || status.Convert(err).Message() != "that was 100 % of it" {
			t.Errorf("ended with %v", err)
		}
		stats[i], requests[i] = c.Stats(), <-said
	}
	if stats[0] != stats[1] || stats[0].Responses != 4 || stats[0].Bytes < most {
		t.Errorf("over gRPC %+v, directly %+v", stats[0], stats[1])
	}
	for i, want := range requests[0] {
		if got := requests[1][i]; got.String() != want.String() {
			t.Errorf("request %d: %.300v, over gRPC %.300v", i, got, want)
		}
	}
}

// TestDirectWaitsForRoom: a first request is larger than what a server grants that is slow to read.
func TestDirectWaitsForRoom(t *testing.T) {
	const requests = 20
	address := script(t, func(s discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
		for i := range requests {
			if err := s.Send(big(string(rune('a'+i)), 100<<10)); err != nil {
				return err
			}
		}
		for range requests { // each of 50 kB
			if _, err := s.Recv(); err != nil {
				return err
			}
		}
		return nil
	})
	c := deltaclient.New(deltaclient.Config{
		ID: strings.Repeat("p", 100<<10), Fleet: "f", Layers: []string{"layer"},
		Answer: func(deltaclient.Response) deltaclient.Verdict {
			return deltaclient.Verdict{Refuse: strings.Repeat("no", 25<<10)}
		},
	})
	if err := c.Run(t.Context(), deltaclient.Direct(address)); !errors.Is(err, io.EOF) {
		t.Errorf("ended with %v", err)
	}
	if got := c.Stats(); got.Refused < requests-2 {
		t.Errorf("%+v", got)
	}
}

func TestDirectEnds(t *testing.T) {
	address := script(t, func(s discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
		if err := s.Send(big("a", 1)); err != nil {
			return err
		}
		<-s.Context().Done()
		return nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := proxy(cancel).Run(ctx, deltaclient.Direct(address)); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if err := proxy(nil).Run(t.Context(), deltaclient.Direct("127.0.0.1:1")); status.Code(err) != codes.Unavailable {
		t.Errorf("nobody there: %v", err)
	}
}
