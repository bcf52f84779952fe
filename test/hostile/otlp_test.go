package hostile

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
)

const (
	exportMethod = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
	loadsMethod  = "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats"
	adsMethod    = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
)

// export sends a message of metrics as a proxy, whoever that is.
func export(t *testing.T, conn grpc.ClientConnInterface, fleet, proxy string, wire []byte) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), adsTime)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "x-crossfade-proxy", proxy, "x-crossfade-fleet", fleet)
	return conn.Invoke(ctx, exportMethod, wire, &struct{}{}, grpc.ForceCodec(rawCodec{}))
}

func message(num protowire.Number, parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), all)
}

func fixed(num protowire.Number, n uint64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(nil, num, protowire.Fixed64Type), n)
}

func varint(num protowire.Number, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), n)
}

func text(num protowire.Number, s string) []byte { return message(num, []byte(s)) }

// attribute is a label of a point.
func attribute(field protowire.Number, key, value string) []byte {
	return message(field, text(1, key), message(2, text(1, value)))
}

// counter is a message with one counter that has a point for each cluster.
func counter(end uint64, value []byte, clusters ...string) []byte {
	points := make([][]byte, 0, len(clusters)+1)
	for _, c := range clusters {
		points = append(points, message(1, fixed(2, end-1_000_000_000), fixed(3, end), value, attribute(7, "envoy.cluster_name", c)))
	}
	points = append(points, varint(2, 1), varint(3, 1))
	return message(1, message(2, message(2, text(1, "cluster.upstream_rq_total"), message(7, points...))))
}

// histogram is a message with latencies of a cluster.
func histogram(end uint64, bounds []float64, counts []uint64) []byte {
	var b, c []byte
	for _, x := range bounds {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
	}
	for _, n := range counts {
		c = binary.LittleEndian.AppendUint64(c, n)
	}
	point := message(1, fixed(2, end-1_000_000_000), fixed(3, end), message(6, c), message(7, b), attribute(9, "envoy.cluster_name", "beside/ecs"))
	return message(1, message(2, message(2, text(1, "cluster.upstream_rq_time"), message(9, point, varint(2, 1)))))
}

// hostileMetrics sends numbers that no proxy counts.
func (w *world) hostileMetrics(t *testing.T) {
	conn := dial(t, w.Server.XDS)
	now := uint64(time.Now().UnixNano())
	double := func(f float64) []byte { return fixed(4, math.Float64bits(f)) }
	integer := func(n int64) []byte { return fixed(6, uint64(n)) }
	good := []float64{1, 2, 5, 10}
	messages := [][]byte{
		{},
		{0xff},
		counter(0, integer(1), "beside/ecs"), counter(math.MaxUint64, integer(1), "beside/ecs"), counter(1, integer(1), "beside/ecs"),
		histogram(now, good, []uint64{1, math.MaxUint64, 1 << 63, 0, 5}), histogram(now, good, []uint64{1}), histogram(now, nil, nil),
		histogram(now, []float64{math.NaN(), math.Inf(1), -1, 0}, []uint64{1, 2, 3, 4, 5}), histogram(now, []float64{5, 4, 3, 2}, []uint64{1, 2, 3, 4, 5}),
		histogram(now, make([]float64, 100_000), make([]uint64, 100_001)), counter(now, integer(1), ""), counter(now, integer(1), "no-origin"),
		counter(now, integer(1), "x/"+strings.Repeat("y", 1<<20)), counter(now, integer(1), "x/\xff\xfe"),
	}
	for _, n := range []int64{-1, math.MinInt64, math.MaxInt64} {
		messages = append(messages, counter(now, integer(n), "beside/ecs"))
	}
	for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 1 << 63, math.MaxFloat64} {
		messages = append(messages, counter(now, double(f), "beside/ecs"))
	}
	r := seeded(t)
	m := maker{r: r, texts: []string{"x"}}
	answers := map[codes.Code]int{}
	for i := range either(2000, 30_000) {
		wire := messages[i%len(messages)]
		if i >= len(messages) {
			wire = m.spoil(wire)
		}
		err := export(t, conn, "default", fmt.Sprintf("counts-%d", i%7), wire)
		answers[status.Code(err)]++
		if err != nil && (status.Convert(err).Message() == "" || status.Code(err) != codes.InvalidArgument) {
			t.Fatalf("%.300v", err)
		}
	}
	t.Logf("answers by code: %v", answers)
	for _, id := range []string{"", strings.Repeat("x", 1000)} {
		if err := export(t, conn, "default", id, nil); status.Code(err) != codes.InvalidArgument {
			t.Errorf("metrics of a proxy without a usable name: %v", err)
		}
	}
	got, err := w.API.List(t.Context(), &crossfadev1.ListRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range got.GetItems() {
		for origin, figures := range s.GetTraffic() {
			if v := figures.GetRps(); math.IsNaN(v) || math.IsInf(v, 0) || v < 0 || figures.GetErrorRate() < 0 || figures.GetErrorRate() > 1 || figures.GetRequests() < 0 {
				t.Errorf("%s/%s shows figures that cannot be: %v", s.GetName(), origin, figures)
			}
		}
	}
}

