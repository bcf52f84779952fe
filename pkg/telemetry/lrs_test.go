package telemetry

import (
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	loadstats "github.com/envoyproxy/go-control-plane/envoy/service/load_stats/v3"
)

// pipe is a stream whose other end is the test.
type pipe struct {
	grpc.ServerStream
	ctx  context.Context
	in   chan []byte // closed: the proxy ended it
	sent chan *loadstats.LoadStatsResponse
}

func (p *pipe) Context() context.Context { return p.ctx }

func (p *pipe) RecvMsg(m any) error {
	select {
	case b, ok := <-p.in:
		if !ok {
			return io.EOF
		}
		*m.(*message) = *received(b)
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

func (p *pipe) SendMsg(m any) error {
	p.sent <- m.(*loadstats.LoadStatsResponse)
	return nil
}

// proxyPipe opens the load report stream of a proxy that is connected; end ends it and waits.
func proxyPipe(t *testing.T, tel *Telemetry, id string) (p *pipe, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p = &pipe{ctx: ctx, in: make(chan []byte), sent: make(chan *loadstats.LoadStatsResponse, 16)}
	done := make(chan error)
	tel.Connected("default", id, true)
	go func() { done <- tel.streamLoadStats(p) }()
	p.in <- loadRequest(t, node(id, "default", 40))
	synctest.Wait()
	return p, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the stream ended with %v", err)
		}
		synctest.Wait()
		if n := lent.out.Load(); n != 0 {
			t.Errorf("%d pieces of memory are not given back", n)
		}
	}
}

// asked is what was sent since the last call, a line each.
func (p *pipe) asked() []string {
	synctest.Wait()
	var out []string
	for {
		select {
		case m := <-p.sent:
			out = append(out, fmt.Sprint(m.GetClusters(), " ", m.GetLoadReportingInterval().AsDuration()))
		default:
			return out
		}
	}
}

// report sends a load report of 250 ms after that time: eks had nothing, ecs 9 requests.
func (p *pipe) report(t *testing.T, services ...string) { p.reportAfter(t, roundLength, services...) }

func (p *pipe) reportAfter(t *testing.T, wait time.Duration, services ...string) {
	<-time.After(wait)
	var stats []*endpoint.ClusterStats
	for _, s := range services {
		stats = append(stats, clusterStats(s+"/eks", roundLength), clusterStats(s+"/ecs", roundLength, &endpoint.UpstreamLocalityStats{TotalIssuedRequests: 9, TotalSuccessfulRequests: 9}))
	}
	p.in <- loadRequest(t, node("p1", "default", 40), stats...)
}

func changeOf(service string) Change {
	return Change{Fleet: "default", Service: service, Away: []string{"eks"}, Toward: []string{"ecs"}, Called: time.Now()}
}

// busy sends a flush of the last two seconds in which both origins of the services answered.
func busy(t *testing.T, tel *Telemetry, id string, services ...string) {
	t.Helper()
	now := uint64(time.Now().UnixNano())
	var f flush
	f.reset(nil)
	f.start, f.end = now-2e9, now
	for _, s := range services {
		for _, o := range []string{"ecs", "eks"} {
			f.byName[s+"/"+o] = int32(len(f.deltas))
			f.deltas = append(f.deltas, delta{name: s + "/" + o, counts: Counts{Started: 9, Class: [6]uint64{2: 9}}})
		}
	}
	fl, p, err := tel.enter("default", id)
	if err != nil {
		t.Fatal(err)
	}
	defer fl.mu.Unlock()
	tel.take(fl, p, &f, time.Now())
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s: asked %q, want %q", what, got, want)
	}
}

const off = "[] 1h0m0s"

func TestLoadReportsOnlyDuringAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := New(Options{})
		p, end := proxyPipe(t, tel, "p1")
		defer end()
		busy(t, tel, "p1", "orders")
		expect(t, "no change", p.asked())
		proof := tel.Follow(changeOf("orders"))
		expect(t, "no acknowledgement", p.asked())
		<-time.After(4 * time.Millisecond)
		proof.Acked("p1", time.Now())
		expect(t, "acknowledged", p.asked(), "[orders/ecs orders/eks] 250ms")
		p.report(t, "orders")
		expect(t, "reported", p.asked())
		if s := proof.State(time.Now()); s.State != Proven || s.Since != 4*time.Millisecond || s.Resolution != roundLength {
			t.Errorf("%+v", s)
		}
		select {
		case <-proof.Changed():
		default:
			t.Error("the change of state was not signalled")
		}
		proof.Close()
		expect(t, "closed, but a report is due", p.asked(), off)
	})
}

