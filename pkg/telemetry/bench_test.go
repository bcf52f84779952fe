package telemetry

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	metricsv1 "go.opentelemetry.io/proto/otlp/metrics/v1"
)

// busyFlush is a flush of a proxy with so many busy clusters, as Envoy 1.40 writes it: a metric per point, every bucket.
func busyFlush(t testing.TB, clusters int) []byte {
	bounds := bootstrapBounds()
	var all []*metricsv1.Metric
	for i := range clusters {
		name := fmt.Sprintf("service-%03d/eks", i)
		counts := make([]uint64, len(bounds)+1)
		for b := range 12 {
			counts[20+b] = uint64(1 + i%7)
		}
		all = append(all,
			counterMetric("cluster.upstream_rq_total", name, "", 40), counterMetric("cluster.upstream_rq_xx", name, "2", 39), counterMetric("cluster.upstream_rq_xx", name, "5", 1),
			histogramMetric(name, bounds, counts))
	}
	all = append(all, gaugeMetric("server.uptime", 9), gaugeMetric("runtime.admin_overrides_active", 0), counterMetric("cluster.upstream_rq_total", "xds", "", 1))
	return request(t, all...)
}

// cpu is the processor time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// reportCPU reports the processor time since began, which a busy machine does not blur: per flush, and as cores that 1,000 proxies take which
// flush every 2 s.
func reportCPU(b *testing.B, began time.Duration) {
	per := (cpu() - began) / time.Duration(b.N)
	b.ReportMetric(float64(per.Nanoseconds()), "cpu-ns/op")
	b.ReportMetric(per.Seconds()*500, "cores/1000-proxies")
}

// BenchmarkIngest takes flushes as the gRPC handler does: the bytes as they came from the wire, to series and windows.
func BenchmarkIngest(b *testing.B) {
	pool = mem.DefaultBufferPool()
	for _, clusters := range []int{20, 200, 400} {
		b.Run(fmt.Sprintf("clusters=%d", clusters), func(b *testing.B) {
			raw := busyFlush(b, clusters)
			now := testTime
			tel := New(Options{Now: func() time.Time { return now }})
			contexts := make([]func() error, 100)
			for i := range contexts {
				ctx := metadata.NewIncomingContext(b.Context(), metadata.Pairs(ProxyMetadata, fmt.Sprint("p", i), FleetMetadata, "default"))
				contexts[i] = func() error { return tel.exportRaw(ctx, raw) }
			}
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			defer reportCPU(b, cpu())
			for i := 0; b.Loop(); i++ {
				now = now.Add(2 * time.Millisecond)
				if err := contexts[i%len(contexts)](); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkGenerated is the decoder that is not used: the generated types alone, without series and windows.
func BenchmarkGenerated(b *testing.B) {
	raw := busyFlush(b, 200)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	defer reportCPU(b, cpu())
	for b.Loop() {
		var m metricsv1.MetricsData
		if err := proto.Unmarshal(raw, &m); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReceive is the same with gRPC and loopback TCP, client included.
func BenchmarkReceive(b *testing.B) {
	pool = mem.DefaultBufferPool()
	raw := busyFlush(b, 200)
	var m metricsv1.MetricsData
	if err := proto.Unmarshal(raw, &m); err != nil {
		b.Fatal(err)
	}
	tel := New(Options{})
	conn := serve(b, tel)
	ctx := metadata.AppendToOutgoingContext(b.Context(), ProxyMetadata, "p1", FleetMetadata, "default")
	in := &emptypb.Empty{}
	if err := proto.Unmarshal(raw, in); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	defer reportCPU(b, cpu())
	for b.Loop() {
		if err := conn.Invoke(ctx, "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", in, &emptypb.Empty{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTraffic is one row of `get services`, without and with requests in every second.
func BenchmarkTraffic(b *testing.B) {
	raw := busyFlush(b, 1)
	now := testTime
	tel := New(Options{Now: func() time.Time { return now }})
	ctx := metadata.NewIncomingContext(b.Context(), metadata.Pairs(ProxyMetadata, "p1", FleetMetadata, "default"))
	for range 60 {
		now = now.Add(time.Second)
		if err := tel.exportRaw(ctx, raw); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if tel.Traffic("default", "service-000", "eks", now, 10*time.Second).Requests == 0 {
			b.Fatal("no requests")
		}
	}
}
