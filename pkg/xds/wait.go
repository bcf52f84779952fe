package xds

import (
	"slices"
	"sync"
	"time"
)

// Waiter follows one publication through a fleet.
type Waiter struct {
	fleet      *Fleet
	seq        int64
	was, is    *config // what the fleet should have before and since
	leversOnly bool
	decides    []string // services, see [Update].Decides

	began    time.Time
	mu       sync.Mutex
	behind   map[*session]bool
	acks     map[string]time.Duration // proxy → when it acknowledged, after the waiter began
	partial  map[string]bool          // proxies that have all but what they refused
	refusals []Refusal
	done     chan struct{}
	refused  chan struct{}
	changed  chan struct{}
}

// maxRefusals bounds what a waiter keeps: it may live for hours, and a proxy may refuse the same with each of its streams.
const maxRefusals = 256

// follow makes a waiter for a publication. The fleet's lock is held, so that no session comes in between; requests of those that there are go on,
// and one that was removed before may be gone only now. So all are behind until they are looked at: nothing is concluded before the last of them.
func (f *Fleet) follow(was, is *config, leversOnly bool, decides []string) *Waiter {
	sessions := f.sessions()
	w := &Waiter{
		fleet: f, seq: is.seq, was: was, is: is, leversOnly: leversOnly, decides: decides,
		behind: make(map[*session]bool, len(sessions)), acks: make(map[string]time.Duration, len(sessions)), partial: map[string]bool{}, began: f.server.now(),
		done: make(chan struct{}), refused: make(chan struct{}), changed: make(chan struct{}, 1),
	}
	for _, s := range sessions {
		w.behind[s] = true
	}
	f.waitMu.Lock()
	f.waiters[w] = true
	f.waitMu.Unlock()
	for _, s := range sessions {
		s.mu.Lock()
		w.mu.Lock()
		if w.behind[s] && w.note(s, w.began) {
			delete(w.behind, s)
		}
		w.mu.Unlock()
		s.mu.Unlock()
	}
	w.mu.Lock()
	w.finish()
	w.mu.Unlock()
	return w
}

// Done is closed when every connected proxy has it, or all of it but what it refused. Those that connect later are followed too, but do not open it again.
func (w *Waiter) Done() <-chan struct{} { return w.done }

// Refused is closed when a proxy refused, at this publication or a later one, a resource that this one changed.
func (w *Waiter) Refused() <-chan struct{} { return w.refused }

// Changed is signalled when a proxy acknowledged; several signals may be one.
func (w *Waiter) Changed() <-chan struct{} { return w.changed }

// Acks returns when each proxy acknowledged.
func (w *Waiter) Acks() map[string]time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make(map[string]time.Time, len(w.acks))
	for proxy, after := range w.acks {
		out[proxy] = w.began.Add(after)
	}
	return out
}

// Partial returns the proxies that have all but what they refused, of this publication or of one before.
func (w *Waiter) Partial() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return sortedKeys(w.partial)
}

// Refusals returns what was refused so far: of each proxy, each resource once, and not more than 256.
func (w *Waiter) Refusals() []Refusal {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.refusals)
}

// Pending returns the proxies that are not there yet.
func (w *Waiter) Pending() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := []string{}
	for s := range w.behind {
		out = append(out, s.proxy.id)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Close ends the following.
func (w *Waiter) Close() {
	w.fleet.waitMu.Lock()
	defer w.fleet.waitMu.Unlock()
	delete(w.fleet.waiters, w)
}

// finish closes done when nobody is behind. w.mu is held.
func (w *Waiter) finish() {
	if len(w.behind) > 0 {
		return
	}
	select {
	case <-w.done:
	default:
		close(w.done)
	}
}

// note takes what a session has, and says whether there is nothing more to wait for. The locks of both are held.
func (w *Waiter) note(s *session, now time.Time) bool {
	switch {
	case s.held != "":
		if !s.decided.has(w.decides, w.seq) {
			return false
		}
		w.acks[s.proxy.id] = now.Sub(w.began)
	case s.acked.seq >= w.seq, w.leversOnly && s.levered() >= w.seq:
		w.acks[s.proxy.id] = now.Sub(w.began)
	case s.parking && s.tried.seq >= w.seq:
		w.partial[s.proxy.id] = true
	default:
		return false
	}
	return true
}

func (w *Waiter) reached(s *session, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.behind[s] && w.note(s, now) {
		delete(w.behind, s)
		select {
		case w.changed <- struct{}{}:
		default:
		}
		w.finish()
	}
}

// joined follows a session that came after the publication. If its proxy was there before and lost its stream, what counts is what it
// acknowledges on the new one.
func (w *Waiter) joined(s *session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.acks, s.proxy.id)
	delete(w.partial, s.proxy.id)
	w.behind[s] = true
}

func (w *Waiter) gone(s *session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.behind, s)
	w.finish()
}

func (w *Waiter) refusal(r *Refusal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.seq < w.seq || !r.changedIn(w.was, w.is) || len(w.refusals) >= maxRefusals || slices.ContainsFunc(w.refusals, r.again) {
		return
	}
	w.refusals = append(w.refusals, *r)
	if len(w.refusals) == 1 {
		close(w.refused)
	}
}

// ackedUp tells the waiters of a session's progress. The session's lock is held.
func (f *Fleet) ackedUp(s *session) {
	f.waitMu.Lock()
	defer f.waitMu.Unlock()
	if len(f.waiters) == 0 {
		return
	}
	now := f.server.now()
	for w := range f.waiters {
		w.reached(s, now)
	}
}

// refusedUp tells the waiters of a refusal: before they can hear that the proxy has all the rest. The session's lock is held.
func (f *Fleet) refusedUp(r *Refusal) {
	f.waitMu.Lock()
	defer f.waitMu.Unlock()
	for w := range f.waiters {
		w.refusal(r)
	}
}

// nacks counts.
func (f *Fleet) nacks(k kind) {
	if f.server.onNack != nil {
		f.server.onNack(f.name, k.String())
	}
}
