package monotime

import (
	"testing"
	"time"
)

func TestSleepUntil(t *testing.T) {
	for _, d := range []time.Duration{-time.Second, 0, 300 * time.Microsecond, 5 * time.Millisecond} {
		start := Now()
		SleepUntil(start + d)
		if slept := Now() - start; slept < d {
			t.Errorf("slept %v, asked for %v", slept, d)
		}
	}
}

func TestNowRunsLikeTime(t *testing.T) {
	a, b := time.Now(), Now()
	SleepUntil(b + 2*time.Millisecond)
	x, y := time.Since(a), Now()-b
	if diff := (x - y).Abs(); diff > 20*time.Millisecond {
		t.Errorf("the two clocks differ by %v", diff)
	}
}
