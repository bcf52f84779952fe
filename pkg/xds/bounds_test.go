package xds

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// What this server makes a proxy say is taken from it, at its longest: who is refused comes back with the same again.
func TestBoundsLetThroughWhatDocumentsMake(t *testing.T) {
	onTop := map[string][]translate.Lever{}
	for i := range 10_000 {
		onTop[strings.Repeat("s", 58)+string([]byte{byte('a' + i/26/26/26%26), byte('a' + i/26/26%26), byte('a' + i/26%26), byte('a' + i%26)})] = nil
	}
	path := "/" + strings.Repeat("|", policy.MaxForeignBytes-1)
	secret := translate.PairPrefix + strings.Repeat("%7C", len(path)) + "|" + strings.Repeat("%7C", len(path))
	versions := func(name, version string) map[string]string { return map[string]string{name: version} }
	for name, c := range map[string]struct {
		req  *discovery.DeltaDiscoveryRequest
		fine bool
	}{
		"levers of 10,000 services on top": {&discovery.DeltaDiscoveryRequest{TypeUrl: resource.RuntimeType, InitialResourceVersions: versions(translate.ReadyLayer, readyWith(onTop, true).Version)}, true},
		"a pair with the longest paths":    {&discovery.DeltaDiscoveryRequest{TypeUrl: resource.SecretType, ResourceNamesSubscribe: []string{secret}}, true},
		"a version of a cluster":           {&discovery.DeltaDiscoveryRequest{TypeUrl: resource.ClusterType, InitialResourceVersions: versions("a", strings.Repeat("v", maxResourceLength+1))}, false},
		"the name of a cluster":            {&discovery.DeltaDiscoveryRequest{TypeUrl: resource.ClusterType, ResourceNamesSubscribe: []string{strings.Repeat("v", maxResourceLength+1)}}, false},
		"a longer version of a layer":      {&discovery.DeltaDiscoveryRequest{TypeUrl: resource.RuntimeType, InitialResourceVersions: versions("a", strings.Repeat("v", maxOnTopLength+1))}, false},
	} {
		if err := newSession(NewServer(Options{}), "", time.Time{}).bound(c.req); (err == nil) != c.fine {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNamesThatNobodyKnowsCostOnce: a proxy that says that it has many virtual hosts, and asks for as many route configurations, is not gone through for each
// of them: publications of every fleet wait for that.
func TestNamesThatNobodyKnowsCostOnce(t *testing.T) {
	const many = 20_000
	hosts, names := map[string]string{}, make([]string, many)
	for i := range names {
		names[i] = fmt.Sprint("listener/", i)
		hosts[names[i]+"/x.test"] = "v"
	}
	server := NewServer(Options{})
	server.Fleet("f").Publish(Update{Named: true}).Close()
	s := newSession(server, "?", time.Now())
	s.out.send = func(any) error { return nil }
	done := make(chan error, 1)
	go func() {
		node := &core.Node{Id: "p", Cluster: "f"}
		done <- errors.Join(
			s.take(&discovery.DeltaDiscoveryRequest{TypeUrl: resource.VirtualHostType, Node: node, InitialResourceVersions: hosts}),
			s.take(&discovery.DeltaDiscoveryRequest{TypeUrl: resource.RouteType, ResourceNamesSubscribe: names}),
		)
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
		s.end()
	case <-time.After(30 * time.Second): // it takes some milliseconds; minutes, once for each
		t.Fatal("it is gone through for each name")
	}
}
