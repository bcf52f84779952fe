package telemetry

import (
	"testing"
	"time"
)

// A service of several fleets: requests are summed, and percentiles are over all of them together, not a mean of the fleets'.
func TestTrafficOverSeveralFleets(t *testing.T) {
	now := testTime
	tel := New(Options{Now: func() time.Time { return now }})
	conn := serve(t, tel)
	send := func(fleet string, good, bad int64, slow uint64) {
		t.Helper()
		if err := export(conn, dataOf(
			counterMetric("cluster.upstream_rq_xx", "orders/ecs", "2", good), counterMetric("cluster.upstream_rq_xx", "orders/ecs", "5", bad),
			histogramMetric("orders/ecs", []float64{10, 20}, []uint64{0, uint64(good+bad) - slow, slow}),
		), ProxyMetadata, "p1", FleetMetadata, fleet); err != nil {
			t.Fatal(err)
		}
	}
	tel.Connected("eu", "p1", true)
	tel.Connected("us", "p1", true)
	now = now.Add(4 * time.Second)
	send("eu", 36, 4, 0)
	send("us", 360, 0, 20)
	both := tel.TrafficOver([]string{"eu", "us", "asia"}, "orders", "ecs", now, 10*time.Second)
	if both.Requests != 400 || both.RPS != 100 || both.ErrorRate != 0.01 || both.Reporting != 2 || both.Window != 4*time.Second {
		t.Errorf("both: %+v", both)
	}
	eu, us := tel.Traffic("eu", "orders", "ecs", now, 10*time.Second), tel.Traffic("us", "orders", "ecs", now, 10*time.Second)
	if eu.Requests != 40 || eu.ErrorRate != 0.1 || us.Requests != 360 || us.ErrorRate != 0 {
		t.Errorf("eu %+v, us %+v", eu, us)
	}
	if both.P99 != us.P99 || both.P99 <= eu.P99 || both.P50 != eu.P50 { // 5 % of all are slow, all of them in us
		t.Errorf("p99 %s and %s, over both %s", eu.P99, us.P99, both.P99)
	}
	if none := tel.TrafficOver(nil, "orders", "ecs", now, time.Second); none != (Traffic{}) {
		t.Errorf("%+v", none)
	}
}
