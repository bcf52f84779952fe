package telemetry

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	metricsv1 "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
)

func answers(cluster string, good, bad int64) []*metricsv1.Metric {
	return []*metricsv1.Metric{counterMetric("cluster.upstream_rq_xx", cluster, "2", good), counterMetric("cluster.upstream_rq_xx", cluster, "5", bad)}
}

func counts(all []guard.Window) string {
	out := ""
	for _, w := range all {
		out += fmt.Sprintf("%d/%d ", w.Failed, w.Completed)
	}
	return out
}

func TestWatchByMetricsAlone(t *testing.T) {
	now := testTime
	tel := New(Options{Now: func() time.Time { return now }})
	conn := serve(t, tel)
	send := func(fleet, proxy string, metrics ...*metricsv1.Metric) {
		t.Helper()
		if err := export(conn, dataOf(metrics...), ProxyMetadata, proxy, FleetMetadata, fleet); err != nil {
			t.Fatal(err)
		}
	}
	tel.Connected("eu", "p1", true)
	tel.Connected("eu", "p2", true)
	send("eu", "p1", answers("orders/eks", 100, 100)...) // before the watch
	w := tel.Watch("orders", []string{"eu", "us", "eu"}, "eks", "ecs")
	defer w.Close()
	select {
	case <-w.Changed():
		t.Error("signalled, but nothing was counted")
	default:
	}
	send("eu", "p1", answers("orders/eks", 7, 1)...)
	send("us", "p9", answers("orders/ecs", 5, 0)...) // a fleet that nobody had heard of
	send("us", "p9", answers("orders/eks", 2, 0)...)
	send("us", "p9", answers("orders/eks@shadow", 50, 50)...)
	send("us", "p9", answers("carts/eks", 50, 50)...)
	send("asia", "p9", answers("orders/eks", 50, 50)...)
	select {
	case <-w.Changed():
	default:
		t.Error("not signalled")
	}
	now = now.Add(3 * time.Second)
	got := w.Read(now)
	if counts(got) != "1/10 0/5 " || got[0].Length != 3*time.Second || got[1].Silent != 1 {
		t.Errorf("%+v", got)
	}
	if got := w.Read(now.Add(-time.Hour)); counts(got) != "0/0 0/0 " || got[0].Length != 0 {
		t.Errorf("read again, at a time that has passed: %+v", got)
	}
	if reporting, silent := w.Reporting(now); reporting != 2 || silent != 1 {
		t.Errorf("%d report, %d are silent", reporting, silent)
	}
	send("eu", "p2", answers("orders/eks", 1, 0)...)
	if reporting, silent := w.Reporting(now); reporting != 3 || silent != 0 {
		t.Errorf("%d report, %d are silent", reporting, silent)
	}
	w.Close()
	send("eu", "p2", answers("orders/eks", 1, 0)...)
	if got := w.Read(now); counts(got) != "0/1 0/0 " {
		t.Errorf("after the end: %s", counts(got))
	}
}

// An answer that began in one window and broke in the next made a window of one failure and no request, which no guard can read.
func TestNoWindowHasMoreFailuresThanRequests(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 3))
	var l tally
	var sent, read credit
	for range 10_000 {
		n := credit{requests: uint64(random.IntN(4))}
		sent.requests += n.requests
		n.failures = uint64(random.IntN(4)) % (sent.requests - sent.failures + 1)
		sent.failures += n.failures
		l.counted(n)
		w := l.take()
		read.add(credit{w.Completed, w.Failed})
		if w.Failed > w.Completed || read.requests-l.owed != sent.requests || read.failures != sent.failures {
			t.Fatalf("%+v of %+v: %+v, owed %d", read, sent, w, l.owed)
		}
	}
}

// What broke an answer that had begun is seen by what is beyond the answers of 5xx.
func TestBrokenAnswersAreFailures(t *testing.T) {
	for name, c := range map[string]struct {
		counts Counts
		again  bool
		want   credit
	}{
		"all well":                  {Counts{Class: [6]uint64{2: 9, 4: 1}}, false, credit{10, 0}},
		"resets before answers":     {Counts{Reset: 3, Class: [6]uint64{2: 7, 5: 3}}, false, credit{10, 3}},
		"a reset and a timeout":     {Counts{Reset: 1, Timeout: 1, Class: [6]uint64{2: 10}}, false, credit{10, 2}},
		"begun before":              {Counts{Reset: 2}, false, credit{0, 2}},
		"may have been tried again": {Counts{Reset: 3, Class: [6]uint64{2: 10}}, true, credit{10, 0}},
		"no connection":             {Counts{Queued: 4, ConnectFail: 12, Class: [6]uint64{5: 4}}, false, credit{4, 4}},
		"saved by another endpoint": {Counts{Started: 4, Queued: 4, ConnectFail: 2, Class: [6]uint64{2: 4}}, false, credit{4, 0}},
	} {
		if got := c.counts.credit(c.again); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// A cluster that had no room for a series, or whose series gave way to another and came back, is counted all the same.
func TestWatchOfSeriesThatComeAndGo(t *testing.T) {
	now := testTime
	tel := New(Options{Now: func() time.Time { return now }})
	w := tel.Watch("orders", []string{"default"}, "eks")
	defer w.Close()
	take := func(names ...string) {
		t.Helper()
		f, p, err := tel.enter("default", "p1")
		if err != nil {
			t.Fatal(err)
		}
		defer f.mu.Unlock()
		var fl flush
		fl.reset(*f.index.Load())
		fl.end = uint64(now.UnixNano())
		for _, name := range names {
			i, err := fl.cluster([]byte(name))
			if err != nil {
				t.Fatal(err)
			}
			fl.deltas[i].counts.Class[2] = 1
		}
		tel.take(f, p, &fl, now)
	}
	read := func(what string, want uint64) {
		t.Helper()
		now = now.Add(time.Second)
		if got := w.Read(now)[0]; got.Completed != want {
			t.Errorf("%s: %d requests, want %d", what, got.Completed, want)
		}
	}
	var all []string
	for i := range maxSeries {
		all = append(all, fmt.Sprintf("s%d/o", i))
	}
	take(all...)
	take("orders/eks")
	read("no room", 1)
	now = now.Add(2 * keepIdle)
	take("orders/eks")
	read("room was made", 1)
	take(all[:maxSeries-1]...)
	now = now.Add(2 * keepIdle)
	take("another/o")
	if (*tel.fleet("default").index.Load())["orders/eks"] != nil {
		t.Fatal("the series did not give way")
	}
	take("orders/eks", "another/o")
	read("it came back", 1)
}
