package telemetry

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
)

// Watch is what clients saw of some origins of a service, each request once, as windows for guards. Its methods may be called from several
// goroutines.
type Watch struct {
	telemetry *Telemetry
	service   string
	origins   []string
	fleets    []*fleet
	notify    chan struct{}

	again atomic.Bool // see [Options.Retried]

	mu      sync.Mutex
	last    time.Time
	tallies []tally // by index of origins
}

// Watch begins to watch origins of a service in all fleets that serve it, from now on; end it with [Watch.Close]. What a proxy counted in the
// interval of its metrics in which the watch began belongs to it as a whole. Load reports are asked for as far as lanes are free, for the first
// origin of a watch before the others; without them all is as right, and up to a flush interval later.
func (t *Telemetry) Watch(service string, fleets []string, origins ...string) *Watch {
	w := &Watch{
		telemetry: t, service: service, origins: origins, notify: make(chan struct{}, 1), last: t.now(), tallies: make([]tally, len(origins)),
	}
	w.again.Store(t.retried(service))
	for _, name := range fleets {
		if f := t.fleet(name); !slices.Contains(w.fleets, f) {
			w.fleets = append(w.fleets, f)
		}
	}
	for _, f := range w.fleets {
		f.mu.Lock()
		for i, origin := range origins {
			f.tap(policy.ClusterName(service, origin)).join(w, i)
		}
		t.attendAll(f)
		f.mu.Unlock()
	}
	return w
}

// Close ends the watch. What was counted may still be read.
func (w *Watch) Close() {
	for _, f := range w.fleets {
		f.mu.Lock()
		for _, origin := range w.origins {
			f.leave(policy.ClusterName(w.service, origin), w)
		}
		w.telemetry.attendAll(f)
		f.mu.Unlock()
	}
}

// Changed is signalled when something was counted.
func (w *Watch) Changed() <-chan struct{} { return w.notify }

// Reporting is how many proxies of the fleets report, and how many are connected and do not. It may be a tenth of a second old.
func (w *Watch) Reporting(now time.Time) (reporting, silent int) {
	for _, f := range w.fleets {
		f.mu.Lock()
		r, s := f.count(now)
		f.mu.Unlock()
		reporting, silent = reporting+r, silent+s
	}
	return reporting, silent
}

// Read returns what was counted at each origin since the last Read, or since the watch began, in their order. Requests that failed are in Failed,
// however they did: as they are known first, kinds are not.
func (w *Watch) Read(now time.Time) []guard.Window {
	w.follow(w.telemetry.retried(w.service))
	_, silent := w.Reporting(now)
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]guard.Window, len(w.origins))
	for i := range w.tallies {
		out[i] = w.tallies[i].take()
		out[i].Length, out[i].Silent = max(0, now.Sub(w.last)), silent
	}
	w.last = now
	return out
}

// follow notes whether proxies try requests of the service again.
func (w *Watch) follow(again bool) {
	if w.again.Swap(again) == again {
		return
	}
	for _, f := range w.fleets {
		f.mu.Lock()
		w.telemetry.attendAll(f)
		f.mu.Unlock()
	}
}

// counted adds requests of an origin.
func (w *Watch) counted(origin int, n credit) {
	w.mu.Lock()
	w.tallies[origin].counted(n)
	w.mu.Unlock()
	w.changed()
}

// timed adds the packed counts of a histogram of an origin.
func (w *Watch) timed(origin int, e *edges, counts []byte) {
	w.mu.Lock()
	w.tallies[origin].timed(e, counts)
	w.mu.Unlock()
	w.changed()
}

func (w *Watch) changed() {
	select {
	case w.notify <- struct{}{}:
	default:
	}
}

// retried is [Options.Retried]; no service is, if nobody says.
func (t *Telemetry) retried(service string) bool { return t.tryAgain != nil && t.tryAgain(service) }
