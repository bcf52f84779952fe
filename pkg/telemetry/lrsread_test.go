package telemetry

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	loadstats "github.com/envoyproxy/go-control-plane/envoy/service/load_stats/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
)

func node(id, fleet string, minor uint32) *core.Node {
	return &core.Node{Id: id, Cluster: fleet, UserAgentName: "envoy", UserAgentVersionType: &core.Node_UserAgentBuildVersion{
		UserAgentBuildVersion: &core.BuildVersion{Version: &typev3.SemanticVersion{MajorNumber: 1, MinorNumber: minor}},
	}}
}

func clusterStats(name string, length time.Duration, localities ...*endpoint.UpstreamLocalityStats) *endpoint.ClusterStats {
	return &endpoint.ClusterStats{ClusterName: name, ClusterServiceName: "s", UpstreamLocalityStats: localities, LoadReportInterval: durationpb.New(length)}
}

func loadRequest(t testing.TB, n *core.Node, stats ...*endpoint.ClusterStats) []byte {
	t.Helper()
	b, err := proto.Marshal(&loadstats.LoadStatsRequest{Node: n, ClusterStats: stats})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// loadReference reads a message with the generated types; ok is false for what must be refused.
func loadReference(raw []byte) (out map[string]loadReport, ok bool) {
	var m loadstats.LoadStatsRequest
	if proto.Unmarshal(raw, &m) != nil {
		return nil, false
	}
	out = map[string]loadReport{}
	for _, c := range m.GetClusterStats() {
		d := c.GetLoadReportInterval()
		if len(c.GetClusterName()) > maxNameLength || d.GetSeconds() < 0 || d.GetSeconds() > int64(maxReport/time.Second) || d.GetNanos() < 0 || d.GetNanos() >= 1e9 {
			return nil, false
		}
		r := loadReport{length: d.AsDuration()}
		for _, l := range c.GetUpstreamLocalityStats() {
			r.issued += l.GetTotalIssuedRequests()
			r.failed += l.GetTotalErrorRequests()
			r.open += l.GetTotalRequestsInProgress()
			for _, e := range l.GetUpstreamEndpointStats() {
				r.tries = append(r.tries, tries{"", e.GetTotalIssuedRequests(), e.GetTotalSuccessfulRequests(), e.GetTotalErrorRequests(), e.GetTotalRequestsInProgress()})
			}
			if len(l.GetUpstreamEndpointStats()) == 0 {
				r.tries = append(r.tries, tries{"", l.GetTotalIssuedRequests(), l.GetTotalSuccessfulRequests(), l.GetTotalErrorRequests(), l.GetTotalRequestsInProgress()})
			}
		}
		out[c.GetClusterName()] = r
	}
	return out, true
}

// all asks for every cluster.
func all([]byte) bool { return true }

// equal leaves out the addresses of endpoints, which are kept as they came.
func (l loadReport) equal(o loadReport) bool {
	return l.load == o.load && l.length == o.length && slices.EqualFunc(l.tries, o.tries, func(a, b tries) bool {
		a.endpoint, b.endpoint = "", ""
		return a == b
	})
}

func TestLoadReportsLikeGenerated(t *testing.T) {
	full := loadRequest(t, node("p1", "default", 40),
		clusterStats("orders/ecs", 250*time.Millisecond,
			&endpoint.UpstreamLocalityStats{Locality: &core.Locality{Zone: "a"}, TotalIssuedRequests: 300, TotalSuccessfulRequests: 2, TotalErrorRequests: 1, TotalRequestsInProgress: 7},
			&endpoint.UpstreamLocalityStats{TotalIssuedRequests: 1, TotalRequestsInProgress: 1, UpstreamEndpointStats: []*endpoint.UpstreamEndpointStats{
				{Address: &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{Address: "127.0.0.1"}}}, TotalIssuedRequests: 1, TotalErrorRequests: 2},
				{TotalSuccessfulRequests: 3, TotalRequestsInProgress: 1},
			}}),
		clusterStats("orders/eks", 70*time.Second))
	got, err := readLoadReports(full, all)
	if err != nil {
		t.Fatal(err)
	}
	want := loadReport{load: load{issued: 301, failed: 1, open: 8}, length: 250 * time.Millisecond, tries: []tries{{"", 300, 2, 1, 7}, {"", 1, 0, 2, 0}, {"", 0, 3, 0, 1}}}
	if !got["orders/ecs"].equal(want) || got["orders/ecs"].tries[1].endpoint == "" {
		t.Errorf("%+v, want %+v", got["orders/ecs"], want)
	}
	if want := (loadReport{length: 70 * time.Second}); !got["orders/eks"].equal(want) || len(got) != 2 {
		t.Errorf("%+v, want %+v", got, want)
	}
	m := newMutator(t)
	valid := 0
	for i := range 30_000 {
		raw := full
		for range 1 + m.IntN(8) {
			raw = m.mutate(raw)
		}
		got, err := readLoadReports(raw, all)
		want, ok := loadReference(raw)
		if !ok {
			continue
		}
		valid++
		sameNode(t, raw)
		if err != nil {
			t.Fatalf("mutation %d: refused: %v\n%x", i, err, raw)
		}
		if len(got) != len(want) {
			t.Fatalf("mutation %d: %+v, want %+v", i, got, want)
		}
		for name, w := range want {
			if !got[name].equal(w) {
				t.Fatalf("mutation %d: %s: %+v, want %+v\n%x", i, name, got[name], w, raw)
			}
		}
	}
	if valid < 5_000 {
		t.Errorf("only %d mutations were valid: they show little", valid)
	}
}

