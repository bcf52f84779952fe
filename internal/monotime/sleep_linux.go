package monotime

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// SleepUntil sleeps until [Now] is at least t, to within about 0.1 ms: it holds a thread, because Go's timers are coarser (1 ms).
func SleepUntil(t time.Duration) {
	ts := unix.NsecToTimespec(int64(t))
	for {
		err := unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
