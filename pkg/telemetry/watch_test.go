package telemetry

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
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

func TestEdgesAreThoseOfEnvoysBins(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 4))
	bounds := bootstrapBounds()
	for _, inclusive := range []bool{true, false} {
		l, err := newLayout(packFloats(bounds...), inclusive)
		if err != nil {
			t.Fatal(err)
		}
		for range 20_000 {
			ms := random.Float64() * []float64{12, 120, 1200, 70_000}[random.IntN(4)]
			counts := envoySorts([]float64{ms}, bounds, inclusive)
			for name, e := range map[string]*edges{"known": l.edgesFor(new140), "unknown": l.edgesFor(version{})} {
				got := e.buckets(counts)
				if len(got) != 1 || got[0].Above > milliseconds(ms) || got[0].UpTo != 0 && got[0].UpTo <= milliseconds(ms) || ms < 60_000 && got[0].UpTo == 0 {
					t.Fatalf("inclusive %v, %s: %v ms is in %+v", inclusive, name, ms, got)
				}
				if width := (got[0].UpTo - got[0].Above).Seconds() * 1000; name == "known" && ms < 60_000 && width > max(1, 0.2*ms) {
					t.Fatalf("inclusive %v: %v ms is in %+v", inclusive, ms, got)
				}
			}
		}
	}
}

// Whatever bounds a bootstrap has, guards can read the buckets.
func TestOddBoundsMakeWindows(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 5))
	plan := guard.Plan{Origins: []string{"eks", "ecs"}, Candidate: "eks", Steps: 1, Observed: time.Hour}
	guards, errs := guard.Compile([]guard.Spec{{Name: "slow", Metric: guard.P99, Max: "1s"}}, plan)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for range 300 {
		var l tally
		for range 1 + random.IntN(4) {
			bounds := make([]float64, 1+random.IntN(200))
			for i := range bounds {
				bounds[i] = random.ExpFloat64() * []float64{1, 100, 1e5, 1e30}[random.IntN(4)]
			}
			slices.Sort(bounds)
			bounds = slices.Compact(bounds)
			y, err := newLayout(packFloats(bounds...), random.IntN(2) == 0)
			if err != nil {
				t.Fatal(err)
			}
			counts := make([]uint64, len(bounds)+1)
			for i := range counts {
				counts[i] = uint64(random.IntN(3))
			}
			l.timed(y.edgesFor(version{1, uint32(random.IntN(2)), 0}), pack(counts...))
		}
		w := l.take()
		w.Length = time.Second
		if _, r := guards[0].Observe(guards[0].Start(), guard.Pair{Candidate: w}); r.Verdict == guard.Error {
			t.Fatalf("%s: %+v", r.Message, w.Latency)
		}
	}
}

// Watches take the first half of the lanes, and give theirs to proofs that wait.
func TestWatchesGiveWayToProofs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := New(Options{MaxFollowed: 2})
		var pipes []*pipe
		for _, id := range []string{"p1", "p2", "p3"} {
			p, end := proxyPipe(t, tel, id)
			defer end()
			pipes = append(pipes, p)
			busy(t, tel, id, "orders", "carts")
		}
		lanes := func(what string, want ...string) {
			t.Helper()
			synctest.Wait()
			var got []string
			for _, a := range tel.lanes.active {
				got = append(got, fmt.Sprint(a.proxy.id, " ", a.use))
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Fatalf("%s: lanes of %q, want %q", what, got, want)
			}
		}
		w := tel.Watch("carts", []string{"default"}, "eks", "ecs")
		defer w.Close()
		lanes("a watch takes half", fmt.Sprint(tel.lanes.active[0].proxy.id, " 1"))
		first := tel.lanes.active[0].proxy.id
		proof := tel.Follow(changeOf("orders"))
		for _, id := range []string{"p1", "p2", "p3"} {
			if id != first {
				proof.Acked(id, time.Now())
			}
		}
		synctest.Wait()
		if tel.lanes.has(tel.fleet("default").proxies[first]) || len(tel.lanes.active) != 2 {
			t.Fatalf("%s keeps its lane while a proof waits", first)
		}
		proof.Close()
		synctest.Wait()
		if len(tel.lanes.active) != 1 || tel.lanes.active[0].use != watching {
			t.Fatalf("after the proof: %+v", tel.lanes.active)
		}
		w.Close()
		lanes("nobody wants any")
		for i, p := range pipes {
			if asked := p.asked(); len(asked) > 4 {
				t.Errorf("proxy %d was asked %q", i, asked)
			}
		}
	})
}

