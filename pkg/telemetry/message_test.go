package telemetry

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	metricsv1 "go.opentelemetry.io/proto/otlp/metrics/v1"
)

// lender is a pool that spoils what is given back: what still uses it in any test of this package is wrong from then on.
type lender struct{ lent, out atomic.Int64 }

func (l *lender) Get(n int) *[]byte {
	l.lent.Add(1)
	l.out.Add(1)
	b := make([]byte, n, max(n, 2<<10)) // less does not come back
	return &b
}

func (l *lender) Put(b *[]byte) {
	l.out.Add(-1)
	all := (*b)[:cap(*b)]
	for i := range all {
		all[i] = 0xff
	}
}

var lent lender

func TestMain(m *testing.M) {
	pool = &lent
	m.Run()
}

// received is a message as it comes from gRPC, in frames.
func received(raw []byte) *message {
	var frames mem.BufferSlice
	for piece := range slices.Chunk(raw, 16<<10) {
		b := pool.Get(len(piece))
		copy(*b, piece)
		frames = append(frames, mem.NewBuffer(b, pool))
	}
	m := &message{}
	m.TakeWire(frames)
	frames.Free()
	return m
}

// exportRaw takes a message and gives its memory back.
func (t *Telemetry) exportRaw(ctx context.Context, raw []byte) error {
	m := received(raw)
	defer m.free()
	return t.export(ctx, m)
}

func asProxy(ctx context.Context) context.Context { return as(ctx, "default", "p1") }

func as(ctx context.Context, fleet, proxy string) context.Context {
	return metadata.NewIncomingContext(ctx, metadata.Pairs(ProxyMetadata, proxy, FleetMetadata, fleet))
}

// occupy takes all decoders; free gives one back.
func (d *decoders) occupy() (free func()) {
	for range cap(d.slots) {
		d.slots <- struct{}{}
	}
	return func() { <-d.slots }
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

// TestNothingIsKeptOfTheMemory: of a message in several frames, what was read is the same after the memory is another's.
func TestNothingIsKeptOfTheMemory(t *testing.T) {
	tel := New(Options{})
	before := lent.out.Load()
	if err := tel.exportRaw(asProxy(t.Context()), busyFlush(t, 50)); err != nil {
		t.Fatal(err)
	}
	if n := lent.out.Load() - before; n != 0 {
		t.Errorf("%d pieces of memory are not given back", n)
	}
	for i := range 50 {
		name := fmt.Sprintf("service-%03d", i)
		if got := tel.Traffic("default", name, "eks", time.Now(), time.Minute); got.Requests == 0 || got.P99 == 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestFlushesWaitAsTheyCame: only some are whole and decoded at a time, who hangs up waits no longer, and one connection does not fill the line, whatever
// names it gives.
func TestFlushesWaitAsTheyCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := New(Options{})
		raw := busyFlush(t, 50)
		slots, free := tel.decoders.slots, tel.decoders.occupy()
		lent.lent.Store(0)
		ctx, hangUp := context.WithCancel(asProxy(t.Context()))
		ended := make(chan error)
		for range maxCalls {
			go func() { ended <- tel.exportRaw(ctx, raw) }()
		}
		synctest.Wait()
		if n, frames := lent.lent.Load(), int64(maxCalls*(len(raw)+16<<10-1)/(16<<10)); n > frames+maxCalls-1 || tel.decoders.calls[""] != maxCalls {
			t.Errorf("%d pieces of memory for frames of %d, %+v", n, frames, tel.Stats())
		}
		for _, name := range []string{"p1", "p2"} {
			if err := tel.exportRaw(as(ctx, "default", name), raw); status.Code(err) != codes.ResourceExhausted {
				t.Errorf("one more of that connection, as %s: %v", name, err)
			}
		}
		neighbour := peer.NewContext(ctx, &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7}})
		go func() { ended <- tel.exportRaw(neighbour, raw) }()
		if synctest.Wait(); tel.decoders.calls["127.0.0.1:7"] != 1 {
			t.Errorf("another connection, with the same name, does not wait: %+v", tel.Stats())
		}
		hangUp()
		for range maxCalls + 1 {
			if err := <-ended; status.Code(err) != codes.Canceled {
				t.Errorf("who hung up: %v", err)
			}
		}
		go func() { ended <- tel.exportRaw(asProxy(t.Context()), raw) }()
		synctest.Wait()
		free()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if s := tel.Stats(); len(slots) != cap(slots)-1 || s.Waiting != 0 || s.Refused["busy"] != 2 || s.Refused["abandoned"] != maxCalls+1 {
			t.Errorf("%d of %d decode, %+v", len(slots), cap(slots)-1, s)
		}
	})
}

// TestAFlushThatIsThereIsTaken: also if its proxy has hung up since, where nobody has to wait.
func TestAFlushThatIsThereIsTaken(t *testing.T) {
	tel := New(Options{})
	gone, hangUp := context.WithCancel(asProxy(t.Context()))
	hangUp()
	for range 20 { // by chance, half of them would be lost
		if err := tel.exportRaw(gone, busyFlush(t, 1)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBuffers(t *testing.T) {
	p := &buffers{}
	for _, n := range []int{0, 1, 1 << 10, 1<<10 + 1, 1 << 16, 1<<16 + 1, MaxMessage, MaxMessage + 1} {
		b := p.Get(n)
		if len(*b) != n || n > 1<<10 && n <= MaxMessage && cap(*b)&(cap(*b)-1) != 0 {
			t.Errorf("%d bytes: %d of %d", n, len(*b), cap(*b))
		}
		p.Put(b)
		if again := p.Get(n); len(*again) != n {
			t.Errorf("again %d bytes: %d", n, len(*again))
		}
	}
}
