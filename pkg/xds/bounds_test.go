package xds

import (
	"strings"
	"testing"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

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
