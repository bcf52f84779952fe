package protocols

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// mayGrow is how much more memory the proxy may use while bodies of any size go through, in MB.
const mayGrow = 64

// watchMemory looks at the memory of the proxy until the returned function is called, which fails the test if it grew by too much.
func watchMemory(t *testing.T, w *world) (stop func()) {
	t.Helper()
	first := resident(t, w.Proxies[0].PID())
	ctx, cancel := context.WithCancel(t.Context())
	peak := make(chan int, 1)
	go func() {
		top := first
		for poll.Pause(ctx, 20*time.Millisecond) == nil {
			top = max(top, resident(t, w.Proxies[0].PID()))
		}
		peak <- top
	}()
	return func() {
		cancel()
		top := <-peak
		t.Logf("%s: %d MB at first, %d MB at most, with bodies of %d MB", w.Proxies[0].Binary, first, top, large()>>20)
		if top-first > mayGrow {
			t.Errorf("the proxy grew from %d MB to %d MB; at most %d MB more are in order", first, top, mayGrow)
		}
	}
}

// resident is the memory of a process in MB.
func resident(t *testing.T, pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Error(err)
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kilobytes := 0
	if _, err := fmt.Sscan(rest, &kilobytes); err != nil {
		t.Error(err)
	}
	return kilobytes >> 10
}
