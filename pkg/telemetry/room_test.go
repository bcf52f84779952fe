package telemetry

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"
)

// TestFleetsShareTheRoomForSeries: fleets that are made up cannot take more memory than there is for all, and what they leave is used again.
func TestFleetsShareTheRoomForSeries(t *testing.T) {
	r := &room{}
	taken := 0
	var first *fleet
	for i := range 10 {
		f := newFleet(fmt.Sprint(i), testTime, r)
		if first == nil {
			first = f
		}
		index := map[string]*series{}
		for j := range maxSeries {
			if f.newSeries(fmt.Sprintf("c%d/o", j), index, testTime) != nil {
				taken++
			}
		}
		f.index.Store(&index)
	}
	if taken != maxSeriesInAll {
		t.Fatalf("%d series were made, want %d", taken, maxSeriesInAll)
	}
	index := *first.index.Load()
	if first.newSeries("new/o", index, testTime.Add(keepIdle)) != nil {
		t.Error("a series was made where there is no room")
	}
	if first.newSeries("new/o", index, testTime.Add(2*keepIdle)) == nil {
		t.Error("series without data do not give way")
	}
}

// TestSilentFleetsGiveTheirRoomToANewOne: whose proxies are gone for long has no place that another fleet needs, and the bound holds all the same.
func TestSilentFleetsGiveTheirRoomToANewOne(t *testing.T) {
	now := testTime
	tel := New(Options{Now: func() time.Time { return now }})
	fill := func(name string) {
		f := tel.fleet(name)
		f.mu.Lock()
		defer f.mu.Unlock()
		index := map[string]*series{}
		for j := range maxSeries {
			f.newSeries(fmt.Sprintf("c%d/o", j), index, now)
		}
		f.index.Store(&index)
	}
	export := func(fleet string) int {
		t.Helper()
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(FleetMetadata, fleet, ProxyMetadata, "p"))
		if err := tel.exportRaw(ctx, request(t, counterMetric("cluster.upstream_rq_total", "orders/"+fleet, "", 1))); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, total := range tel.Totals() {
			if total.Fleet == fleet && total.Service == "orders" {
				n++
			}
		}
		return n
	}
	fill("a")
	fill("b")
	if now = now.Add(keepIdle); export("new") != 0 {
		t.Error("a series was made where there is no room")
	}
	if now = now.Add(30 * 24 * time.Hour); export("new") != 1 {
		t.Error("the new fleet has no series: those that are silent keep their room")
	}
	for _, silent := range []string{"a", "b"} {
		if n := len(*tel.fleet(silent).index.Load()); n != 0 {
			t.Errorf("fleet %s still has %d series", silent, n)
		}
		if export(silent) != 1 {
			t.Errorf("fleet %s is back, and has no series", silent)
		}
	}
	for i := range 3 {
		fill(fmt.Sprint("more", i))
	}
	if n := len(tel.Totals()); n != maxSeriesInAll || tel.room.taken.Load() != maxSeriesInAll {
		t.Errorf("there are %d series and %d are counted, want %d", n, tel.room.taken.Load(), maxSeriesInAll)
	}
}
