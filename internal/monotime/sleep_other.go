//go:build !linux

package monotime

import "time"

// SleepUntil sleeps until [Now] is at least t.
func SleepUntil(t time.Duration) { time.Sleep(t - Now()) }
