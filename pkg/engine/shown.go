package engine

import (
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// Status is how a rollout is; nil if it is not known. It is not changed any more.
func (e *Engine) Status(name string) *crossfadev1.RolloutStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.shown[name]
}

// told is how a rollout is, for a webhook: without what happened before.
func (e *Engine) told(name string) *crossfadev1.RolloutStatus {
	st := proto.CloneOf(e.Status(name))
	if st != nil {
		st.Notes = nil
	}
	return st
}

// Changed is closed when a rollout is otherwise than it was; of one that is not known, when any becomes known.
func (e *Engine) Changed(name string) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.shown[name] == nil {
		return e.another
	}
	if e.changed[name] == nil {
		e.changed[name] = make(chan struct{})
	}
	return e.changed[name]
}

// show publishes how a rollout is. e.mu is held.
func (e *Engine) show(name string, st *crossfadev1.RolloutStatus) {
	if e.shown[name] == nil {
		close(e.another)
		e.another = make(chan struct{})
	}
	e.shown[name] = st
	e.signal(name)
}

// signal wakes who waits for a change. e.mu is held.
func (e *Engine) signal(name string) {
	if c := e.changed[name]; c != nil {
		close(c)
		delete(e.changed, name)
	}
}

// attendance is who waits for the end of a rollout.
type attendance struct {
	present int
	since   time.Time // when the last one left
}

// Attend says that somebody waits for the end of a rollout, until leave is called.
func (e *Engine) Attend(name string) (leave func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := e.waiting[name]
	if a == nil {
		a = &attendance{}
		e.waiting[name] = a
	}
	a.present++
	return sync.OnceFunc(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		a.present--
		a.since = time.Now()
		e.unattended(name)
	})
}

// unattended forgets who waited for a rollout that is not walked. e.mu is held.
func (e *Engine) unattended(name string) {
	if a := e.waiting[name]; a != nil && a.present == 0 && e.walkers[name] == nil {
		delete(e.waiting, name)
	}
}

// alone is for how long nobody has waited for a rollout that is walked since begun.
func (e *Engine) alone(name string, begun, now time.Time) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := e.waiting[name]
	switch {
	case a == nil:
	case a.present > 0:
		return 0
	case a.since.After(begun):
		begun = a.since
	}
	return now.Sub(begun)
}
