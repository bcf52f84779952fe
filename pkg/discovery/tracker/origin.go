package tracker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

const (
	// firstPause is how long a watch that ended on its own is left alone at first, at most; longestPause, after it ended again and again.
	firstPause   = 250 * time.Millisecond
	longestPause = 30 * time.Second
)

// origin is what is known of one.
type origin struct {
	key Key

	mu       sync.Mutex
	run      *run   // nil once it is forgotten
	source   string // that is watched
	set      discovery.Set
	from     string // the source that named the endpoints; empty if none did
	restored bool   // the endpoints are those of the note
	version  int    // of the endpoints, as far as proxies and the note are concerned
}

// run is a source that is watched.
type run struct {
	source string
	cancel context.CancelFunc
	looked chan struct{} // closed with the first look, and at the end
	told   bool          // looked is closed; guarded by the origin's lock
}

// restart makes a set that was named by one source the seed for another, which may be the same. The caller holds o.mu.
func (o *origin) restart(set discovery.Set, from, source string) {
	if o.set, o.from = set.Renew(), from; from != source {
		o.set = set.Inherit()
	}
	o.version++
}

// end ends the watch, without waiting for it. The caller holds o.mu.
func (o *origin) end() {
	if r := o.run; r != nil {
		r.cancel()
		r.wake()
		o.run = nil
	}
}

// wake wakes who waits for the first look. The caller holds the origin's lock.
func (r *run) wake() {
	if !r.told {
		r.told = true
		close(r.looked)
	}
}

// watch watches a source until ctx ends, however often its watch ends on its own.
func (t *Tracker) watch(ctx context.Context, o *origin, r *run, watch Watch) {
	pause := firstPause
	for {
		began := time.Now()
		err := watch(ctx, func(l discovery.Look) { t.take(o, r, l) })
		if ctx.Err() != nil {
			return
		}
		t.take(o, r, discovery.Look{At: t.now(), Err: ended(r.source, err)})
		if time.Since(began) >= longestPause {
			pause = firstPause
		}
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		pause = min(2*pause, longestPause)
	}
}

// ended says why a watch ended.
func ended(source string, err error) error {
	if err != nil {
		return err
	}
	return &policy.Error{
		Kind: policy.Internal, Code: "discovery_ended",
		Message: fmt.Sprintf("the watch of %s ended without a reason; it is begun again", source),
	}
}

// take takes a look, unless its watch is not the present one.
func (t *Tracker) take(o *origin, r *run, l discovery.Look) {
	o.mu.Lock()
	if o.run != r {
		o.mu.Unlock()
		return
	}
	was := o.set
	is := was.Take(l, t.rules)
	o.set = is
	if o.from != r.source && is.Known() && !is.Inherited() {
		o.from = r.source
		t.note.touch()
	}
	o.restored = o.restored && !is.Known()
	r.wake()
	t.tell(o, was, false)
	o.mu.Unlock()
	t.report(o.key, r.source, was, is) // a log that is slow holds up this source only
}

// tell tells whom it concerns that a set became another. The caller holds o.mu.
func (t *Tracker) tell(o *origin, was discovery.Set, followed bool) {
	same := discovery.SameEndpoints(was, o.set)
	if !same {
		o.version++
		t.note.touch()
	}
	if !same || len(o.set.Endpoints()) == 0 && was.Known() != o.set.Known() {
		t.changed.add(o.key, discovery.Withdraws(was, o.set))
	}
	if followed || !sameStatus(was, o.set) {
		t.status.add(o.key, false)
	}
}
