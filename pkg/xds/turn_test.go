package xds

import (
	"testing"
	"time"
)

// The end of a turn that was due came late, and ended the next one of the same proxy.
func TestATurnEndsOnce(t *testing.T) {
	server := NewServer(Options{TurnTime: time.Hour})
	turns, s := &turns{}, newSession(server, "?", time.Now())
	turns.take(s)
	first := turns.taken[s]
	if !turns.over(s) || !turns.take(s) {
		t.Fatal("no second turn")
	}
	turns.expire(s, first)
	if turns.taken[s] == nil {
		t.Error("the second turn ended with the first")
	}
	turns.expire(s, turns.taken[s])
	if len(turns.taken) > 0 {
		t.Error("a turn did not end")
	}
}

// Who asks again while it waits does not wait twice, and who had its turn may wait again.
func TestAProxyWaitsForOneTurn(t *testing.T) {
	server := NewServer(Options{TurnTime: time.Hour})
	turns, first, s := &turns{}, newSession(server, "?", time.Now()), newSession(server, "?", time.Now())
	turns.take(first)
	for range 2 {
		for range 2 {
			if turns.take(s) || len(turns.queue) != 1 {
				t.Fatalf("%d wait", len(turns.queue))
			}
		}
		turns.over(first)
		turns.giveAway() // it has nothing to send, so that it gives its turn back
		if len(turns.queue)+len(turns.taken) > 0 || !turns.take(first) {
			t.Fatalf("%d wait, %d have a turn", len(turns.queue), len(turns.taken))
		}
	}
	turns.take(s)
	turns.leave(s)
	if len(turns.queue) > 0 {
		t.Error("who left waits")
	}
	turns.over(first)
}
