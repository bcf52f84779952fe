package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	metricsv1 "go.opentelemetry.io/proto/otlp/metrics/v1"

	loadstats "github.com/envoyproxy/go-control-plane/envoy/service/load_stats/v3"

	"github.com/crossfade-proxy/crossfade/pkg/xds"
)

// serve registers a Telemetry on a listener and returns a connection to it.
func serve(t testing.TB, tel *Telemetry) *grpc.ClientConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(append(xds.GRPCOptions(), grpc.MaxRecvMsgSize(MaxMessage))...)
	tel.Register(g)
	var serving sync.WaitGroup
	serving.Go(func() { _ = g.Serve(l) })
	t.Cleanup(func() { g.Stop(); serving.Wait() })
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// export sends a message as a proxy does; metadata are pairs.
func export(conn *grpc.ClientConn, m proto.Message, pairs ...string) error {
	ctx := metadata.AppendToOutgoingContext(context.Background(), pairs...)
	return conn.Invoke(ctx, "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", m, &metricsv1.MetricsData{})
}

func dataOf(metrics ...*metricsv1.Metric) *metricsv1.MetricsData {
	return &metricsv1.MetricsData{ResourceMetrics: []*metricsv1.ResourceMetrics{{ScopeMetrics: []*metricsv1.ScopeMetrics{{Metrics: metrics}}}}}
}

func TestExportRefuses(t *testing.T) {
	tel := New(Options{MaxProxies: 2})
	conn := serve(t, tel)
	named := func(proxy string) []string { return []string{ProxyMetadata, proxy, FleetMetadata, "default"} }
	one := dataOf(counterMetric("cluster.upstream_rq_total", "orders/ecs", "", 1))
	point := counterMetric("cluster.upstream_rq_total", "", "", 1).GetSum().GetDataPoints()[0]
	sum := &metricsv1.Sum{AggregationTemporality: metricsv1.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA}
	for i := range maxClusters + 1 {
		p := proto.Clone(point).(*metricsv1.NumberDataPoint)
		p.Attributes = attributes(fmt.Sprintf("s%d/o", i), "")
		sum.DataPoints = append(sum.DataPoints, p)
	}
	many := dataOf(&metricsv1.Metric{Name: "cluster.upstream_rq_total", Data: &metricsv1.Metric_Sum{Sum: sum}})
	cases := []struct {
		name   string
		send   proto.Message
		pairs  []string
		code   codes.Code
		says   string
		reason string
	}{
		{"no name", one, nil, codes.InvalidArgument, ProxyMetadata, "nameless"},
		{"no fleet", one, []string{ProxyMetadata, "p1"}, codes.InvalidArgument, FleetMetadata, "nameless"},
		{"two names", one, append(named("p1"), ProxyMetadata, "p2"), codes.InvalidArgument, "once", "nameless"},
		{"a long name", one, named(strings.Repeat("p", maxNameLength+1)), codes.InvalidArgument, "256", "nameless"},
		{"not metrics", &commonv1.KeyValue{Key: "\x0a\x7f"}, named("p1"), codes.InvalidArgument, "protobuf", "malformed"},
		{"too many clusters", many, named("p1"), codes.InvalidArgument, "20000 clusters", "malformed"},
		{"falling bounds", dataOf(histogramMetric("a/b", []float64{2, 1}, []uint64{0, 0, 0})), named("p1"), codes.InvalidArgument, "do not rise", "malformed"},
		{"first proxy", one, named("p1"), codes.OK, "", ""},
		{"second proxy", one, named("p2"), codes.OK, "", ""},
		{"third proxy", one, named("p3"), codes.ResourceExhausted, "2 proxies", "too_many"},
		{"first again", one, named("p1"), codes.OK, "", ""},
	}
	for _, c := range cases {
		before := tel.Stats().Refused[c.reason]
		err := export(conn, c.send, c.pairs...)
		if status.Code(err) != c.code || !strings.Contains(status.Convert(err).Message(), c.says) {
			t.Errorf("%s: %v, want %s with %q", c.name, err, c.code, c.says)
		}
		if c.reason != "" && tel.Stats().Refused[c.reason] != before+1 {
			t.Errorf("%s: not counted as %s: %+v", c.name, c.reason, tel.Stats())
		}
	}
	if got := tel.Traffic("default", "a", "b", time.Now(), time.Minute); got.Requests != 0 {
		t.Errorf("of a refused message something was taken: %+v", got)
	}
}

