package telemetry

import (
	"testing"
	"time"

	metricsv1 "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc/metadata"
)

// TestHiddenFailuresAreFailuresOfTheirOrigin: what the other origin answered counts where it failed, and there as failed.
func TestHiddenFailuresAreFailuresOfTheirOrigin(t *testing.T) {
	var f flush
	f.reset(nil)
	if err := f.decode(request(t, []*metricsv1.Metric{
		counterMetric("cluster.upstream_rq_total", "orders/ecs", "", 10), counterMetric("cluster.upstream_rq_total", "orders/eks", "", 3),
		counterMetric("cluster.upstream_rq_xx", "orders/ecs@either", "2", 9), counterMetric("cluster.upstream_rq_xx", "orders/ecs@either", "5", 1),
		counterMetric("cluster.upstream_rq_retry_success", "orders/ecs@either", "", 3),
		counterMetric("cluster.upstream_rq_xx", "orders/ecs", "2", 5), counterMetric("cluster.upstream_rq_retry_success", "orders/ecs", "", 4), // POSTs, tried again at ecs
	}...)); err != nil {
		t.Fatal(err)
	}
	if len(f.deltas) != 2 {
		t.Fatalf("%+v", f.deltas)
	}
	ecs, eks := f.deltas[0].counts, f.deltas[1].counts
	if got := ecs.credit(true); got != (credit{15, 4}) || ecs.Hidden != 3 {
		t.Errorf("ecs: %+v, of which %d are hidden", got, ecs.Hidden)
	}
	if got := eks.credit(true); got != (credit{}) || eks.picks() != 3 {
		t.Errorf("eks: %+v, picked %d times", got, eks.picks())
	}
	if ecs.Class[5] = 0; healthOf(&ecs).answering {
		t.Error("an origin with hidden failures is said to answer all")
	}
}

// TestHiddenFailuresShowInTheErrorRate: an origin that fails all its GETs does not look well because the other one answers them.
func TestHiddenFailuresShowInTheErrorRate(t *testing.T) {
	now := testTime
	tel := New(Options{Now: func() time.Time { return now }})
	tel.fleet("default")
	now = now.Add(4 * time.Second)
	for name, c := range map[string]struct {
		ok, failed, hidden int64
		want               float64
	}{
		"some":              {ok: 90, failed: 10, hidden: 15, want: 0.25},
		"all":               {ok: 40, hidden: 40, want: 1},
		"both origins":      {failed: 40, hidden: 40, want: 1}, // each counts twice
		"none":              {ok: 40},
		"none was answered": {},
	} {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(FleetMetadata, "default", ProxyMetadata, "p"))
		cluster := name + "/eks"
		if err := tel.exportRaw(ctx, request(t,
			counterMetric("cluster.upstream_rq_xx", cluster+"@either", "2", c.ok), counterMetric("cluster.upstream_rq_xx", cluster+"@either", "5", c.failed),
			counterMetric("cluster.upstream_rq_retry_success", cluster+"@either", "", c.hidden))); err != nil {
			t.Fatal(err)
		}
		if got := tel.Traffic("default", name, "eks", now, 10*time.Second).ErrorRate; got != c.want {
			t.Errorf("%s: error rate %v, want %v", name, got, c.want)
		}
	}
}
