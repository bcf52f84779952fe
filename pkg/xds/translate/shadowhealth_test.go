package translate_test

import (
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"

	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// TestEndpointsAreNotCheckedTwiceAsOften because of an experiment.
func TestEndpointsAreNotCheckedTwiceAsOften(t *testing.T) {
	const docs = `
apiVersion: crossfade/v1
kind: Service
name: orders
hosts: [orders.test]
listener: {port: 10000}
primary: ecs
origins:
- {name: ecs, static: {endpoints: ["127.0.0.1:1"]}, healthCheck: {path: /h, interval: 2s}}
- {name: eks, static: {endpoints: ["127.0.0.1:1"]}, healthCheck: {path: /h, interval: 20s}}
`
	in := compile(t, "checks", []byte(docs+strings.ReplaceAll(mirrored, "PORT", "10000")))
	want := map[string][2]time.Duration{ // of endpoints that are well, and that are not
		"orders/ecs": {2 * time.Second, 0}, "orders/eks": {20 * time.Second, 0},
		"orders/ecs@shadow": {10 * time.Second, 2 * time.Second}, "orders/eks@shadow": {time.Minute, 20 * time.Second},
	}
	for _, r := range translate.Build(nil, in.services, translate.Options{}).Clusters {
		var c clusterv3.Cluster
		if err := r.Body.UnmarshalTo(&c); err != nil {
			t.Fatal(err)
		}
		w, ok := want[c.Name]
		if !ok {
			continue
		}
		delete(want, c.Name)
		h := c.HealthChecks[0]
		if got := [2]time.Duration{h.Interval.AsDuration(), h.UnhealthyInterval.AsDuration()}; got != w || h.NoTrafficInterval.AsDuration() != w[0] {
			t.Errorf("%s: %v, without traffic %v, want %v", c.Name, got, h.NoTrafficInterval.AsDuration(), w)
		}
	}
	if len(want) > 0 {
		t.Errorf("not there: %v", want)
	}
}
