package metrics_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/server/metrics"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

type source struct{}

func (source) List(string) []*crossfadev1.ServiceStatus {
	return []*crossfadev1.ServiceStatus{{Name: "orders", Split: map[string]int32{"ecs": 9000, "eks": 1000}}}
}

func (source) Proxies(string) []*crossfadev1.Proxy {
	return []*crossfadev1.Proxy{
		{Fleet: "default", Proxy: "a", State: "ok", Connected: true, AckedRevision: 7},
		{Fleet: "default", Proxy: "b", State: "pending", Connected: true, AckedRevision: 5, CertificateExpiry: &timestamppb.Timestamp{Seconds: 1.8e9}},
		{Fleet: "default", Proxy: "c", State: "ok", Connected: true, AckedRevision: 7},
		{Fleet: "edge", Proxy: "d", State: "lost", AckedRevision: 1},
	}
}

func (source) Revision() int64 { return 7 }

func (source) AllOrigins() []*crossfadev1.OriginStatus {
	return []*crossfadev1.OriginStatus{
		{Service: "orders", Origin: "ecs", Ready: 3, State: "ok"},
		{Service: "orders", Origin: "eks", Ready: 2, Draining: 1, Held: 4, AgeMs: 1500, Error: &crossfadev1.ErrorDetail{Code: "kubernetes_forbidden"}},
		{Service: "orders", Origin: "lb", State: "resolved"},
	}
}

func (source) Mirrors(string) []*crossfadev1.MirrorStatus {
	return []*crossfadev1.MirrorStatus{{Mirror: "m1"}, {Mirror: "deleted-just-now"}}
}

func (source) MirrorReport(name string) (*crossfadev1.MirrorReport, error) {
	if name != "m1" {
		return nil, errors.New("not there")
	}
	return &crossfadev1.MirrorReport{Mirrored: 10, Compared: 5, Unrepresentative: 2, Dropped: map[string]int64{"cap": 3}}, nil
}

func (source) Rollouts(string) []*crossfadev1.RolloutStatus {
	at := func(hour int) *timestamppb.Timestamp {
		return timestamppb.New(time.Date(2026, 11, 27, hour, 0, 0, 0, time.UTC))
	}
	return []*crossfadev1.RolloutStatus{
		{Name: "again", Service: "orders", State: "Baking", Started: at(9)}, {Name: "r1", Service: "orders", State: "RolledBack", Started: at(8)},
	}
}

func calls() map[string]int64 { return map[string]int64{"ListTasks": 12} }

type fullDisk struct{ store.Store }

func (fullDisk) Commit(context.Context, store.Commit) ([]*crossfadev1.Revision, bool, error) {
	return nil, false, errors.New("full")
}