func TestTrafficOverFleet(t *testing.T) {
	now := testTime
	tel := New(Options{Now: func() time.Time { return now }})
	conn := serve(t, tel)
	send := func(proxy, fleet string, metrics ...*metricsv1.Metric) {
		t.Helper()
		if err := export(conn, dataOf(metrics...), ProxyMetadata, proxy, FleetMetadata, fleet); err != nil {
			t.Fatal(err)
		}
	}
	tel.Connected("default", "p1", true)
	tel.Connected("default", "p2", true)
	tel.Connected("default", "p3", true)
	now = now.Add(4 * time.Second)
	for _, p := range []string{"p1", "p2"} {
		send(p, "default", counterMetric("cluster.upstream_rq_xx", "orders/ecs", "2", 18), counterMetric("cluster.upstream_rq_xx", "orders/ecs", "5", 2),
			counterMetric("cluster.upstream_rq_total", "orders/ecs", "", 20), histogramMetric("orders/ecs", []float64{10, 20}, []uint64{0, 19, 1}),
			gaugeMetric("runtime.admin_overrides_active", int64(len(p)-2)))
	}
	send("p9", "other", counterMetric("cluster.upstream_rq_xx", "orders/ecs", "2", 1000), gaugeMetric("runtime.admin_overrides_active", 1))
	got := tel.Traffic("default", "orders", "ecs", now, 10*time.Second)
	if got.Requests != 40 || got.RPS != 10 || got.ErrorRate != 0.1 || got.Started != 40 || got.Window != 4*time.Second || got.Reporting != 2 || got.Silent != 1 {
		t.Errorf("%+v", got)
	}
	if got.P50 != 15198684*time.Nanosecond || got.P99 != 21*time.Millisecond { // the middle of 11 to 21, and the end
		t.Errorf("p50 %s, p99 %s", got.P50, got.P99)
	}
	if got := tel.Traffic("default", "orders", "eks", now, 10*time.Second); got.Requests != 0 || got.P99 != 0 || got.Reporting != 2 {
		t.Errorf("an origin without requests: %+v", got)
	}
	if got := tel.Traffic("none", "orders", "ecs", now, 10*time.Second); got != (Traffic{}) {
		t.Errorf("a fleet that is not known: %+v", got)
	}
	if !tel.Override("other", "p9") || tel.Override("default", "p1") || tel.Override("default", "p7") {
		t.Error("overrides are wrong")
	}
	now = now.Add(20 * time.Second)
	if got := tel.Traffic("default", "orders", "ecs", now, 10*time.Second); got.Requests != 0 || got.Reporting != 0 || got.Silent != 3 {
		t.Errorf("20 s later: %+v", got)
	}
	totals := tel.Totals()
	if len(totals) != 2 || totals[0].Fleet != "default" || totals[0].Origin != "ecs" || totals[0].Counts.Class[2] != 36 || totals[1].Fleet != "other" {
		t.Errorf("totals %+v", totals)
	}
	tel.Forget("default", "p3")
	if got := tel.Proxies("default", now); len(got) != 2 || got[0].Proxy != "p1" || got[0].Reporting || got[0].Reported != testTime.Add(4*time.Second) {
		t.Errorf("proxies %+v", got)
	}
}

