package telemetry

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	metricsv1 "go.opentelemetry.io/proto/otlp/metrics/v1"
)

// attributes are those of a point of a cluster.
func attributes(cluster, class string) []*commonv1.KeyValue {
	text := func(s string) *commonv1.AnyValue {
		return &commonv1.AnyValue{Value: &commonv1.AnyValue_StringValue{StringValue: s}}
	}
	var out []*commonv1.KeyValue
	if class != "" {
		out = append(out, &commonv1.KeyValue{Key: "envoy.response_code_class", Value: text(class)})
	}
	if cluster != "" {
		out = append(out, &commonv1.KeyValue{Key: "envoy.cluster_name", Value: text(cluster)})
	}
	return out
}

const (
	second0 = uint64(1_800_000_000_000_000_000)
	second2 = second0 + 2e9
)

func counterMetric(name, cluster, class string, n int64) *metricsv1.Metric {
	return &metricsv1.Metric{Name: name, Data: &metricsv1.Metric_Sum{Sum: &metricsv1.Sum{
		AggregationTemporality: metricsv1.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA, IsMonotonic: true,
		DataPoints: []*metricsv1.NumberDataPoint{{
			StartTimeUnixNano: second0, TimeUnixNano: second2, Attributes: attributes(cluster, class), Value: &metricsv1.NumberDataPoint_AsInt{AsInt: n},
		}},
	}}}
}

func gaugeMetric(name string, n int64) *metricsv1.Metric {
	return &metricsv1.Metric{Name: name, Data: &metricsv1.Metric_Gauge{Gauge: &metricsv1.Gauge{
		DataPoints: []*metricsv1.NumberDataPoint{{TimeUnixNano: second2, Value: &metricsv1.NumberDataPoint_AsInt{AsInt: n}}},
	}}}
}

func histogramMetric(cluster string, bounds []float64, counts []uint64) *metricsv1.Metric {
	return &metricsv1.Metric{Name: "cluster.upstream_rq_time", Data: &metricsv1.Metric_Histogram{Histogram: &metricsv1.Histogram{
		AggregationTemporality: metricsv1.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA,
		DataPoints: []*metricsv1.HistogramDataPoint{{
			StartTimeUnixNano: second0, TimeUnixNano: second2, Attributes: attributes(cluster, ""), ExplicitBounds: bounds, BucketCounts: counts,
		}},
	}}}
}

