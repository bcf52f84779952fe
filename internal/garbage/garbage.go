// Package garbage collects it while nobody waits for anything: a collection takes half a core for some ten milliseconds, and a change that meets one reaches the last of a
// thousand proxies half as late again.
package garbage

import (
	"context"
	"runtime"
	"runtime/metrics"
	"time"
)

const (
	// looks are so long apart.
	looks = 50 * time.Millisecond
	// quietFor is how long nothing has happened when nobody waits: the proxies of a fleet that all answer do so closer to each other.
	quietFor = 50 * time.Millisecond
	// share of what may be allocated until Go collects by itself, from which on it is done before.
	share = 0.5
)

// Run collects garbage when much of it may be there and nothing has happened for a while, which quiet says, until ctx ends.
func Run(ctx context.Context, quiet func(time.Duration) bool) {
	tick := time.NewTicker(looks)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if quiet(quietFor) {
				collect()
			}
		}
	}
}

// collect collects garbage if much of it may be there, and says whether it did.
func collect() bool {
	sizes := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/goal:bytes"}}
	metrics.Read(sizes)
	now, live, goal := float64(sizes[0].Value.Uint64()), float64(sizes[1].Value.Uint64()), float64(sizes[2].Value.Uint64())
	if now-live < share*(goal-live) {
		return false
	}
	runtime.GC()
	return true
}