// While reports come, other clusters are asked for when one has come: each response makes the proxy begin its interval anew.
func TestChangesShareRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := New(Options{})
		p, end := proxyPipe(t, tel, "p1")
		defer end()
		busy(t, tel, "p1", "orders", "carts")
		orders := tel.Follow(changeOf("orders"))
		orders.Acked("p1", time.Now())
		expect(t, "first change", p.asked(), "[orders/ecs orders/eks] 250ms")
		<-time.After(100 * time.Millisecond)
		carts := tel.Follow(changeOf("carts"))
		carts.Acked("p1", time.Now())
		expect(t, "second change, in the midst of a round", p.asked())
		p.reportAfter(t, roundLength-100*time.Millisecond, "orders")
		expect(t, "second change, after it", p.asked(), "[carts/ecs carts/eks orders/ecs orders/eks] 250ms")
		if s := carts.State(time.Now()); s.State != Pending {
			t.Errorf("carts: %+v", s)
		}
		p.report(t, "orders", "carts")
		for name, proof := range map[string]*Proof{"orders": orders, "carts": carts} {
			synctest.Wait()
			if s := proof.State(time.Now()); s.State != Proven {
				t.Errorf("%s: %+v", name, s)
			}
		}
		orders.Close()
		p.report(t, "orders", "carts")
		expect(t, "one is closed", p.asked(), "[carts/ecs carts/eks] 250ms")
		carts.Close()
		p.report(t, "carts")
		expect(t, "both are closed", p.asked(), off)
	})
}

// A report that was on its way when its clusters were asked for again is of an earlier time: it proves nothing.
func TestReportOnItsWayIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := New(Options{})
		p, end := proxyPipe(t, tel, "p1")
		defer end()
		busy(t, tel, "p1", "orders")
		proof := tel.Follow(changeOf("orders"))
		defer proof.Close()
		proof.Acked("p1", time.Now())
		expect(t, "acknowledged", p.asked(), "[orders/ecs orders/eks] 250ms")
		p.reportAfter(t, 10*time.Millisecond, "orders")
		expect(t, "an early report", p.asked())
		if s := proof.State(time.Now()); s.State != Pending {
			t.Errorf("%+v", s)
		}
		p.report(t, "orders")
		synctest.Wait()
		if s := proof.State(time.Now()); s.State != Proven {
			t.Errorf("%+v", s)
		}
	})
}

func TestLanesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := New(Options{MaxFollowed: 1})
		var pipes []*pipe
		for _, id := range []string{"p1", "p2", "p3"} {
			p, end := proxyPipe(t, tel, id)
			defer end()
			pipes = append(pipes, p)
			busy(t, tel, id, "orders")
		}
		proof := tel.Follow(changeOf("orders"))
		for _, id := range []string{"p1", "p2", "p3"} {
			proof.Acked(id, time.Now())
		}
		const on = "[orders/ecs orders/eks] 250ms"
		expect(t, "p1 goes first", pipes[0].asked(), on)
		expect(t, "p2 waits", pipes[1].asked())
		pipes[0].report(t, "orders")
		expect(t, "p1 is settled", pipes[0].asked(), off)
		expect(t, "p2 is next", pipes[1].asked(), on)
		expect(t, "p3 waits", pipes[2].asked())
		tel.Connected("default", "p2", false)
		expect(t, "p2 is gone: p3 is next", pipes[2].asked(), on)
		pipes[2].report(t, "orders")
		expect(t, "p3 goes on, for nobody waits", pipes[2].asked())
		<-time.After(followFor)
		pipes[2].report(t, "orders")
		expect(t, "not for ever", pipes[2].asked(), off)
		proof.Close()
	})
}

// Of two streams that say they are one proxy, the later counts.
func TestLaterLoadStreamCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := New(Options{})
		first, endFirst := proxyPipe(t, tel, "p1")
		second, endSecond := proxyPipe(t, tel, "p1")
		defer endSecond()
		proof := tel.Follow(changeOf("orders"))
		defer proof.Close()
		proof.Acked("p1", time.Now())
		expect(t, "first", first.asked())
		expect(t, "second", second.asked(), "[orders/ecs orders/eks] 250ms")
		endFirst()
		second.report(t, "orders")
		synctest.Wait()
		if got := proof.State(time.Now()).OpenStreams; len(got) != 1 {
			t.Errorf("the first stream took the second with it: %v", got)
		}
	})
}
