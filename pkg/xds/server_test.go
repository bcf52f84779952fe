package xds

import (
	"testing"
	"time"
	"unsafe"
)

// Nothing was collected for an hour after the clock was set back by one.
func TestQuietWhateverTheTimeOfDay(t *testing.T) {
	var passed, back time.Duration
	start := time.Now()
	now := func() time.Time {
		at := start.Add(passed)
		// What the kernel does: the time of day goes back, and the monotonic clock that a time has as well does not. Seconds are above the nanoseconds.
		*(*uint64)(unsafe.Pointer(&at)) -= uint64(back/time.Second) << 30
		return at
	}
	s := NewServer(Options{Now: now})
	s.Fleet("f").Publish(Update{}).Close()
	passed, back = time.Minute, time.Hour
	if at := now(); !at.Round(0).Before(start.Add(-50*time.Minute).Round(0)) || at.Sub(start) != time.Minute {
		t.Fatalf("the clock is at %v, and began at %v", at, start)
	}
	if !s.Quiet(time.Minute) || s.Quiet(time.Minute+1) {
		t.Error("a minute after the last publication, it is not said to be quiet for one")
	}
}
