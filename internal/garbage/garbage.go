// Package garbage collects it while nobody waits for anything: a collection takes half a core for some ten milliseconds, and a change that meets one reaches the last of a
// thousand proxies half as late again.
package garbage

import (
	"context"
	"runtime"
	"runtime/metrics"
	"time"
)

// Run looks so often whether it is quiet, and collects then, until ctx ends.
func Run(ctx context.Context, every time.Duration, quiet func() bool) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if quiet() {
				Collect()
			}
		}
	}
}

// share of what may be allocated until Go collects by itself, from which on it is done before.
const share = 0.5

// Collect collects garbage if much of it may be there, and says whether it did.
func Collect() bool {
	sizes := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/goal:bytes"}}
	metrics.Read(sizes)
	now, live, goal := float64(sizes[0].Value.Uint64()), float64(sizes[1].Value.Uint64()), float64(sizes[2].Value.Uint64())
	if now-live < share*(goal-live) {
		return false
	}
	runtime.GC()
	return true
}
