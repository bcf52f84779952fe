package xds_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/crossfade-proxy/crossfade/pkg/xds"
)

// asker is a stream that asks for secrets.
type asker struct {
	t      *testing.T
	stream discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
}

func (f *fixture) ask(id string) *asker {
	f.t.Helper()
	a := &asker{f.t, f.stream(f.t.Context())}
	a.send(&discovery.DeltaDiscoveryRequest{Node: &core.Node{Id: id, Cluster: "default"}})
	return a
}

// stream opens a stream of which the test sends and reads everything.
func (f *fixture) stream(ctx context.Context) discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient {
	f.t.Helper()
	conn, err := grpc.NewClient(f.address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { conn.Close() })
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	return stream
}

func (a *asker) send(r *discovery.DeltaDiscoveryRequest) {
	a.t.Helper()
	r.TypeUrl = resource.SecretType
	if err := a.stream.Send(r); err != nil {
		a.t.Fatal(err)
	}
}

// answer is the next response: its names, those that there are not, and its nonce.
func (a *asker) answer() (names, gone []string, nonce string) {
	a.t.Helper()
	r, err := a.stream.Recv()
	if err != nil {
		a.t.Fatal(err)
	}
	for _, x := range r.GetResources() {
		names = append(names, x.GetName())
	}
	return names, r.GetRemovedResources(), r.GetNonce()
}

// TestSecretsAreAnsweredByName: every name is answered once, also where it was asked for while an answer was on its way; a name that says nothing is
// answered too, with nothing, and the answer is the same after an acknowledgement and for whoever comes back.
func TestSecretsAreAnsweredByName(t *testing.T) {
	f := deltaFixture(t)
	for range 2 {
		a := f.ask("p1")
		a.send(&discovery.DeltaDiscoveryRequest{ResourceNamesSubscribe: []string{"ca|/ca.pem", "nonsense", "pair|/a.pem|/a.key"}})
		names, gone, nonce := a.answer()
		if !slices.Equal(names, []string{"ca|/ca.pem", "pair|/a.pem|/a.key"}) || !slices.Equal(gone, []string{"nonsense"}) {
			t.Errorf("%v %v", names, gone)
		}
		a.send(&discovery.DeltaDiscoveryRequest{ResourceNamesSubscribe: []string{"ca|/b.pem"}}) // before the acknowledgement
		a.send(&discovery.DeltaDiscoveryRequest{ResourceNamesSubscribe: []string{"ca|/c.pem", "ca|/b.pem"}})
		a.send(&discovery.DeltaDiscoveryRequest{ResponseNonce: nonce})
		names, gone, nonce = a.answer()
		if !slices.Equal(names, []string{"ca|/b.pem", "ca|/c.pem"}) || len(gone) > 0 {
			t.Errorf("%v %v", names, gone)
		}
		a.send(&discovery.DeltaDiscoveryRequest{ResponseNonce: nonce})
		a.send(&discovery.DeltaDiscoveryRequest{ResourceNamesUnsubscribe: []string{"ca|/b.pem"}})
		a.send(&discovery.DeltaDiscoveryRequest{ResourceNamesSubscribe: []string{"ca|/b.pem"}})
		if names, _, _ = a.answer(); !slices.Equal(names, []string{"ca|/b.pem"}) {
			t.Errorf("again: %v", names)
		}
		if err := a.stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRefusedSecretIsShown: files that went between the check and the use are seen at the proxy.
func TestRefusedSecretIsShown(t *testing.T) {
	f := deltaFixture(t)
	f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
	a := f.ask("p1")
	a.send(&discovery.DeltaDiscoveryRequest{ResourceNamesSubscribe: []string{"pair|/a.pem|/a.key"}})
	_, _, nonce := a.answer()
	a.send(&discovery.DeltaDiscoveryRequest{ResponseNonce: nonce, ErrorDetail: &rpcstatus.Status{Message: "unable to read file: /a.pem"}})
	f.await("the refusal", func() bool {
		p, _ := f.fleet.Proxy("p1")
		return p.LastNack != nil && p.LastNack.Type == "Secret" && strings.Contains(p.LastNack.Resource, "/a.pem") && strings.Contains(p.LastNack.Message, "unable to read")
	})
}

// TestManySecrets: who asks for more than anybody can use gets some, and others are not kept waiting.
func TestManySecrets(t *testing.T) {
	f := deltaFixture(t)
	f.apply(f.service("orders", map[string]int32{"ecs": 10000}, "ecs", "eks"))
	greedy := f.ask("greedy")
	var names []string
	for i := range 60_000 {
		names = append(names, fmt.Sprintf("ca|/%d.pem", i))
	}
	for range 3 {
		greedy.send(&discovery.DeltaDiscoveryRequest{ResourceNamesSubscribe: names})
	}
	good := f.simulate("good", nil)
	good.holds(nil, "orders")
	if got, _, _ := greedy.answer(); len(got) == 0 || len(got) > 10_000 {
		t.Errorf("%d answers", len(got))
	}
	if p, _ := f.fleet.Proxy("good"); p.State != xds.StateOK {
		t.Errorf("%+v", p)
	}
}
