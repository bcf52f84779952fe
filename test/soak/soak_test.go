package main

import (
	"testing"
	"time"
)

// TestSoak is the same code for a few seconds: everything happens, and is counted. Whether anything grows takes longer to see.
func TestSoak(t *testing.T) {
	res, err := run(t.Context(), 5*time.Second, 48, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(res.Samples); n != 48 {
		t.Errorf("%d samples, want 48", n)
	}
	last := res.Samples[len(res.Samples)-1]
	if last.Heap == 0 || last.Goroutines == 0 || last.Descriptors == 0 || last.Store == 0 || last.Revisions < 100 || last.Files < 2 {
		t.Errorf("the last sample is %+v", last)
	}
	if c := res.Counts; c.Changes != 96 || c.Endpoints != 48 || c.Rollbacks != 10 || c.Rollouts != 2 {
		t.Errorf("done: %+v", c)
	}
	if _, growth := trend(res.Samples[24:], func(s sample) float64 { return s.Descriptors }); growth > 30 {
		t.Errorf("descriptors grow by %.0f in a day of half an hour", growth)
	}
}

// TestGrowthIsSeen: a leak of a goroutine every ten minutes is seen, noise around a mean is not.
func TestGrowthIsSeen(t *testing.T) {
	flat, leak := &result{}, &result{}
	for i := range 96 {
		s := sample{Minute: 15 * i, Heap: 20 << 20, Goroutines: float64(150 + i%7*3), Descriptors: 60, PerRevision: 4096, Others: 20_000, Files: 6}
		flat.Samples = append(flat.Samples, s)
		s.Goroutines += float64(15*i) / 10
		leak.Samples = append(leak.Samples, s)
	}
	if err := flat.judge(); err != nil {
		t.Errorf("noise: %v", err)
	}
	if err := leak.judge(); err == nil {
		t.Error("a leak of 72 goroutines over the second half is not seen")
	}
}
