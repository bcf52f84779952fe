package statsim_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	loadstats "github.com/envoyproxy/go-control-plane/envoy/service/load_stats/v3"
	metricsv1 "go.opentelemetry.io/proto/otlp/metrics/v1"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/bench/internal/statsim"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/internal/envoybin"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

const (
	exportMethod = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
	loadsMethod  = "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats"
	port         = 10000
)

// TestLikeAnEnvoy holds what is simulated against what a real Envoy sends of the same services: each point and each report is of the same kind, and
// has the same size.
func TestLikeAnEnvoy(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r := realProxy(ctx, t)
	var export *metricsv1.MetricsData
	var loads *loadstats.LoadStatsRequest
	var header message
	until(ctx, t, "a flush in which nothing is unusual, and a load report of both origins", func() error {
		for i, m := range r.of(exportMethod) {
			if d := metrics(t, m.body); i > 0 && len(kinds(d)["cluster.upstream_rq_time"]) == busy && !has(d, "cluster.upstream_rq_pending_total") {
				export, header = d, m
			}
		}
		for _, m := range r.of(loadsMethod) {
			if l := load(t, m.body); len(l.GetClusterStats()) == 2 && answeredBy(l.GetClusterStats()[0]) && answeredBy(l.GetClusterStats()[1]) {
				loads = l
			}
		}
		if export == nil || loads == nil {
			return fmt.Errorf("%d flushes, %d load reports", len(r.of(exportMethod)), len(r.of(loadsMethod)))
		}
		return nil
	})
	for _, key := range []string{"x-crossfade-proxy", "x-crossfade-fleet"} {
		if got := header.header.Get(key); len(got) != 1 {
			t.Errorf("an Envoy sends %s: %q", key, got)
		}
	}

	simulated := simulate(t, loads)
	flush := metrics(t, simulated.flush)
	sameKinds(t, kinds(export), kinds(flush))
	if want, got := proto.Size(export), len(simulated.flush); want != got {
		t.Errorf("a flush has %d bytes, an Envoy's %d", got, want)
	}
	sameText(t, "resource", export.GetResourceMetrics()[0].GetResource(), flush.GetResourceMetrics()[0].GetResource())
	likeReports(t, loads, load(t, simulated.report))
}

func answeredBy(c *endpoint.ClusterStats) bool { return len(c.GetUpstreamLocalityStats()) == 1 }

// busy is how many clusters get requests: both origins of one service, and one of another.
const busy = 3

// likeReports holds two load reports of the same clusters against each other: the node but for the build, and the fields of all else.
func likeReports(t *testing.T, want, got *loadstats.LoadStatsRequest) {
	t.Helper()
	want.GetNode().GetUserAgentBuildVersion().Metadata = nil
	for _, r := range []*loadstats.LoadStatsRequest{want, got} {
		slices.SortFunc(r.GetNode().GetExtensions(), func(a, b *core.Extension) int {
			return cmp.Or(cmp.Compare(a.GetCategory(), b.GetCategory()), cmp.Compare(a.GetName(), b.GetName()))
		})
	}
	sameText(t, "node", want.GetNode(), got.GetNode())
	for _, r := range []*loadstats.LoadStatsRequest{want, got} {
		slices.SortFunc(r.GetClusterStats(), func(a, b *endpoint.ClusterStats) int { return cmp.Compare(a.GetClusterName(), b.GetClusterName()) })
		for _, c := range r.GetClusterStats() {
			if l := c.GetLoadReportInterval().AsDuration(); l < 200*time.Millisecond || l > 2*time.Second {
				t.Errorf("a report of %v", l)
			}
			c.LoadReportInterval = &durationpb.Duration{Nanos: 1}
			for _, l := range c.GetUpstreamLocalityStats() {
				for _, e := range l.GetUpstreamEndpointStats() {
					if e.GetTotalIssuedRequests() == 0 || e.GetTotalIssuedRequests() != l.GetTotalIssuedRequests() {
						t.Errorf("%d requests of the endpoint, %d of all", e.GetTotalIssuedRequests(), l.GetTotalIssuedRequests())
					}
					e.TotalIssuedRequests, e.TotalSuccessfulRequests, e.TotalRequestsInProgress = 1, 1, 0
				}
				l.TotalIssuedRequests, l.TotalSuccessfulRequests, l.TotalRequestsInProgress = 1, 1, 0
			}
		}
		r.Node = nil
	}
	sameText(t, "load reports", want, got)
}

