package statsim_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	metricsv1 "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/crossfade-proxy/crossfade/bench/internal/statsim"
)

// TestFlushesAddUp: whatever the moments of flushes and load reports, every request is in one flush, with its class and its latency, and in one load report.
func TestFlushesAddUp(t *testing.T) {
	const seed = 7
	rnd := rand.New(rand.NewPCG(seed, 0))
	clusters := []statsim.Cluster{{Name: "a/ecs", Address: "10.0.0.1", Port: 8080}, {Name: "a/eks", Address: "10.0.0.2", Port: 8080}}
	now := time.Unix(1_000_000_000, 0)
	p := statsim.NewFleet(clusters).Proxy(rnd, now)
	p.Serve([]statsim.Load{{Rate: 40, Errors: 0.05}, {Rate: 0.3, Errors: 1}}, now)
	p.Ask([]string{"a/ecs", "a/eks", "unknown/ecs"}, now)
	var flushed, reported [2]uint64 // requests, failures; of ecs
	var expected statsim.Sent
	const seconds = 1000
	end := now.Add(seconds * time.Second)
	for last := false; !last; {
		now = now.Add(time.Duration(rnd.Int64N(int64(3 * time.Second))))
		if last = !now.Before(end); last {
			now = end
		}
		if rnd.IntN(2) == 0 || last {
			b, sent := p.Flush(nil, now)
			got := answered(t, metrics(t, b))
			flushed[0], flushed[1] = flushed[0]+got["a/ecs"][0], flushed[1]+got["a/ecs"][1]
			expected.Requests, expected.Failed = expected.Requests+sent.Requests, expected.Failed+sent.Failed
			if n := got["a/ecs"][0] + got["a/eks"][0]; n != sent.Requests || len(got) != sent.Busy {
				t.Fatalf("seed %d: a flush of %v says that it has %+v", seed, got, sent)
			}
		}
		if rnd.IntN(2) == 0 || last {
			b, n := p.Report(nil, now)
			for _, c := range load(t, b).GetClusterStats() {
				if c.GetClusterName() != "a/ecs" {
					continue
				}
				for _, l := range c.GetUpstreamLocalityStats() {
					reported[0], reported[1] = reported[0]+l.GetTotalIssuedRequests(), reported[1]+l.GetTotalErrorRequests()
				}
			}
			if n != 2 {
				t.Fatalf("seed %d: reports of %d clusters, of which 2 are known", seed, n)
			}
		}
	}
	if flushed != reported {
		t.Errorf("seed %d: flushes have %v, load reports %v", seed, flushed, reported)
	}
	if want := 40.0 * seconds; math.Abs(float64(flushed[0])-want) > 1 || math.Abs(float64(flushed[1])-0.05*want) > 1 {
		t.Errorf("seed %d: %v requests and failures, want about %v and %v", seed, flushed, want, 0.05*want)
	}
	if want := 40.3 * seconds; math.Abs(float64(expected.Requests)-want) > 2 {
		t.Errorf("seed %d: %d requests in all, want about %v", seed, expected.Requests, want)
	}
}

// answered are requests and failures by cluster, with what must agree in a flush.
func answered(t *testing.T, d *metricsv1.MetricsData) map[string][2]uint64 {
	t.Helper()
	out, times, total := map[string][2]uint64{}, map[string]uint64{}, map[string]uint64{}
	for _, m := range d.GetResourceMetrics()[0].GetScopeMetrics()[0].GetMetrics() {
		for _, p := range m.GetSum().GetDataPoints() {
			labels := map[string]string{}
			for _, a := range p.GetAttributes() {
				labels[a.GetKey()] = a.GetValue().GetStringValue()
			}
			name, n := labels["envoy.cluster_name"], uint64(p.GetAsInt())
			got := out[name]
			switch {
			case name == "xds" || name == "":
				continue
			case m.GetName() == "cluster.upstream_rq_total":
				total[name] += n
				continue
			case labels["envoy.response_code_class"] == "5":
				got[1] += n
			}
			got[0] += n
			out[name] = got
		}
		for _, p := range m.GetHistogram().GetDataPoints() {
			var sum uint64
			for _, n := range p.GetBucketCounts() {
				sum += n
			}
			if sum != p.GetCount() || len(p.GetBucketCounts()) != len(p.GetExplicitBounds())+1 {
				t.Fatalf("%d requests in %d buckets with %d bounds, of %d", sum, len(p.GetBucketCounts()), len(p.GetExplicitBounds()), p.GetCount())
			}
			times[p.GetAttributes()[0].GetValue().GetStringValue()] = sum
		}
	}
	for name, got := range out {
		if got[0] != times[name] || got[0] != total[name] {
			t.Fatalf("%s: %d answers, %d latencies, %d requests", name, got[0], times[name], total[name])
		}
	}
	return out
}

// TestLengthOfReports: a cluster that is asked for again goes on, one that is new begins.
func TestLengthOfReports(t *testing.T) {
	now := time.Unix(1_000_000_000, 0)
	p := statsim.NewFleet([]statsim.Cluster{{Name: "a/ecs"}, {Name: "b/ecs"}}).Proxy(rand.New(rand.NewPCG(1, 0)), now)
	p.Serve([]statsim.Load{{Rate: 10}, {Rate: 10}}, now)
	p.Ask([]string{"a/ecs"}, now)
	p.Ask([]string{"a/ecs", "b/ecs"}, now.Add(time.Second))
	b, _ := p.Report(nil, now.Add(3*time.Second))
	got := ""
	for _, c := range load(t, b).GetClusterStats() {
		got += fmt.Sprint(c.GetClusterName(), " ", c.GetLoadReportInterval().AsDuration(), " ", c.GetUpstreamLocalityStats()[0].GetTotalIssuedRequests(), "; ")
	}
	if want := "a/ecs 3s 30; b/ecs 2s 20; "; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if _, n := p.Report(nil, now); n != 2 {
		t.Errorf("%d reports", n)
	}
	p.Ask(nil, now)
	if b, n := p.Report(nil, now); n != 0 || len(b) > 0 {
		t.Errorf("%d reports of nothing", n)
	}
}
