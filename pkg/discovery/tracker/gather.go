package tracker

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// Gather is how long changes are gathered after others were told.
const Gather = 20 * time.Millisecond

// gatherer tells keys to a function, from one goroutine: the first at once, and those that come soon after together.
type gatherer struct {
	tell func([]Key)   // nil: nobody wants to know
	wake chan struct{} // holds one: there may be something to tell

	mu     sync.Mutex
	keys   map[Key]struct{}
	urgent bool // one of them must not wait
}

func newGatherer(tell func([]Key)) *gatherer {
	return &gatherer{tell: tell, wake: make(chan struct{}, 1), keys: map[Key]struct{}{}}
}

// add adds a key to those that will be told. It does not block.
func (g *gatherer) add(k Key, urgent bool) {
	if g.tell == nil {
		return
	}
	g.mu.Lock()
	g.keys[k] = struct{}{}
	g.urgent = g.urgent || urgent
	g.mu.Unlock()
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// run tells keys until ctx ends.
func (g *gatherer) run(ctx context.Context) {
	rest := time.NewTimer(0)
	defer rest.Stop()
	for resting := true; ; {
		select {
		case <-ctx.Done():
			return
		case <-g.wake:
		case <-rest.C:
			resting = false
		}
		if keys := g.take(resting); len(keys) > 0 {
			g.tell(keys)
			rest.Reset(Gather)
			resting = true
		}
	}
}

// take returns what is to be told now; while it rests, only if that must not wait.
func (g *gatherer) take(resting bool) []Key {
	g.mu.Lock()
	defer g.mu.Unlock()
	if resting && !g.urgent {
		return nil
	}
	keys := slices.SortedFunc(maps.Keys(g.keys), compareKeys)
	clear(g.keys)
	g.urgent = false
	return keys
}

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Origin, b.Origin))
}