// labelFlood reports clusters that nobody has, as ever other proxies of ever other fleets.
func (w *world) labelFlood(t *testing.T) {
	conn := dial(t, w.Server.XDS)
	value := fixed(6, 1)
	answers := map[codes.Code]int{}
	for i := range either(40, 700) {
		now := uint64(time.Now().UnixNano())
		clusters := make([]string, 4000)
		for j := range clusters {
			clusters[j] = fmt.Sprintf("flood-%d-%d/%s", i, j, strings.Repeat("x", 30))
		}
		err := export(t, conn, fmt.Sprintf("flood-%d", i%600), fmt.Sprintf("flood-%d", i), counter(now, value, clusters...))
		answers[status.Code(err)]++
	}
	for i := range either(3000, 30_000) {
		err := export(t, conn, "default", fmt.Sprintf("flooder-%d", i), counter(uint64(time.Now().UnixNano()), value, "beside/ecs"))
		answers[status.Code(err)]++
	}
	t.Logf("answers by code: %v", answers)
}

// hostileLoads are load reports of a proxy with another's name.
func (w *world) hostileLoads(t *testing.T) {
	conn := dial(t, w.Server.XDS)
	m := maker{r: seeded(t), texts: []string{"x"}}
	node := message(1, text(1, "proxy-1"), text(2, "default"))
	stats := func(requests uint64, length []byte) []byte {
		locality := message(2, varint(2, requests), varint(3, requests), varint(4, requests), varint(8, requests))
		return message(2, text(1, "beside/ecs"), locality, message(4, length))
	}
	long := varint(1, math.MaxInt64)
	for i := range either(300, 5000) {
		ctx, cancel := context.WithTimeout(t.Context(), adsTime)
		s, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, loadsMethod, grpc.ForceCodec(rawCodec{}))
		if err != nil {
			t.Fatal(err)
		}
		for _, wire := range [][]byte{node, stats(1<<63, long), stats(math.MaxUint64, varint(2, math.MaxUint64)), stats(1, varint(1, 1)), m.spoil(stats(7, long)), m.spoil(node)} {
			if i%2 == 1 {
				wire = m.spoil(wire)
			}
			if err := s.SendMsg(wire); err != nil {
				break
			}
		}
		_ = s.CloseSend()
		if err := s.RecvMsg(&struct{}{}); err != nil && status.Code(err) == codes.Unknown && err.Error() != "EOF" {
			t.Errorf("%v", err)
		}
		cancel()
	}
}

// multiplying sends, in several streams at once, what takes eight to twenty-five times its size once it is decoded: names and endpoints of which each is empty.
func (w *world) multiplying(t *testing.T) {
	node := message(1, text(1, "many"), text(2, "default"))
	names := slices.Concat(node, text(2, deltaclient.Endpoints), bytes.Repeat(text(3, ""), 8_000_000))
	loads := slices.Clone(node)
	locality := message(2, bytes.Repeat(message(7), 20_000))
	for i := range 400 {
		loads = append(loads, message(2, text(1, fmt.Sprintf("c%d/o", i)), locality, message(4, varint(1, 1)))...)
	}
	for _, c := range []struct {
		name, method string
		send         [][]byte
		code         codes.Code
		connections  int // with four streams each
	}{
		{"loads", loadsMethod, [][]byte{node, loads}, codes.OK, 5}, // nobody asked for them
		{"names", adsMethod, [][]byte{names}, codes.ResourceExhausted, 1},
	} {
		began := time.Now()
		var all sync.WaitGroup
		for range c.connections {
			conn := dial(t, w.Server.XDS)
			for range 4 {
				all.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), adsTime)
					defer cancel()
					s, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, c.method, grpc.ForceCodec(rawCodec{}))
					if err != nil {
						t.Error(err)
						return
					}
					for _, wire := range c.send {
						_ = s.SendMsg(wire) // where the stream has ended, RecvMsg says why
					}
					_ = s.CloseSend()
					for err == nil {
						err = s.RecvMsg(&struct{}{})
					}
					if errors.Is(err, io.EOF) {
						err = nil
					}
					if status.Code(err) != c.code {
						t.Errorf("%s: %v, want %v", c.name, err, c.code)
					}
				})
			}
		}
		all.Wait()
		_, peak := w.memory()
		t.Logf("%s: memory %d MiB at most, %v", c.name, peak, time.Since(began).Round(time.Millisecond))
	}
}
