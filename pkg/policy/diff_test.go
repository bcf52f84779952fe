package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

func diffText(before, after proto.Message) string {
	var b strings.Builder
	for _, f := range policy.Diff(before, after) {
		fmt.Fprintf(&b, "%s: %s -> %s\n", f.Field, f.Before, f.After)
	}
	return b.String()
}

func TestDiff(t *testing.T) {
	before := live()
	after := proto.CloneOf(before)
	after.Hosts = append(after.Hosts, "*.orders.test")
	after.Listener = &crossfadev1.Listener{Port: 8080}
	after.Origins = append(after.Origins[:1:1], &crossfadev1.Origin{Name: "new", Protocol: "http2"}, after.Origins[1])
	after.Origins[0].ConnectTimeout = durationpb.New(1500 * time.Millisecond)
	after.Split.Weights["eks"], after.Split.Weights["ecs"] = 1250, 8750
	after.Split.Sticky = nil
	after.Pins = append([]*crossfadev1.Pin{headerPin("first", exact("x-b", ""))}, after.Pins...)
	after.Pins[1].Enabled = new(false)
	after.Timeouts = &crossfadev1.Timeouts{Request: durationpb.New(0)}
	want := `hosts: [orders.test] -> [orders.test, *.orders.test]
listener.port:  -> 8080
origins: [ecs, eks, gke] -> [ecs, new, eks]
origins[ecs].connectTimeout:  -> 1.5s
origins[new].name:  -> new
origins[new].protocol:  -> http2
origins[gke].name: gke -> 
origins[gke].static.endpoints: [10.0.0.3:8080] -> 
pins: [beta] -> [first, beta]
pins[first].header.exact:  -> ""
pins[first].header.name:  -> x-b
pins[first].name:  -> first
pins[first].origin:  -> eks
pins[beta].enabled:  -> false
split.sticky.clientAddress: {} -> 
split.weights.ecs: 70% -> 87.5%
split.weights.eks: 30% -> 12.5%
timeouts.request:  -> 0s
`
	got := diffText(before, after)
	sorted := func(s string) []string { l := strings.Split(s, "\n"); slices.Sort(l); return l }
	if !slices.Equal(sorted(got), sorted(want)) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var fields []string // the order of the schema
	for _, f := range policy.Diff(before, after) {
		top, _, _ := strings.Cut(f.Field, ".")
		if top, _, _ = strings.Cut(top, "["); !slices.Contains(fields, top) {
			fields = append(fields, top)
		}
	}
	if fmt.Sprint(fields) != "[hosts listener origins split pins timeouts]" {
		t.Errorf("order %v", fields)
	}
}

func TestDiffOfNothing(t *testing.T) {
	if d := policy.Diff(live(), live()); d != nil {
		t.Error(d)
	}
	if d := policy.Diff((*crossfadev1.Service)(nil), live()); len(d) < 10 {
		t.Error(d)
	}
	if d := policy.Diff(nil, nil); d != nil {
		t.Error(d)
	}
	fleet := &crossfadev1.Fleet{Name: "edge"}
	if got := diffText(fleet, &crossfadev1.Fleet{Name: "edge", TrustedHops: 1}); got != "trustedHops:  -> 1\n" {
		t.Error(got)
	}
}

// A long list that differs near its end is shown where it differs.
func TestDiffOfLongLists(t *testing.T) {
	long := func(n int) *crossfadev1.Service {
		doc := orders()
		e := doc.Origins[0].GetStatic()
		for i := range n {
			e.Endpoints = append(e.Endpoints, fmt.Sprintf("10.1.%d.%d:80", i/250, i%250))
		}
		return doc
	}
	got := policy.Diff(long(1000), long(1001))
	if len(got) != 1 || !strings.HasSuffix(got[0].After, "10.1.4.0:80]") || len(got[0].After) > 200 || len(got[0].Before) > 200 {
		t.Errorf("%v", got)
	}
}
