package telemetry

import (
	"fmt"
	"testing"
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