// Proofs and watches share the stream of a proxy.
func TestWatchesAndProofsShareRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := New(Options{})
		p, end := proxyPipe(t, tel, "p1")
		defer end()
		busy(t, tel, "p1", "orders", "carts")
		w := tel.Watch("carts", []string{"default"}, "eks", "ecs")
		expect(t, "watched", p.asked(), "[carts/ecs carts/eks] 250ms")
		p.report(t, "carts")
		synctest.Wait()
		if got := w.Read(time.Now()); counts(got) != "0/0 0/9 " {
			t.Errorf("after a report: %s", counts(got))
		}
		proof := tel.Follow(changeOf("orders"))
		proof.Acked("p1", time.Now())
		p.report(t, "carts")
		expect(t, "a change as well", p.asked(), "[carts/ecs carts/eks orders/ecs orders/eks] 250ms")
		p.report(t, "carts", "orders")
		synctest.Wait()
		if s := proof.State(time.Now()); s.State != Proven {
			t.Errorf("%+v", s)
		}
		if got := w.Read(time.Now()); counts(got) != "0/0 0/18 " {
			t.Errorf("after two more: %s", counts(got))
		}
		proof.Close()
		w.Close()
		p.report(t, "carts", "orders")
		expect(t, "both are over", p.asked(), off)
	})
}

// A service that begins to be retried gives its lane up, and nothing counts twice.
func TestRetriedServicesHaveNoLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		again := false
		tel := New(Options{Retried: func(string) bool { return again }})
		p, end := proxyPipe(t, tel, "p1")
		defer end()
		busy(t, tel, "p1", "carts")
		w := tel.Watch("carts", []string{"default"}, "ecs")
		defer w.Close()
		expect(t, "watched", p.asked(), "[carts/ecs] 250ms")
		p.report(t, "carts") // 9 requests
		again = true
		if got := w.Read(time.Now()); counts(got) != "0/9 " {
			t.Errorf("counted %s", counts(got))
		}
		expect(t, "retried", p.asked(), off)
		p.report(t, "carts") // 9 more, which nobody asked for
		<-time.After(2 * time.Second)
		busy(t, tel, "p1", "carts") // metrics have 9, which were counted
		busy(t, tel, "p1", "carts") // and the other 9, in one more message of the same flush
		<-time.After(2 * time.Second)
		busy(t, tel, "p1", "carts") // 9 new ones
		if got := w.Read(time.Now()); counts(got) != "0/18 " {
			t.Errorf("counted %s", counts(got))
		}
	})
}

// BenchmarkWatches takes a flush of 20 busy clusters while other clusters are watched, and while its own are.
func BenchmarkWatches(b *testing.B) {
	for _, c := range []struct {
		name           string
		others, of     int
		proxies, lanes int
	}{{"none", 0, 0, 1000, 0}, {"200 others", 200, 0, 1000, 0}, {"200 others and these 20", 200, 20, 1000, 0}} {
		b.Run(c.name, func(b *testing.B) {
			now := testTime
			tel := New(Options{Now: func() time.Time { return now }})
			for i := range c.others {
				defer tel.Watch(fmt.Sprintf("other-%03d", i), []string{"default"}, "eks", "ecs").Close()
			}
			for i := range c.of {
				defer tel.Watch(fmt.Sprintf("service-%03d", i), []string{"default"}, "eks", "ecs").Close()
			}
			var fl flush
			raw := busyFlush(b, 20)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				now = now.Add(2 * time.Millisecond)
				f, p, err := tel.enter("default", fmt.Sprint("p", i%c.proxies))
				if err != nil {
					b.Fatal(err)
				}
				fl.reset(*f.index.Load())
				if err := fl.decode(raw); err != nil {
					b.Fatal(err)
				}
				if err := tel.resolve(&fl, true); err != nil {
					b.Fatal(err)
				}
				tel.take(f, p, &fl, now)
				f.mu.Unlock()
			}
		})
	}
}
