package telemetry

import (
	"testing"

	metricsv1 "go.opentelemetry.io/proto/otlp/metrics/v1"
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
