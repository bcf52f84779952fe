package origin

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
