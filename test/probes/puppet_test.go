package probes

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	runtimev3 "github.com/envoyproxy/go-control-plane/envoy/service/runtime/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// kind is the last part of a type's URL.
type kind string

const (
	clusters     kind = "envoy.config.cluster.v3.Cluster"
	endpoints    kind = "envoy.config.endpoint.v3.ClusterLoadAssignment"
	listeners    kind = "envoy.config.listener.v3.Listener"
	routes       kind = "envoy.config.route.v3.RouteConfiguration"
	virtualHosts kind = "envoy.config.route.v3.VirtualHost"
	runtimes     kind = "envoy.service.runtime.v3.Runtime"
)

const urls = "type.googleapis.com/"

// puppet is a control plane that says only what it is told to, when it is told to, and remembers what it was asked and answered.
// pkg/xds/adstest will not do: it sends what is right.
type puppet struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	addr string
	out  chan *discoveryv3.DeltaDiscoveryResponse
	cut  chan struct{} // ends the stream

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced at every request
	asked    []string      // "KIND NAME", or "KIND *" for all, in order
	verdicts map[string]string
	said     map[kind]map[string]string // versions that Envoy said it has, at the begin of its last stream
	sent     int
	fence    bool
}

// newPuppet starts one that ends with the test.
func newPuppet(t *testing.T) *puppet {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &puppet{
		addr: l.Addr().String(), out: make(chan *discoveryv3.DeltaDiscoveryResponse, 64), cut: make(chan struct{}), changed: make(chan struct{}), verdicts: map[string]string{},
		said: map[kind]map[string]string{},
	}
	g := grpc.NewServer()
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, p)
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return p
}

// DeltaAggregatedResources serves the one Envoy.
func (p *puppet) DeltaAggregatedResources(s discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			req, err := s.Recv()
			if err != nil {
				return
			}
			p.note(req)
		}
	}()
	for {
		select {
		case r := <-p.out:
			if err := s.Send(r); err != nil {
				return err
			}
		case <-p.cut:
			return nil
		case <-ended:
			return nil
		}
	}
}

func (p *puppet) note(req *discoveryv3.DeltaDiscoveryRequest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := strings.TrimPrefix(req.TypeUrl, urls)
	names := req.ResourceNamesSubscribe
	if len(names) == 0 && req.ResponseNonce == "" {
		names = []string{"*"}
	}
	for _, n := range names {
		p.asked = append(p.asked, k+" "+n)
	}
	if versions := req.InitialResourceVersions; len(versions) > 0 {
		p.said[kind(k)] = versions
	}
	if req.ResponseNonce != "" {
		p.verdicts[req.ResponseNonce] = req.GetErrorDetail().GetMessage()
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// await waits until ok, which is called with the puppet locked.
func (b *bench) await(what string, ok func(p *puppet) bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		b.ads.mu.Lock()
		done, changed, asked := ok(b.ads), b.ads.changed, fmt.Sprint(b.ads.asked)
		b.ads.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			b.t.Fatalf("waited too long for %s; Envoy has asked for %s", what, asked)
		}
	}
}

// forget makes room for another Envoy.
func (p *puppet) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked, p.fence = nil, false
}

// count is how often a name was asked for.
func (p *puppet) count(k kind, name string) int {
	n := 0
	for _, a := range p.asked {
		if a == string(k)+" "+name {
			n++
		}
	}
	return n
}

// asked waits until Envoy asks for a name.
func (b *bench) asked(k kind, name string) {
	b.t.Helper()
	b.await(fmt.Sprint(k, " ", name), func(p *puppet) bool { return p.count(k, name) > 0 })
}

// hasAsked says whether Envoy has asked for anything of a kind until now.
func (b *bench) hasAsked(k kind) bool {
	b.ads.mu.Lock()
	defer b.ads.mu.Unlock()
	for _, a := range b.ads.asked {
		if strings.HasPrefix(a, string(k)+" ") {
			return true
		}
	}
	return false
}

// post sends resources, given as YAML by name, with the removal of others, and does not wait.
func (b *bench) post(k kind, resources map[string]string, removed ...string) (nonce string) {
	b.t.Helper()
	resp := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: urls + string(k), RemovedResources: removed}
	for name, text := range resources {
		m := newMessage(k)
		if err := protojson.Unmarshal(asJSON(b.t, parse(b.t, text)), m); err != nil {
			b.t.Fatalf("%v in:\n%s", err, text)
		}
		body, err := anypb.New(m)
		if err != nil {
			b.t.Fatal(err)
		}
		resp.Resources = append(resp.Resources, &discoveryv3.Resource{Name: name, Resource: body})
	}
	return b.push(resp)
}

// remove sends the removal of a resource.
func (b *bench) remove(k kind, name string) (nonce string) {
	b.t.Helper()
	return b.push(&discoveryv3.DeltaDiscoveryResponse{TypeUrl: urls + string(k), RemovedResources: []string{name}})
}

// push sends a response under a nonce of its own.
func (b *bench) push(resp *discoveryv3.DeltaDiscoveryResponse) (nonce string) {
	b.ads.mu.Lock()
	b.ads.sent++
	resp.Nonce = fmt.Sprint(b.ads.sent)
	b.ads.mu.Unlock()
	for _, r := range resp.Resources {
		r.Version = resp.Nonce
	}
	b.ads.out <- resp
	return resp.Nonce
}

func newMessage(k kind) proto.Message {
	switch k {
	case clusters:
		return &clusterv3.Cluster{}
	case endpoints:
		return &endpointv3.ClusterLoadAssignment{}
	case listeners:
		return &listenerv3.Listener{}
	case routes:
		return &routev3.RouteConfiguration{}
	case virtualHosts:
		return &routev3.VirtualHost{}
	default:
		return &runtimev3.Runtime{}
	}
}

// answered says whether Envoy has acknowledged or refused what was posted.
func (b *bench) answered(nonce string) bool {
	b.ads.mu.Lock()
	defer b.ads.mu.Unlock()
	_, ok := b.ads.verdicts[nonce]
	return ok
}

// verdict waits for Envoy's answer: empty if it acknowledges, else why it refuses.
func (b *bench) verdict(nonce string) (refusal string) {
	b.t.Helper()
	b.await("an answer", func(p *puppet) bool {
		var ok bool
		refusal, ok = p.verdicts[nonce]
		return ok
	})
	return refusal
}

// acked sends one resource, which must be acknowledged.
func (b *bench) acked(k kind, name, text string) {
	b.t.Helper()
	if r := b.verdict(b.post(k, map[string]string{name: text})); r != "" {
		b.t.Fatalf("%s %q is refused: %s", k, name, r)
	}
}

// refused sends one resource, which must be refused for a reason with these words.
func (b *bench) refused(k kind, name, text, words string) {
	b.t.Helper()
	r := b.verdict(b.post(k, map[string]string{name: text}))
	if r == "" || !strings.Contains(r, words) {
		b.t.Errorf("%s %q: want a refusal with %q, got %q", k, name, words, r)
	}
}
