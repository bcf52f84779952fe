package xds

import (
	"slices"
	"sync"
	"time"
)

// turns spread a change of routes over the proxies of a fleet. Envoy's main thread makes its whole table anew for it, 10 ms and more for 200
// virtual hosts, and takes no levers meanwhile: so only a part of a fleet is at it at a time, and a rollback finds the others free. A proxy
// that does not answer gives its turn back after a while, and holds nobody up.
//
// While a turn is free and somebody waits, a goroutine is about to call [turns.giveAway], or in it; or a session that came has made the share larger, and
// somebody has a turn, which ends.
type turns struct {
	mu       sync.Mutex
	sessions int // of the fleet
	taken    map[*session]*turn
	queue    []*session // each once: it is queued
}

// turn is one that a session has: it may have another one when the end of this is due.
type turn struct{ timeout *time.Timer }

// turnShare says which part of a fleet has a turn at a time: one in so many, and at least one.
const turnShare = 4

// DefaultTurnTime is after how long without an answer a turn ends: far more than an Envoy needs, unless it hangs.
const DefaultTurnTime = 250 * time.Millisecond

func (t *turns) free() bool { return len(t.taken) < max(1, t.sessions/turnShare) }

// take says whether a session has a turn. If not, it waits for one, and is stepped when it has it.
func (t *turns) take(s *session) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.taken[s] != nil:
		return true
	case t.free() && len(t.queue) == 0:
		t.give(s)
		return true
	case !s.queued:
		t.queue, s.queued = append(t.queue, s), true
	}
	return false
}

// give gives a session a turn. t.mu is held.
func (t *turns) give(s *session) *turn {
	if t.taken == nil {
		t.taken = map[*session]*turn{}
	}
	its := &turn{}
	its.timeout = time.AfterFunc(s.server.turnTime, func() { t.expire(s, its) })
	t.taken[s] = its
	return its
}

// expire ends a turn that took too long, and gives it to those that wait. No session's lock is held.
func (t *turns) expire(s *session, its *turn) {
	t.mu.Lock()
	ended := t.end(s, its)
	t.mu.Unlock()
	if ended {
		t.giveAway()
	}
}

// over ends the turn of a session that has answered, before it asks for another one: that goes behind those that wait. [turns.giveAway] has to follow.
func (t *turns) over(s *session) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.end(s, t.taken[s])
}

// giveAway gives free turns to those that wait. No session's lock is held.
func (t *turns) giveAway() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.queue) > 0 && t.free() {
		next := t.queue[0]
		t.queue, next.queued = t.queue[1:], false
		its := t.give(next)
		t.mu.Unlock()
		used := next.takeTurn()
		t.mu.Lock()
		if !used {
			t.end(next, its)
		}
	}
}

// end ends a turn, if it has not ended. t.mu is held.
func (t *turns) end(s *session, its *turn) bool {
	if its == nil || t.taken[s] != its {
		return false
	}
	its.timeout.Stop()
	delete(t.taken, s)
	return true
}

// join and leave count the sessions of the fleet.
func (t *turns) join() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sessions++
}

func (t *turns) leave(s *session) {
	t.mu.Lock()
	t.sessions--
	if s.queued {
		t.queue, s.queued = slices.DeleteFunc(t.queue, func(w *session) bool { return w == s }), false
	}
	t.mu.Unlock()
	if t.over(s) {
		t.giveAway()
	}
}

// takeTurn steps a session that has a turn, and says whether it uses it.
func (s *session) takeTurn() bool {
	s.step()
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.ended && s.kinds[virtualHosts].sent != nil
}

// waitsForTurn says whether virtual hosts wait because other proxies of the fleet are at theirs. A proxy that serves nobody yet does not wait,
// nor one whose weights travel in them.
func (s *session) waitsForTurn() bool {
	state := &s.kinds[virtualHosts]
	if !s.complete || !state.asked || s.incompatible() {
		return false
	}
	return !s.fleet.turns.take(s)
}
