package hostile

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
)

// names makes names of resources that do not exist.
func names(from, n, length int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("name-%d-%s", from+i, strings.Repeat("x", length))
	}
	return out
}

// millionNames subscribes to a million names, in messages that each are small enough: the stream is ended.
func (w *world) millionNames(t *testing.T) {
	conn := dial(t, w.Server.XDS)
	for _, kind := range []string{deltaclient.Endpoints, deltaclient.Route, deltaclient.Runtime} {
		s := openADS(t, conn)
		go func() { // who floods reads too, or it would only wait
			r := &discoveryv3.DeltaDiscoveryRequest{Node: nodeOf("names", "default"), TypeUrl: kind}
			for i := 0; i < 1_000_000; i += 50_000 {
				r.ResourceNamesSubscribe = names(i, 50_000, 40)
				if s.Send(r) != nil {
					return
				}
				r.Node = nil
			}
		}()
		s.refused(codes.ResourceExhausted, "names")
		s.end()
	}
}

// unknownTypes asks for types that nobody serves.
func (w *world) unknownTypes(t *testing.T) {
	s := openADS(t, dial(t, w.Server.XDS))
	r := &discoveryv3.DeltaDiscoveryRequest{Node: nodeOf("types", "default")}
	for i := range either(5000, 100_000) {
		r.TypeUrl = fmt.Sprintf("type.googleapis.com/%s.%d", strings.Repeat("x", 1000), i)
		r.ResourceNamesSubscribe = names(i, 5, 10)
		s.say(r)
		r.Node = nil
	}
	s.served()
}

// wildcards asks for everything and for nothing, in turn.
func (w *world) wildcards(t *testing.T) {
	s := openADS(t, dial(t, w.Server.XDS))
	r := &discoveryv3.DeltaDiscoveryRequest{Node: nodeOf("wildcard", "default"), TypeUrl: deltaclient.Cluster}
	ctx, stop := context.WithCancel(s.Context())
	done := make(chan struct{})
	go func() { // who floods reads too, or it would only wait
		defer close(done)
		for ctx.Err() == nil {
			if _, err := s.Recv(); err != nil {
				return
			}
		}
	}()
	for i := range either(2000, 50_000) {
		r.ResourceNamesSubscribe, r.ResourceNamesUnsubscribe = []string{"*"}, nil
		if i%2 == 1 {
			r.ResourceNamesSubscribe, r.ResourceNamesUnsubscribe = nil, []string{"*"}
		}
		if !s.say(r) {
			t.Fatal("the stream was ended")
		}
		r.Node = nil
	}
	stop()
	s.end()
	<-done
}

// versionLies says that it has what was never there, and versions that never were.
func (w *world) versionLies(t *testing.T) {
	conn := dial(t, w.Server.XDS)
	s := openADS(t, conn)
	r := &discoveryv3.DeltaDiscoveryRequest{Node: nodeOf("liar", "default"), TypeUrl: deltaclient.Cluster, InitialResourceVersions: map[string]string{}}
	for _, name := range names(0, 5000, 20) {
		r.InitialResourceVersions[name] = "v" + name
	}
	r.InitialResourceVersions["beside/ecs"] = "not this one"
	s.say(r)
	got := s.hear()
	if !slices.ContainsFunc(got.GetResources(), func(r *discoveryv3.Resource) bool { return r.GetName() == "beside/ecs" }) {
		t.Errorf("sent %d resources, and not the one of which it has another version", len(got.GetResources()))
	}
	s.end()
	for _, kind := range []string{deltaclient.Cluster, deltaclient.Endpoints, deltaclient.Runtime, deltaclient.VirtualHost} {
		s := openADS(t, conn)
		r := &discoveryv3.DeltaDiscoveryRequest{Node: nodeOf("liar", "default"), TypeUrl: kind, InitialResourceVersions: map[string]string{}}
		for _, name := range names(0, 200_000, 30) {
			r.InitialResourceVersions[name] = "v"
		}
		s.say(r)
		s.refused(codes.ResourceExhausted, "names")
		s.end()
	}
}

// refusalFlood refuses everything in a megabyte of words.
func (w *world) refusalFlood(t *testing.T) {
	s := openADS(t, dial(t, w.Server.XDS))
	words := strings.Repeat("no! ", 1<<18)
	s.say(&discoveryv3.DeltaDiscoveryRequest{Node: nodeOf("refuser", "default"), TypeUrl: deltaclient.Cluster})
	for range 2 { // both clusters of the service, then each
		got := s.hear()
		s.say(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: deltaclient.Cluster, ResponseNonce: got.GetNonce(), ErrorDetail: &statuspb.Status{Code: int32(codes.Internal), Message: words}})
	}
	for i := range either(50, 500) {
		s.say(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: deltaclient.Cluster, ResponseNonce: fmt.Sprint(i), ErrorDetail: &statuspb.Status{Code: int32(codes.Internal), Message: words}})
	}
	s.served()
	got, err := w.API.ListProxies(t.Context(), &crossfadev1.ListProxiesRequest{PageSize: 1000, Fleet: "default"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range got.GetItems() {
		if n := len(p.GetLastNack().GetMessage()); n > 8<<10 {
			t.Errorf("of %s, a refusal of %d bytes is kept", p.GetProxy(), n)
		}
	}
}

// manyStreams opens streams, and leaves them. They are of a fleet of their own: who waits for the acknowledgement of all proxies waits for those that are
// connected and say nothing, too, and is told their names.
func (w *world) manyStreams(t *testing.T) {
	const onOne = 90 // connection; at 100 it would have to wait
	w.apply(&crossfadev1.Document{Object: &crossfadev1.Document_Fleet{Fleet: &crossfadev1.Fleet{ApiVersion: "crossfade/v1", Kind: "Fleet", Name: "crowd"}}})
	var conn *grpc.ClientConn
	for i := range either(500, 3000) {
		if i%onOne == 0 {
			conn = dial(t, w.Server.XDS)
		}
		s := openADS(t, conn)
		defer s.end()
		s.say(&discoveryv3.DeltaDiscoveryRequest{Node: nodeOf("many", "crowd"), TypeUrl: deltaclient.Cluster})
		if i%100 == 0 {
			s.hear()
		}
	}
}