func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("scrape: %d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestNamesAndLabelsAreThoseOfTheInterface(t *testing.T) {
	m, err := metrics.New()
	if err != nil {
		t.Fatal(err)
	}
	err = m.Observe(source{}, func() []metrics.Requests {
		return []metrics.Requests{
			{Fleet: "default", Service: "orders", Origin: "ecs", Class: [6]uint64{2: 40, 5: 1}, Hidden: 3},
			{Fleet: "edge", Service: "orders", Origin: "ecs", Class: [6]uint64{2: 2}, Hidden: 4},
			{Fleet: "default", Service: "forged-by-a-proxy", Origin: "x", Class: [6]uint64{2: 9}},
		}
	}, calls)
	if err != nil {
		t.Fatal(err)
	}
	m.Nack("default", "Listener")
	m.Nack("default", "Listener")
	fleet := func(name string, acked int32) *crossfadev1.FleetState {
		return &crossfadev1.FleetState{Name: name, Connected: 2, Acked: acked, AckMs: 30}
	}
	m.Changed("SetSplit", []*crossfadev1.Change{{Service: "orders", Fleet: fleet("default", 2)}, {Service: "carts", Fleet: fleet("default", 2)}}, time.Second)
	m.Changed("SetSplit", []*crossfadev1.Change{{Service: "orders", Fleet: fleet("edge", 1)}}, time.Second)
	m.Changed("Apply", []*crossfadev1.Change{{Service: "orders", Action: "none", Fleet: fleet("default", 2)}}, time.Second)
	m.Changed("Rollback", []*crossfadev1.Change{
		{Service: "orders", Fleet: fleet("default", 2), Proof: &crossfadev1.Proof{State: "proven", SinceMs: 200}},
		{Service: "carts", Fleet: fleet("default", 2), Proof: &crossfadev1.Proof{State: "silent"}},
	}, 400*time.Millisecond)
	m.Changed("Apply", []*crossfadev1.Change{{Service: "spread", Fleet: fleet("eu,us", 2), Fleets: []*crossfadev1.FleetChange{
		{Name: "eu", Fleet: fleet("eu", 2)}, {Name: "us", Fleet: fleet("us", 1)},
	}}}, time.Second)
	_, _, _ = m.Store(fullDisk{}).Commit(t.Context(), store.Commit{})
	got := scrape(t, m)
	for _, want := range []string{
		`crossfade_proxies{fleet="default",state="ok"} 2`,
		`crossfade_proxies{fleet="default",state="pending"} 1`,
		`crossfade_proxies{fleet="edge",state="lost"} 1`,
		`crossfade_revision{kind="intent"} 7`,
		`crossfade_revision{kind="acked"} 5`,
		`crossfade_push_ack_seconds_count{fleet="default"} 2`,
		`crossfade_push_ack_seconds_bucket{fleet="default",le="0.025"} 0`,
		`crossfade_push_ack_seconds_bucket{fleet="default",le="0.05"} 2`,
		`crossfade_push_ack_seconds_count{fleet="eu"} 1`,
		`crossfade_nacks_total{fleet="default",type="Listener"} 2`,
		`crossfade_split_weight{origin="ecs",service="orders"} 9000`,
		`crossfade_split_weight{origin="eks",service="orders"} 1000`,
		`crossfade_requests_total{class="2xx",origin="ecs",service="orders"} 42`,
		`crossfade_requests_total{class="5xx",origin="ecs",service="orders"} 1`,
		`crossfade_requests_total{class="2xx",origin="eks",service="orders"} 0`,
		`crossfade_hidden_failures_total{origin="ecs",service="orders"} 7`,
		`crossfade_hidden_failures_total{origin="eks",service="orders"} 0`,
		`crossfade_proxy_certificate_expiry_timestamp_seconds{fleet="default",proxy="b"} 1.8e+09`,
		`crossfade_rollback_seconds_count{stage="acked"} 1`,
		`crossfade_rollback_seconds_bucket{stage="last_request",le="0.1"} 0`,
		`crossfade_rollback_seconds_bucket{stage="last_request",le="0.25"} 1`,
		`crossfade_rollback_seconds_sum{stage="answered"} 0.4`,
		`crossfade_store_write_seconds_count 1`,
		`crossfade_endpoints{origin="ecs",service="orders",state="ready"} 3`,
		`crossfade_endpoints{origin="eks",service="orders",state="held"} 4`,
		`crossfade_discovery_age_seconds{origin="eks",service="orders"} 1.5`,
		`crossfade_discovery_failing{code="kubernetes_forbidden",origin="eks",service="orders"} 1`,
		`crossfade_discovery_calls_total{action="ListTasks"} 12`,
		`crossfade_mirror_total{mirror="m1",result="compared"} 5`,
		`crossfade_mirror_total{mirror="m1",result="unrepresentative"} 2`,
		`crossfade_mirror_total{mirror="m1",result="target_failed"} 0`,
		`crossfade_mirror_total{mirror="m1",result="dropped_cap"} 3`,
		`crossfade_rollout_state{service="orders",state="Baking"} 1`,
		`go_goroutines `,
		`process_resident_memory_bytes `,
	} {
		if !strings.Contains(got, "\n"+want) {
			t.Errorf("no %s", want)
		}
	}
	for _, unwanted := range []string{"forged", "deleted-just-now", `discovery_age_seconds{origin="ecs"`, `origin="lb"`, `push_ack_seconds_count{fleet="edge"}`, "target_info", "otel_scope"} {
		if strings.Contains(got, unwanted) {
			t.Errorf("it holds %s", unwanted)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

func TestEveryMetricIsExplained(t *testing.T) {
	m, err := metrics.New()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Observe(source{}, func() []metrics.Requests { return nil }, calls); err != nil {
		t.Fatal(err)
	}
	got := scrape(t, m)
	for line := range strings.Lines(got) {
		if name, isType := strings.CutPrefix(line, "# TYPE "); isType {
			name, _, _ = strings.Cut(name, " ")
			if !strings.Contains(got, "# HELP "+name+" ") {
				t.Errorf("%s has no help", name)
			}
		}
	}
}

// TestAScrapeShowsWhatTheCallerMaySee: nothing of other services, and no mirror, which does not say of which service it is.
func TestAScrapeShowsWhatTheCallerMaySee(t *testing.T) {
	m, err := metrics.New()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Observe(source{}, func() []metrics.Requests { return nil }, calls); err != nil {
		t.Fatal(err)
	}
	for service, want := range map[string]bool{"orders": true, "pay": false} {
		w := httptest.NewRecorder()
		m.HandlerFor(func(*http.Request) func(string) bool { return func(s string) bool { return s == service } }).
			ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		body := w.Body.String()
		if got := strings.Contains(body, `service="orders"`); got != want || w.Code != http.StatusOK {
			t.Errorf("%s: %d, orders shown: %t", service, w.Code, got)
		}
		if strings.Contains(body, "mirror=") || !strings.Contains(body, "crossfade_revision") {
			t.Errorf("%s: shown:\n%s", service, body)
		}
	}
	w := httptest.NewRecorder()
	m.HandlerFor(func(*http.Request) func(string) bool { return nil }).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if !strings.Contains(w.Body.String(), "mirror=") {
		t.Error("who may see all does not see mirrors")
	}
}