// request has the bytes of an ExportMetricsServiceRequest, which are those of a MetricsData.
func request(t testing.TB, metrics ...*metricsv1.Metric) []byte {
	t.Helper()
	b, err := proto.Marshal(&metricsv1.MetricsData{ResourceMetrics: []*metricsv1.ResourceMetrics{{
		ScopeMetrics: []*metricsv1.ScopeMetrics{{Metrics: metrics}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readFlush is what a flush holds, by cluster, for comparison.
type readFlush struct {
	start, end, overrides, expiry uint64
	counts                        map[string]Counts
	histograms                    []string // sorted
}

func (f *flush) readable() readFlush {
	out := readFlush{start: f.start, end: f.end, overrides: f.overrides, expiry: uint64(f.expiry), counts: map[string]Counts{}}
	name := func(i int32) string {
		if d := &f.deltas[i]; d.series == nil {
			return d.name
		}
		return f.deltas[i].series.name
	}
	for i := range f.deltas {
		out.counts[name(int32(i))] = f.deltas[i].counts
	}
	for _, h := range f.histograms {
		out.histograms = append(out.histograms, fmt.Sprintf("%s %x %x", name(h.delta), h.bounds, h.counts))
	}
	slices.Sort(out.histograms)
	return out
}

func (r readFlush) equal(o readFlush) bool {
	return r.start == o.start && r.end == o.end && r.overrides == o.overrides && r.expiry == o.expiry && maps.Equal(r.counts, o.counts) && slices.Equal(r.histograms, o.histograms)
}

// decodeReference reads a message with the generated types. ok is false for what must be refused.
func decodeReference(raw []byte) (out readFlush, ok bool) {
	var data metricsv1.MetricsData
	if proto.Unmarshal(raw, &data) != nil {
		return out, false
	}
	out.counts = map[string]Counts{}
	for _, r := range data.GetResourceMetrics() {
		for _, s := range r.GetScopeMetrics() {
			for _, m := range s.GetMetrics() {
				if !out.metric(m) {
					return out, false
				}
			}
		}
	}
	slices.Sort(out.histograms)
	return out, true
}

func (r *readFlush) metric(m *metricsv1.Metric) bool {
	kind := metricNamed(m.GetName())
	if kind == notOurs || m.GetData() == nil {
		return true
	}
	var points []*metricsv1.NumberDataPoint
	delta := false
	switch {
	case kind == latency && m.GetHistogram() != nil:
		for _, p := range m.GetHistogram().GetDataPoints() {
			if m.GetHistogram().GetAggregationTemporality() != 1 || !r.histogram(p) {
				return false
			}
		}
		return true
	case kind.isGauge() && m.GetGauge() != nil:
		points, delta = m.GetGauge().GetDataPoints(), true
	case kind != latency && !kind.isGauge() && m.GetSum() != nil:
		points, delta = m.GetSum().GetDataPoints(), m.GetSum().GetAggregationTemporality() == 1
	default: // another kind: refused if it has points
		return len(m.GetGauge().GetDataPoints())+len(m.GetSum().GetDataPoints())+len(m.GetHistogram().GetDataPoints())+
			len(m.GetExponentialHistogram().GetDataPoints())+len(m.GetSummary().GetDataPoints()) == 0
	}
	for _, p := range points {
		n, whole := p.GetValue().(*metricsv1.NumberDataPoint_AsInt)
		if !whole || n.AsInt < 0 || !r.seen(p.GetStartTimeUnixNano(), p.GetTimeUnixNano()) || !delta {
			return false
		}
		if !r.point(kind, p.GetAttributes(), uint64(n.AsInt)) {
			return false
		}
	}
	return true
}

func (r *readFlush) seen(start, end uint64) bool {
	r.start, r.end = max(r.start, start), max(r.end, end)
	return end > 0 && end <= math.MaxInt64 && start <= end
}

func (r *readFlush) point(kind metric, attributes []*commonv1.KeyValue, n uint64) bool {
	switch kind {
	case uptime:
		return true
	case overrides:
		r.overrides = n
		return true
	case expiry:
		if n > 0 && (r.expiry == 0 || n < r.expiry) {
			r.expiry = n
		}
		return true
	}
	cluster, digit := named(attributes)
	cluster, either := strings.CutSuffix(cluster, "@either")
	if kind == hidden && !either {
		return true
	}
	ours, ok := origin(cluster)
	if !ours || !ok {
		return ok
	}
	c := r.counts[cluster]
	field := map[metric]*uint64{
		started: &c.Started, queued: &c.Queued, overflow: &c.Overflow, noneHealthy: &c.NoneHealthy, connectFail: &c.ConnectFail, reset: &c.Reset, timeout: &c.Timeout, hidden: &c.Hidden,
	}[kind]
	if kind == class && len(digit) == 1 && digit >= "1" && digit <= "5" {
		field = &c.Class[digit[0]-'0']
	}
	if field != nil {
		*field += n
	}
	r.counts[cluster] = c
	return true
}

func (r *readFlush) histogram(p *metricsv1.HistogramDataPoint) bool {
	if !r.seen(p.GetStartTimeUnixNano(), p.GetTimeUnixNano()) || len(p.GetBucketCounts()) != len(p.GetExplicitBounds())+1 {
		return false
	}
	cluster, _ := named(p.GetAttributes())
	cluster = strings.TrimSuffix(cluster, "@either")
	ours, ok := origin(cluster)
	if !ours || !ok {
		return ok
	}
	if _, ok := r.counts[cluster]; !ok {
		r.counts[cluster] = Counts{}
	}
	r.histograms = append(r.histograms, fmt.Sprintf("%s %x %x", cluster, packFloats(p.GetExplicitBounds()...), pack(p.GetBucketCounts()...)))
	return true
}

func named(attributes []*commonv1.KeyValue) (cluster, class string) {
	for _, a := range attributes {
		switch a.GetKey() {
		case "envoy.cluster_name":
			cluster = a.GetValue().GetStringValue()
		case "envoy.response_code_class":
			class = a.GetValue().GetStringValue()
		}
	}
	return cluster, class
}

// origin says whether a cluster is that of an origin, and whether its name is allowed.
func origin(cluster string) (ours, ok bool) {
	if cluster == "" {
		return false, false
	}
	ours = slices.Contains([]byte(cluster), '/')
	return ours, !ours || len(cluster) <= maxNameLength && utf8.ValidString(cluster)
}

// messages are a flush as Envoy writes it, and odd ones.
func messages(t testing.TB) map[string][]byte {
	full := []*metricsv1.Metric{
		gaugeMetric("server.uptime", 17), gaugeMetric("runtime.admin_overrides_active", 2), gaugeMetric("server.live", 1),
		counterMetric("cluster.upstream_rq_total", "orders/ecs", "", 5), counterMetric("cluster.upstream_rq_total", "xds", "", 1),
		counterMetric("cluster.upstream_rq_xx", "orders/ecs", "2", 4), counterMetric("cluster.upstream_rq_xx", "orders/ecs", "5", 1),
		counterMetric("cluster.upstream_rq_pending_total", "orders/eks", "", 3), counterMetric("cluster.upstream_rq_pending_overflow", "orders/eks", "", 1),
		counterMetric("cluster.upstream_rq_active_overflow", "orders/eks", "", 1), counterMetric("cluster.upstream_cx_none_healthy", "orders/eks", "", 1),
		counterMetric("cluster.upstream_cx_connect_fail", "orders/eks", "", 1), counterMetric("cluster.upstream_rq_rx_reset", "orders/eks", "", 1),
		counterMetric("cluster.upstream_rq_timeout", "orders/eks", "", 1),
		counterMetric("cluster.upstream_rq_xx", "orders/eks@either", "2", 6), counterMetric("cluster.upstream_rq_retry_success", "orders/eks@either", "", 2),
		counterMetric("cluster.upstream_rq_retry_success", "orders/eks", "", 8), histogramMetric("orders/eks@either", []float64{1}, []uint64{6, 0}),
		histogramMetric("orders/ecs", []float64{1, 2, 4}, []uint64{1, 0, 4, 0}), histogramMetric("carts/ecs", []float64{1}, []uint64{0, 7}),
	}
	return map[string][]byte{
		"nothing": nil, "full": request(t, full...), "twice": slices.Concat(request(t, full...), request(t, full...)),
		"cumulative": request(t, &metricsv1.Metric{Name: "cluster.upstream_rq_total", Data: &metricsv1.Metric_Sum{Sum: &metricsv1.Sum{
			DataPoints: []*metricsv1.NumberDataPoint{{TimeUnixNano: second2, Attributes: attributes("a/b", ""), Value: &metricsv1.NumberDataPoint_AsInt{AsInt: 1}}},
		}}}),
		"no cluster":  request(t, counterMetric("cluster.upstream_rq_total", "", "", 1)),
		"negative":    request(t, counterMetric("cluster.upstream_rq_total", "a/b", "", -1)),
		"no +Inf":     request(t, histogramMetric("a/b", []float64{1, 2}, []uint64{1, 2})),
		"other kind":  request(t, gaugeMetric("cluster.upstream_rq_total", 1)),
		"no time":     request(t, &metricsv1.Metric{Name: "server.uptime", Data: &metricsv1.Metric_Gauge{Gauge: &metricsv1.Gauge{DataPoints: []*metricsv1.NumberDataPoint{{Value: &metricsv1.NumberDataPoint_AsInt{}}}}}}),
		"fraction":    request(t, &metricsv1.Metric{Name: "server.uptime", Data: &metricsv1.Metric_Gauge{Gauge: &metricsv1.Gauge{DataPoints: []*metricsv1.NumberDataPoint{{TimeUnixNano: 1, Value: &metricsv1.NumberDataPoint_AsDouble{AsDouble: 1}}}}}}),
		"cut":         request(t, full...)[:100],
		"not a proto": []byte("\xff\xff\xff\xff"),
	}
}

func TestDecode(t *testing.T) {
	good := map[string]bool{"nothing": true, "full": true, "twice": true}
	for name, raw := range messages(t) {
		var f flush
		f.reset(nil)
		err := f.decode(raw)
		want, ok := decodeReference(raw)
		switch {
		case ok != good[name]:
			t.Fatalf("%s: the reference says %v", name, ok)
		case ok != (err == nil):
			t.Errorf("%s: %v", name, err)
		case ok && !f.readable().equal(want):
			t.Errorf("%s: %+v, want %+v", name, f.readable(), want)
		}
	}
}

// A flush is used again and again, with an index that grows: nothing of an earlier message may show.
func TestFlushIsUsedAgain(t *testing.T) {
	fl := newFleet("default", testTime, &room{})
	var f flush
	for i, raw := range [][]byte{messages(t)["full"], messages(t)["cut"], request(t, counterMetric("cluster.upstream_rq_total", "carts/ecs", "", 9)), messages(t)["full"]} {
		f.reset(*fl.index.Load())
		err := f.decode(raw)
		want, ok := decodeReference(raw)
		if ok != (err == nil) || ok && !f.readable().equal(want) {
			t.Errorf("message %d: %v, %+v, want %+v", i, err, f.readable(), want)
		}
		fl.learn(&f, testTime)
	}
}

// known is an index of some of the clusters of messages.
func known() map[string]*series {
	return map[string]*series{"orders/ecs": {id: 7, name: "orders/ecs"}, "carts/ecs": {id: 0, name: "carts/ecs"}}
}

// TestOneClusterTooManyLeavesNothing: it ended the process with the next message that had the cluster.
func TestOneClusterTooManyLeavesNothing(t *testing.T) {
	many := make([]*metricsv1.Metric, 0, maxClusters+1)
	for i := range maxClusters {
		many = append(many, counterMetric("cluster.upstream_rq_total", fmt.Sprintf("n%d/o", i), "", 1))
	}
	for _, cluster := range []string{"carts/ecs", "orders/ecs", "new/one"} {
		var f flush
		f.reset(known())
		if err := f.decode(request(t, append(many, counterMetric("cluster.upstream_rq_total", cluster, "", 1))...)); err == nil {
			t.Fatal("too many clusters are taken")
		}
		f.reset(known())
		if err := f.decode(request(t, counterMetric("cluster.upstream_rq_total", cluster, "", 1))); err != nil || len(f.deltas) != 1 {
			t.Errorf("%s: %v, %d clusters", cluster, err, len(f.deltas))
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, raw := range messages(f) {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var got flush
		got.reset(known())
		err := got.decode(raw)
		if want, ok := decodeReference(raw); ok {
			if err != nil {
				t.Fatalf("refused: %v", err)
			}
			if !got.readable().equal(want) {
				t.Fatalf("%+v, want %+v", got.readable(), want)
			}
		}
	})
}
