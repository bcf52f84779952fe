package telemetry

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestMadeUpKindsOfHistograms: they cost others the latencies, and nothing else.
func TestMadeUpKindsOfHistograms(t *testing.T) {
	now := testTime
	tel := New(Options{Now: func() time.Time { return now }})
	for i := range maxLayouts {
		raw := request(t, histogramMetric("orders/ecs", []float64{float64(i)}, []uint64{1, 0}))
		if err := tel.exportRaw(as(t.Context(), "x", fmt.Sprint(i)), raw); err != nil {
			t.Fatal(err)
		}
	}
	tel.Connected("default", "p1", true)
	now = now.Add(time.Second)
	flush := func() Traffic {
		t.Helper()
		if err := tel.exportRaw(asProxy(t.Context()), busyFlush(t, 3)); err != nil {
			t.Fatal(err)
		}
		return tel.Traffic("default", "service-000", "eks", now, time.Second)
	}
	if got := flush(); got.Requests != 40 || got.P99 != 0 || tel.Stats().DroppedLatencies != 3 {
		t.Errorf("%+v, %+v", got, tel.Stats())
	}
	now = now.Add(keepIdle)
	if got := flush(); got.Requests != 40 || got.P99 == 0 || tel.Stats().DroppedLatencies != 3 {
		t.Errorf("an hour later: %+v, %+v", got, tel.Stats())
	}
}

// TestSilentSeriesGiveTheirLatenciesBack: with a flush of anybody.
func TestSilentSeriesGiveTheirLatenciesBack(t *testing.T) {
	now := testTime
	tel := New(Options{Now: func() time.Time { return now }})
	send := func(fleet string, clusters int) int64 {
		t.Helper()
		if err := tel.exportRaw(as(t.Context(), fleet, "p1"), busyFlush(t, clusters)); err != nil {
			t.Fatal(err)
		}
		return tel.room.latencies.Load()
	}
	one := send("a", 1)
	if got := send("a", 100); one == 0 || got != 100*one {
		t.Errorf("%d bytes of one series, %d of 100", one, got)
	}
	now = now.Add(2 * time.Minute)
	if got := send("b", 2); got != 2*one {
		t.Errorf("%d bytes, want those of two series, %d", got, 2*one)
	}
	tel.room.latencies.Store(maxLatencies)
	now = now.Add(time.Second)
	if send("b", 2); tel.Stats().DroppedLatencies != 2 {
		t.Errorf("%+v", tel.Stats())
	}
}

// TestNothingIsProvenWithoutAll: a proxy that acknowledged and for which telemetry has no room is part of the fleet.
func TestNothingIsProvenWithoutAll(t *testing.T) {
	now := testTime
	tel := New(Options{MaxProxies: 1, Now: func() time.Time { return now }})
	tel.Connected("default", "p1", true)
	tel.Connected("default", "p2", true)
	c := changeOf("orders")
	c.Called = now
	proof := tel.Follow(c)
	defer proof.Close()
	flush := func() ProofState {
		t.Helper()
		now = now.Add(2 * time.Second)
		m := counterMetric("cluster.upstream_rq_total", "orders/ecs", "", 9)
		m.GetSum().GetDataPoints()[0].StartTimeUnixNano = uint64(now.Add(-2 * time.Second).UnixNano())
		m.GetSum().GetDataPoints()[0].TimeUnixNano = uint64(now.UnixNano())
		if err := tel.exportRaw(asProxy(t.Context()), request(t, m)); err != nil {
			t.Fatal(err)
		}
		return proof.State(now)
	}
	flush()
	proof.Acked("p1", now)
	flush()
	if s := flush(); s.State != Proven {
		t.Fatalf("p1 alone: %+v", s)
	}
	proof.Acked("p2", now)
	if s := flush(); s.State != Unknown || !strings.Contains(s.Reason, "p2: is not followed") || s.Count(Proven) != 1 {
		t.Errorf("%+v", s)
	}
	tel.maxProxies = 2
	tel.Connected("default", "p2", true)
	if s := proof.State(now); s.State != Unknown || !strings.Contains(s.Reason, "p2: has sent no metrics") || !proof.tracker.at("p2").acked.IsZero() {
		t.Errorf("it comes back, and there is room: %+v", s)
	}
}
