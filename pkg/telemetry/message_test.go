package telemetry

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	metricsv1 "go.opentelemetry.io/proto/otlp/metrics/v1"
)

// lender is a pool that spoils what is given back: what still uses it in any test of this package is wrong from then on.
type lender struct{ lent, out atomic.Int64 }

func (l *lender) Get(n int) *[]byte {
	if !mem.IsBelowBufferPoolingThreshold(n) { // those are not given back
		l.lent.Add(1)
		l.out.Add(1)
	}
	b := make([]byte, n)
	return &b
}

func (l *lender) Put(b *[]byte) {
	l.out.Add(-1)
	for i := range *b {
		(*b)[i] = 0xff
	}
}

var lent lender

func init() { pool = &lent }

// exportRaw takes a message as it comes from gRPC, in frames.
func (t *Telemetry) exportRaw(ctx context.Context, raw []byte) error {
	var frames mem.BufferSlice
	for piece := range slices.Chunk(raw, 16<<10) {
		b := pool.Get(len(piece))
		copy(*b, piece)
		frames = append(frames, mem.NewBuffer(b, pool))
	}
	m := &message{}
	m.TakeWire(frames)
	frames.Free()
	defer m.free()
	return t.export(ctx, m)
}

func asProxy(ctx context.Context) context.Context {
	return metadata.NewIncomingContext(ctx, metadata.Pairs(ProxyMetadata, "p1", FleetMetadata, "default"))
}

// TestMessagesGiveTheirMemoryBack: whatever becomes of them.
func TestMessagesGiveTheirMemoryBack(t *testing.T) {
	conn := serve(t, New(Options{}))
	var m metricsv1.MetricsData
	if err := proto.Unmarshal(busyFlush(t, 50), &m); err != nil {
		t.Fatal(err)
	}
	named := []string{ProxyMetadata, "p1", FleetMetadata, "default"}
	bounds := make([]float64, 10_000)
	for i := range bounds {
		bounds[i] = -float64(i)
	}
	for _, c := range []struct {
		name  string
		send  proto.Message
		pairs []string
		code  codes.Code
	}{
		{"taken", &m, named, codes.OK},
		{"refused by its content", dataOf(histogramMetric("a/b", bounds, make([]uint64, len(bounds)+1))), named, codes.InvalidArgument},
		{"refused by its sender", &m, nil, codes.InvalidArgument},
	} {
		before := lent.lent.Load()
		if err := export(conn, c.send, c.pairs...); status.Code(err) != c.code {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := lent.lent.Load() - before; c.pairs != nil && got != 1 || c.pairs == nil && got != 0 {
			t.Errorf("%s: put together %d times", c.name, got)
		}
		if n := lent.out.Load(); n != 0 {
			t.Errorf("%s: %d pieces of memory are not given back", c.name, n)
		}
	}
}

// TestFlushesWaitAsTheyCame: only some are whole and decoded at a time, and who hangs up waits no longer.
func TestFlushesWaitAsTheyCame(t *testing.T) {
	tel := New(Options{})
	raw := busyFlush(t, 1)
	for range cap(tel.decoding) {
		tel.decoding <- struct{}{}
	}
	gone, hangUp := context.WithCancel(asProxy(t.Context()))
	hangUp()
	if err := tel.exportRaw(gone, raw); status.Code(err) != codes.Canceled {
		t.Errorf("who hung up: %v", err)
	}
	if got := tel.Traffic("default", "service-000", "eks", time.Now(), time.Minute); got.Requests != 0 {
		t.Errorf("it was taken before its turn: %+v", got)
	}
	taken := make(chan error)
	go func() { taken <- tel.exportRaw(asProxy(t.Context()), raw) }()
	<-tel.decoding
	if err := <-taken; err != nil {
		t.Error(err)
	}
	if n := len(tel.decoding); n != cap(tel.decoding)-1 {
		t.Errorf("%d decode, of %d", n, cap(tel.decoding)-1)
	}
}