// TestEmptyEndpointsDoNotMultiply: they come in two bytes each, and so do localities.
func TestEmptyEndpointsDoNotMultiply(t *testing.T) {
	for name, stats := range map[string]*endpoint.ClusterStats{
		"endpoints":  clusterStats("", roundLength, &endpoint.UpstreamLocalityStats{UpstreamEndpointStats: make([]*endpoint.UpstreamEndpointStats, 20_000)}),
		"localities": clusterStats("", roundLength, make([]*endpoint.UpstreamLocalityStats, 20_000)...),
	} {
		var clusters []*endpoint.ClusterStats
		for i := range 10 {
			c := proto.Clone(stats).(*endpoint.ClusterStats)
			c.ClusterName = fmt.Sprintf("c%d/o", i)
			clusters = append(clusters, c)
		}
		raw := loadRequest(t, nil, clusters...)
		tries := func(asked func([]byte) bool) (clusters, n int) {
			got, err := readLoadReports(raw, asked)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range got {
				n += len(r.tries)
			}
			return len(got), n
		}
		if c, n := tries(all); c != 10 || n != maxTries {
			t.Errorf("%s: %d of %d clusters, want %d", name, n, c, maxTries)
		}
		if c, n := tries(func(cluster []byte) bool { return string(cluster) == "c3/o" }); c != 1 || n != 20_000 {
			t.Errorf("%s: %d of %d clusters, of which one was asked for", name, n, c)
		}
	}
}

func TestLoadNode(t *testing.T) {
	got, err := readLoadNode(loadRequest(t, node("p1", "default", 37)))
	if want := (loadNode{id: "p1", fleet: "default", version: version{1, 37, 0}}); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	for name, raw := range map[string][]byte{
		"no node": nil, "no id": loadRequest(t, node("", "default", 40)), "no fleet": loadRequest(t, node("p1", "", 40)),
		"more of it cut": append(loadRequest(t, node("p1", "default", 40)), 0x0a, 0x05, 0x42),
		"long id":        loadRequest(t, node(string(make([]byte, 300)), "default", 40)), "cut": loadRequest(t, node("p1", "default", 40))[:10],
	} {
		if got, err := readLoadNode(raw); err == nil {
			t.Errorf("%s: taken as %+v", name, got)
		}
	}
}

func FuzzLoadReports(f *testing.F) {
	f.Add(loadRequest(f, node("p1", "default", 40), clusterStats("orders/ecs", time.Second, &endpoint.UpstreamLocalityStats{TotalIssuedRequests: 3})))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := readLoadReports(raw, all)
		want, ok := loadReference(raw)
		if ok && (err != nil || len(got) != len(want)) {
			t.Fatalf("%+v, %v, want %+v", got, err, want)
		}
		sameNode(t, raw)
	})
}

// sameNode holds what is read of a node against what the generated types read.
func sameNode(t *testing.T, raw []byte) {
	t.Helper()
	got, err := readLoadNode(raw)
	var m loadstats.LoadStatsRequest
	if proto.Unmarshal(raw, &m) != nil {
		return // it may say anything, and does not panic
	}
	v := m.GetNode().GetUserAgentBuildVersion().GetVersion()
	want := loadNode{id: m.GetNode().GetId(), fleet: m.GetNode().GetCluster(), version: version{v.GetMajorNumber(), v.GetMinorNumber(), v.GetPatch()}}
	if ok := want.id != "" && want.fleet != "" && len(want.id) <= maxNameLength && len(want.fleet) <= maxNameLength; ok != (err == nil) || ok && got != want {
		t.Fatalf("node %+v, %v, want %+v\n%x", got, err, want, raw)
	}
}
