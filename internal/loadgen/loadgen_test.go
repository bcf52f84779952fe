package loadgen

import (
	"context"
	"fmt"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/internal/monotime"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

func startOrigin(t *testing.T) *origin.Origin {
	t.Helper()
	o, err := origin.Start(origin.Config{Name: "ecs", Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

func do(t *testing.T, c Config) *Report {
	t.Helper()
	r, err := Do(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func each(t *testing.T, test func(t *testing.T, p Protocol)) {
	for _, p := range []Protocol{HTTP1, HTTP2} {
		t.Run(map[Protocol]string{HTTP1: "http1", HTTP2: "http2"}[p], func(t *testing.T) { test(t, p) })
	}
}

// TestCountsAgreeWithTheOrigin: what the generator says it sent is what arrived.
func TestCountsAgreeWithTheOrigin(t *testing.T) {
	each(t, func(t *testing.T, p Protocol) {
		o := startOrigin(t)
		r := do(t, Config{Target: o.Addr(), Protocol: p, Rate: 2000, Count: 1000, Request: Request{Host: "orders.test", Path: "/p?q=1", Header: [][2]string{{"x-User", "u"}}}})
		if r.Scheduled != 1000 || r.Done != 1000 || r.Failed != 0 || r.OriginErrors != 0 || len(r.Failures) != 0 {
			t.Errorf("report: %+v", r)
		}
		if r.ByStatus[200] != 1000 || r.ByOrigin["ecs"] != 1000 || o.Count("orders.test") != 1000 || r.Latency.TotalCount() != 1000 {
			t.Errorf("200: %d, ecs: %d, arrived: %d, latencies: %d", r.ByStatus[200], r.ByOrigin["ecs"], o.Total(), r.Latency.TotalCount())
		}
		// Not above the rate: the last request is due after 999 intervals.
		if r.Elapsed < 999*time.Second/2000 || r.AchievedRPS > 2003 {
			t.Errorf("took %v, achieved %v/s", r.Elapsed, r.AchievedRPS)
		}
		if seen, _ := o.LastRequest(); seen.Path != "/p?q=1" || len(seen.Get("x-user")) != 1 {
			t.Errorf("arrived: %+v", seen)
		}
	})
}

// TestMakeAndResults: each request is made in order, and each has its result.
func TestMakeAndResults(t *testing.T) {
	each(t, func(t *testing.T, p Protocol) {
		o := startOrigin(t)
		var mu sync.Mutex
		results := map[uint64]Result{}
		do(t, Config{
			Target: o.Addr(), Protocol: p, Rate: 1000, Count: 100,
			Make: func(i uint64) Request {
				return Request{Method: "POST", Path: fmt.Sprintf("/%d", i), Body: []byte("body")}
			},
			OnResult: func(r Result) { mu.Lock(); defer mu.Unlock(); results[r.Index] = r },
		})
		for i := range uint64(100) {
			r, ok := results[i]
			if !ok || r.Status != 200 || r.Origin != "ecs" || !(r.Due <= r.Sent && r.Sent <= r.Done) || r.Failed() {
				t.Fatalf("result %d: %+v", i, r)
			}
		}
		paths := map[string]bool{}
		for _, r := range o.Requests() {
			if r.BodyBytes != 4 || r.Method != "POST" {
				t.Errorf("arrived: %+v", r)
			}
			paths[r.Path] = true
		}
		if len(paths) != 100 {
			t.Errorf("%d paths", len(paths))
		}
	})
}

// TestErrorsOfTheOriginAreNotFailures, and what no origin answered is.
func TestErrorsOfTheOriginAreNotFailures(t *testing.T) {
	each(t, func(t *testing.T, p Protocol) {
		o := startOrigin(t)
		if err := o.SetFaults(origin.Faults{ErrorShare: 0.25, Status: 500}); err != nil {
			t.Fatal(err)
		}
		r := do(t, Config{Target: o.Addr(), Protocol: p, Rate: 2000, Count: 400})
		if r.OriginErrors != 100 || r.Failed != 0 || r.ByStatus[500] != 100 {
			t.Errorf("report: %+v", r)
		}
		if err := o.SetFaults(origin.Faults{ResetShare: 0.25}); err != nil {
			t.Fatal(err)
		}
		r = do(t, Config{Target: o.Addr(), Protocol: p, Rate: 2000, Count: 400})
		if r.Failed != 100 || r.ByStatus[200] != 300 || r.Done != 400 {
			t.Errorf("report: %+v", r)
		}
	})
}

func TestNobodyListens(t *testing.T) {
	each(t, func(t *testing.T, p Protocol) {
		port, err := loopback.Reserve(loopback.Host())
		if err != nil {
			t.Fatal(err)
		}
		defer port.Release()
		r := do(t, Config{Target: port.Addr(), Protocol: p, Rate: 1000, Count: 50})
		if r.Failed != 50 || r.Failures["connection refused"] != 50 {
			t.Errorf("report: %+v", r)
		}
	})
}

// TestStallIsCharged: with one connection and an origin that stalls, the requests that could not be sent count as slow, and those
// whose time is up as failed. A closed loop would have seen one slow request.
func TestStallIsCharged(t *testing.T) {
	o := startOrigin(t)
	if err := o.SetState(origin.BlackHole); err != nil {
		t.Fatal(err)
	}
	run, err := Start(t.Context(), Config{Target: o.Addr(), Rate: 1000, Count: 300, Connections: 1, Timeout: 400 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	r := run.Wait()
	if r.Failed != 300 || r.Failures["timeout"] == 0 || r.Failures[errNoConnection.Error()] == 0 {
		t.Errorf("black hole: %+v", r)
	}
	if err := o.SetState(origin.Serving); err != nil {
		t.Fatal(err)
	}
	if err := o.SetFaults(origin.Faults{Latency: 20 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	r = do(t, Config{Target: o.Addr(), Rate: 1000, Count: 20, Connections: 1})
	if r.Failed != 0 || r.Quantile(1) < 19*20*time.Millisecond {
		t.Errorf("20 requests of 20 ms one after another, due at once: the last took %v; %v", r.Quantile(1), r.Failures)
	}
}

// TestAShortQueue: of more than an origin can answer most is never sent, and what is sent is answered in time. A queue of a whole timeout would make
// each request wait until its time is nearly up.
func TestAShortQueue(t *testing.T) {
	o := startOrigin(t)
	if err := o.SetFaults(origin.Faults{Latency: 20 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	r := do(t, Config{Target: o.Addr(), Rate: 5000, Count: 5000, Connections: 1, Queue: 2})
	if full := r.Failures[errQueueFull.Error()]; full == 0 || r.Failed != full || r.Done != 5000 {
		t.Errorf("%d of %d failed: %v", r.Failed, r.Done, r.Failures)
	}
}

// TestUnsentIsNotAchieved: who drops requests before they are sent has not reached their rate. Whoever answers with an error has.
func TestUnsentIsNotAchieved(t *testing.T) {
	for _, c := range []struct {
		err  error
		want float64
	}{{nil, 100}, {net.ErrClosed, 100}, {errQueueFull, 80}, {errNoConnection, 80}} {
		r := newRecorder(Config{Rate: 100})
		for i := range 100 {
			res := Result{Due: r.start + time.Duration(i+1)*10*time.Millisecond}
			if res.Sent, res.Done = res.Due, res.Due; i%5 == 4 {
				res.Err = c.err
			}
			r.record(res)
		}
		if got := r.Report(); math.Abs(got.AchievedRPS-c.want) > 1e-6 || got.Done != 100 {
			t.Errorf("a fifth ended with %v: %g of 100 per second reached, want %g", c.err, got.AchievedRPS, c.want)
		}
	}
}

// TestClosedIdleConnectionIsReplaced: not a failure of the request that comes next.
func TestClosedIdleConnectionIsReplaced(t *testing.T) {
	o := startOrigin(t)
	one := &client1{target: o.Addr()}
	defer one.close()
	shared := &conn2{target: o.Addr()}
	two := client2{conn: shared}
	defer two.close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	deadline := monotime.Now() + 10*time.Second
	for range 3 {
		for _, c := range []client{one, two} {
			if a, err := c.do(ctx, Request{}, deadline); err != nil || a.status != 200 || a.origin != "ecs" {
				t.Fatalf("%T: %+v, %v", c, a, err)
			}
		}
		closeConnections(t, o)
		// HTTP/2 reads all the time, and has to have seen the end.
		if err := poll.Until(ctx, time.Millisecond, poll.True(func() bool { return shared.conn.Available() == 0 })); err != nil {
			t.Fatal(err)
		}
	}
}

func closeConnections(t *testing.T, o *origin.Origin) {
	for _, s := range []origin.State{origin.Refusing, origin.Serving} {
		if err := o.SetState(s); err != nil {
			t.Error(err)
		}
	}
}

// TestCancelStopsTheSending: what is in flight still ends well.
func TestCancelStopsTheSending(t *testing.T) {
	each(t, func(t *testing.T, p Protocol) {
		o := startOrigin(t)
		if err := o.SetFaults(origin.Faults{Latency: 50 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		run, err := Start(ctx, Config{Target: o.Addr(), Protocol: p, Rate: 200, Duration: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		if err := o.AwaitTotal(t.Context(), 20); err != nil {
			t.Fatal(err)
		}
		if r := run.Report(); r.Done > r.Scheduled {
			t.Errorf("more done than scheduled: %+v", r)
		}
		cancel()
		if r := run.Wait(); r.Failed != 0 || r.Done != r.Scheduled || r.Done != o.Total() || r.Done < 20 {
			t.Errorf("report: %+v, arrived %d", r, o.Total())
		}
	})
}

func TestDurationBounds(t *testing.T) {
	o := startOrigin(t)
	if r := do(t, Config{Target: o.Addr(), Rate: 1000, Duration: 100 * time.Millisecond}); r.Scheduled != 100 {
		t.Errorf("%d requests in 0.1 s at 1,000/s", r.Scheduled)
	}
}

func TestRefused(t *testing.T) {
	sound := Config{Target: "127.0.0.1:1", Rate: 1, Count: 1}
	for name, spoil := range map[string]func(*Config){
		"another machine": func(c *Config) { c.Target = "192.0.2.1:80" },
		"a name":          func(c *Config) { c.Target = "localhost:80" },
		"no target":       func(c *Config) { c.Target = "" },
		"no rate":         func(c *Config) { c.Rate = 0 },
		"mad rate":        func(c *Config) { c.Rate = 1e9 },
		"no end":          func(c *Config) { c.Count = 0 },
		"too long":        func(c *Config) { c.Duration = 3 * time.Hour },
		"negative":        func(c *Config) { c.Connections = -1 },
		"protocol":        func(c *Config) { c.Protocol = 3 },
	} {
		c := sound
		spoil(&c)
		if _, err := Start(t.Context(), c); err == nil || !strings.HasPrefix(err.Error(), "loadgen: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestProxyErrorsFail: an answer that no origin gave is a failure from 400 on.
func TestProxyErrorsFail(t *testing.T) {
	for _, c := range []struct {
		r                   Result
		failed, originError bool
	}{
		{Result{Status: 200}, false, false},
		{Result{Status: 404}, true, false},
		{Result{Status: 503}, true, false},
		{Result{Status: 404, Origin: "ecs"}, false, false},
		{Result{Status: 503, Origin: "ecs"}, false, true},
		{Result{Status: 200, GRPCStatus: "14"}, true, false},
		{Result{Status: 200, GRPCStatus: "14", Origin: "ecs"}, false, true},
		{Result{Err: net.ErrClosed}, true, false},
	} {
		if c.r.Failed() != c.failed || c.r.OriginError() != c.originError {
			t.Errorf("%+v: failed %v, origin error %v", c.r, c.r.Failed(), c.r.OriginError())
		}
	}
}

// BenchmarkRate prints what generator and origin manage together.
func BenchmarkRate(b *testing.B) {
	for _, p := range []Protocol{HTTP1, HTTP2} {
		b.Run(map[Protocol]string{HTTP1: "http1", HTTP2: "http2"}[p], func(b *testing.B) {
			o, err := origin.Start(origin.Config{Name: "ecs", Plain: true, Keep: -1})
			if err != nil {
				b.Fatal(err)
			}
			defer o.Close()
			r, err := Do(b.Context(), Config{Target: o.Addr(), Protocol: p, Rate: MaxRate, Count: uint64(b.N), Connections: 4, InFlight: 64})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(r.Done)/r.Elapsed.Seconds(), "req/s")
			b.ReportMetric(float64(r.Failed), "failed")
		})
	}
}