// messages are what is simulated.
type messages struct{ flush, report []byte }

// simulate is a proxy with the clusters of [realProxy], of which three are busy, after a first flush.
func simulate(t *testing.T, like *loadstats.LoadStatsRequest) messages {
	t.Helper()
	socket := like.GetClusterStats()[0].GetUpstreamLocalityStats()[0].GetUpstreamEndpointStats()[0].GetAddress().GetSocketAddress()
	var clusters []statsim.Cluster
	for _, name := range []string{"service-000/ecs", "service-000/eks", "service-001/ecs", "service-001/eks"} {
		clusters = append(clusters, statsim.Cluster{Name: name, Address: socket.GetAddress(), Port: int(socket.GetPortValue())})
	}
	now := time.Now()
	p := statsim.NewFleet(clusters).Proxy(rand.New(rand.NewPCG(1, 1)), now)
	p.Serve([]statsim.Load{{Rate: 25}, {Rate: 25}, {Rate: 50}, {}}, now)
	p.Flush(nil, now.Add(time.Second))
	p.Ask([]string{"service-000/ecs", "service-000/eks"}, now.Add(time.Second))
	var m messages
	reports, n := p.Report(nil, now.Add(1250*time.Millisecond))
	if n != 2 {
		t.Fatalf("reports of %d clusters", n)
	}
	fields := like.GetNode().GetMetadata().GetFields()
	c := deltaclient.Config{ID: like.GetNode().GetId(), Fleet: like.GetNode().GetCluster(), ListenAddress: fields["crossfade.listen_address"].GetStringValue()}
	node, err := statsim.NodeOf(c)
	if err != nil {
		t.Fatal(err)
	}
	const added = "crossfade.experiment_address" // by a stack
	fields[added].Kind = load(t, node.Message(c.ID, c.Fleet)).GetNode().GetMetadata().GetFields()[added].GetKind()
	m.report = append(node.Message(c.ID, c.Fleet), reports...)
	m.flush, _ = p.Flush(nil, now.Add(2*time.Second))
	return m
}

// realProxy starts a control plane, two services with a rollout of the first, and an Envoy with traffic, and records what it sends.
func realProxy(ctx context.Context, t *testing.T) *recorder {
	t.Helper()
	dir := t.TempDir()
	binary, err := stack.Build(ctx, dir, "xds-server")
	if err != nil {
		t.Fatal(err)
	}
	e, err := envoybin.Pinned(ctx, envoybin.Newest, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	s, err := stack.Start(ctx, stack.Config{Binary: binary, Envoy: e, Dir: dir, Flush: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	r := record(t, s.Server.XDS)
	s.Server.XDS = r.address
	p, err := s.AddProxy(ctx, "default", 1)
	if err != nil {
		t.Fatal(err)
	}
	o := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(o.Close)
	options := &crossfadev1.ChangeOptions{Wait: crossfadev1.Wait_WAIT_ACKED, Timeout: durationpb.New(20 * time.Second), Actor: "test", Reason: "test"}
	if _, err := s.API.Apply(ctx, &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{service(0, o), service(1, o)}, Options: options}); err != nil {
		t.Fatal(err)
	}
	if err := p.AwaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	run, err := loadgen.Start(ctx, loadgen.Config{
		Target: net.JoinHostPort(p.Host, strconv.Itoa(port)), Rate: 200, Duration: time.Minute, Connections: 4,
		Make: func(i uint64) loadgen.Request { return loadgen.Request{Host: fmt.Sprintf("service-%03d.test", i%2)} },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.Stop(); run.Wait() })
	options.Wait = crossfadev1.Wait_WAIT_NONE
	if _, err := s.API.StartRollout(ctx, &crossfadev1.StartRolloutRequest{Options: options, Rollout: &crossfadev1.Rollout{
		ApiVersion: "crossfade/v1", Kind: "Rollout", Name: "service-000", Service: "service-000", To: "eks",
		Bake: durationpb.New(time.Hour), Retention: durationpb.New(0),
		Guards: []*crossfadev1.RolloutGuard{{Name: "errors", Metric: "errorRate", Max: "0.5%"}}, Steps: []*crossfadev1.RolloutStep{{Weight: 5000}},
	}}); err != nil {
		t.Fatal(err)
	}
	return r
}

// service has everything at ecs, and both origins at one address.
func service(i int, o *httptest.Server) *crossfadev1.Document {
	name := fmt.Sprintf("service-%03d", i)
	endpoints := []string{o.Listener.Addr().String()}
	origin := func(name string) *crossfadev1.Origin {
		return &crossfadev1.Origin{Name: name, Discovery: &crossfadev1.Origin_Static{Static: &crossfadev1.StaticEndpoints{Endpoints: endpoints}}}
	}
	return &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: &crossfadev1.Service{
		ApiVersion: "crossfade/v1", Kind: "Service", Name: name, Hosts: []string{name + ".test"}, Primary: "ecs", Listener: &crossfadev1.Listener{Port: port},
		Origins: []*crossfadev1.Origin{origin("ecs"), origin("eks")}, Split: &crossfadev1.Split{Weights: map[string]int32{"ecs": 10_000}},
	}}}
}