// A proxy that is gone for long gives way to a new one; one that may come back does not.
func TestRoomForNewProxies(t *testing.T) {
	now := testTime
	tel := New(Options{MaxProxies: 2, Now: func() time.Time { return now }})
	conn := serve(t, tel)
	report := func(id string) codes.Code {
		return status.Code(export(conn, dataOf(gaugeMetric("server.uptime", 1)), ProxyMetadata, id, FleetMetadata, "default"))
	}
	tel.Connected("default", "p1", true)
	tel.Connected("default", "p1", false)
	steps := []struct {
		after time.Duration
		id    string
		want  codes.Code
	}{
		{0, "stray", codes.OK},
		{0, "new", codes.ResourceExhausted},
		{keepUnknown + 1, "new", codes.OK},
		{0, "newer", codes.ResourceExhausted},
		{keepLost, "newer", codes.OK},
	}
	for i, s := range steps {
		now = now.Add(s.after)
		if got := report(s.id); got != s.want {
			t.Fatalf("step %d: %s is answered %s, want %s: %+v", i, s.id, got, s.want, tel.Proxies("default", now))
		}
	}
}

// However many proxies came and went, one that connects is followed; one that does not connect takes no place of others.
func TestRoomForWhoConnects(t *testing.T) {
	now := testTime
	tel := New(Options{MaxProxies: 3, Now: func() time.Time { return now }})
	conn := serve(t, tel)
	report := func(id string) codes.Code {
		return status.Code(export(conn, dataOf(gaugeMetric("server.uptime", 1)), ProxyMetadata, id, FleetMetadata, "default"))
	}
	visit := func(id string) {
		now = now.Add(time.Second)
		tel.Connected("default", id, true)
		tel.Connected("default", id, false)
	}
	tel.Connected("default", "stays", true)
	visit("first")
	if got := report("stray"); got != codes.OK {
		t.Fatalf("there is room, and it is answered %s", got)
	}
	visit("second") // in the place of the stray
	visit("third")  // in that of the first
	now = now.Add(time.Second)
	tel.Connected("default", "new", true)
	known := func() (ids []string) {
		for _, p := range tel.Proxies("default", now) {
			ids = append(ids, p.Proxy)
		}
		return ids
	}
	if got := known(); !slices.Equal(got, []string{"new", "stays", "third"}) {
		t.Errorf("known are %v", got)
	}
	if a, b := report("new"), report("another"); a != codes.OK || b != codes.ResourceExhausted {
		t.Errorf("who is connected is answered %s, who is not %s", a, b)
	}
	tel.Connected("default", "more", true) // in the place of the third
	tel.Connected("default", "most", true) // there is none
	if got := known(); !slices.Equal(got, []string{"more", "new", "stays"}) {
		t.Errorf("known are %v", got)
	}
}

func TestLoadStreamRefuses(t *testing.T) {
	tel := New(Options{MaxProxies: 1})
	conn := serve(t, tel)
	open := func(first *loadstats.LoadStatsRequest) error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		stream, err := loadstats.NewLoadReportingServiceClient(conn).StreamLoadStats(ctx)
		if err != nil {
			return err
		}
		if err := stream.Send(first); err != nil {
			return err
		}
		if err := stream.CloseSend(); err != nil {
			return err
		}
		_, err = stream.Recv()
		return err
	}
	if err := open(&loadstats.LoadStatsRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("without a node: %v", err)
	}
	if err := open(&loadstats.LoadStatsRequest{Node: node("p1", "default", 40)}); !errors.Is(err, io.EOF) {
		t.Errorf("a stream that ends: %v", err)
	}
	if got := tel.Proxies("default", time.Now()); len(got) != 1 || got[0].Version != "1.40.0" {
		t.Errorf("%+v", got)
	}
	if err := open(&loadstats.LoadStatsRequest{Node: node("p2", "default", 40)}); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("one proxy too many: %v", err)
	}
}

// A name that an answer of the API could not hold is none.
func TestANameThatIsNotUTF8(t *testing.T) {
	for proxy, want := range map[string]codes.Code{"pröxy": codes.OK, "p\xff": codes.InvalidArgument} {
		_, _, err := sender(metadata.NewIncomingContext(t.Context(), metadata.Pairs(ProxyMetadata, proxy, FleetMetadata, "default")))
		if status.Code(err) != want {
			t.Errorf("%q: %v", proxy, err)
		}
	}
}
