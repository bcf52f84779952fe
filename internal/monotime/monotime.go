// Package monotime is the one clock of measurements: load generators, origins and benchmarks, in one process or in several, give
// times that can be subtracted from each other, whatever happens to the time of day.
package monotime

import (
	"time"

	"golang.org/x/sys/unix"
)

// Now is the time since some moment of the past (on Linux, boot), by the monotonic clock that all processes of the machine share.
func Now() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // the clock exists on every system that this package builds on
	}
	return time.Duration(ts.Nano())
}