// kinds are the points of a message by the name of their metric: all of each but its times and values, as text, sorted.
func kinds(d *metricsv1.MetricsData) map[string][]string {
	out := map[string][]string{}
	for _, m := range d.GetResourceMetrics()[0].GetScopeMetrics()[0].GetMetrics() {
		m = proto.CloneOf(m)
		for _, p := range slices.Concat(m.GetGauge().GetDataPoints(), m.GetSum().GetDataPoints()) {
			p.StartTimeUnixNano, p.TimeUnixNano, p.Value = min(p.StartTimeUnixNano, 1), min(p.TimeUnixNano, 1), &metricsv1.NumberDataPoint_AsInt{}
		}
		for _, p := range m.GetHistogram().GetDataPoints() {
			p.StartTimeUnixNano, p.TimeUnixNano, p.Count, p.Sum = min(p.StartTimeUnixNano, 1), min(p.TimeUnixNano, 1), min(p.Count, 1), proto.Float64(1)
			p.BucketCounts = make([]uint64, len(p.BucketCounts))
		}
		out[m.GetName()] = append(out[m.GetName()], prototext.MarshalOptions{}.Format(m))
	}
	for _, all := range out {
		slices.Sort(all)
	}
	return out
}

func has(d *metricsv1.MetricsData, name string) bool { return len(kinds(d)[name]) > 0 }

func sameKinds(t *testing.T, want, got map[string][]string) {
	t.Helper()
	for name, points := range want {
		// How prototext spaces its fields differs from run to run of a binary, but not within one.
		if !slices.Equal(points, got[name]) {
			t.Errorf("%s: an Envoy sends\n%q\nsimulated is\n%q", name, points, got[name])
		}
	}
	for name := range got {
		if want[name] == nil {
			t.Errorf("%s is simulated, and an Envoy does not send it", name)
		}
	}
}

func sameText(t *testing.T, what string, want, got proto.Message) {
	t.Helper()
	if !proto.Equal(want, got) {
		t.Errorf("%s: an Envoy sends\n%.3000s\nsimulated is\n%.3000s", what, prototext.Format(want), prototext.Format(got))
	}
}

func metrics(t *testing.T, b []byte) *metricsv1.MetricsData {
	t.Helper()
	d := &metricsv1.MetricsData{} // an ExportMetricsServiceRequest has the same fields
	if err := proto.Unmarshal(b, d); err != nil {
		t.Fatal(err)
	}
	return d
}

func load(t *testing.T, b []byte) *loadstats.LoadStatsRequest {
	t.Helper()
	l := &loadstats.LoadStatsRequest{}
	if err := proto.Unmarshal(b, l); err != nil {
		t.Fatal(err)
	}
	return l
}

func until(ctx context.Context, t *testing.T, what string, ok func() error) {
	t.Helper()
	if err := poll.Until(ctx, 100*time.Millisecond, func(context.Context) error { return ok() }); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}
