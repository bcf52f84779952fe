package main

import (
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"

	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// How often lines are written of what changes all the time.
const (
	verdictPause = 2 * time.Second  // between lines of which only the verdict is new
	patience     = 5 * time.Second  // a state that lasts for so long is explained
	waitsPause   = 30 * time.Second // between two explanations
)

// rolloutLines tells in lines how a rollout goes on, for logs: a change at once, but a verdict that swings, or what it waits for, not with each look. What
// is due while nothing comes from the server is written by a timer, so [rolloutLines.close] has to be called.
type rolloutLines struct {
	app *app

	mu     sync.Mutex
	closed bool
	timer  *time.Timer // nil: nothing is due

	st        *crossfadev1.RolloutStatus // the last one
	place     string                     // of the last line: state, step, weight and reason
	since     time.Time                  // when that was written
	verdict   string                     // of the last line
	verdictAt time.Time
	waits     string // what the state was last said to wait for, without its numbers
	waitsAt   time.Time
}

// see tells what is new in a status, and what has become due.
func (l *rolloutLines) see(at *timestamppb.Timestamp, st *crossfadev1.RolloutStatus) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.st = st
	return l.tell(at)
}

// close ends the timer.
func (l *rolloutLines) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
}

func (l *rolloutLines) tell(at *timestamppb.Timestamp) error {
	now, st := l.app.now(), l.st
	place, verdict, reason := rolloutPlace(st), verdictNow(st), ""
	switch {
	case place != l.place:
		reason, l.place, l.since, l.waits = st.GetReason(), place, now, ""
	case verdict != l.verdict && now.Sub(l.verdictAt) >= verdictPause:
		reason = verdictReason(st)
	default:
		return l.explain(at, now)
	}
	l.verdict, l.verdictAt = verdict, now
	line := fmt.Sprintf("%s  %s  step %s  %s %s  %s  %s", st.GetName(), st.GetState(), position(st), st.GetTo(), weightWords(st.GetWeight()), dash(verdict), reason)
	if err := l.app.showEvent(kindRollout, at, nil, func() string { return line }); err != nil {
		return err
	}
	return l.explain(at, now)
}

// explain says what a state that lasts waits for, and sets the timer to what is due next.
func (l *rolloutLines) explain(at *timestamppb.Timestamp, now time.Time) error {
	var next time.Time
	if verdictNow(l.st) != l.verdict {
		next = l.verdictAt.Add(verdictPause)
	}
	if kind := withoutNumbers(l.st.GetWaitingFor()); kind != l.waits && !over(l.st) {
		due := l.since.Add(patience)
		if again := l.waitsAt.Add(waitsPause); !l.waitsAt.IsZero() && again.After(due) {
			due = again
		}
		if !now.Before(due) {
			l.waits, l.waitsAt = kind, now
			return l.app.showEvent(kindRollout, at, nil, func() string { return l.st.GetName() + "  " + itWords(l.st) })
		}
		if next.IsZero() || due.Before(next) {
			next = due
		}
	}
	l.wake(now, next)
	return nil
}

// wake sets the timer; the zero time: nothing is due.
func (l *rolloutLines) wake(now, due time.Time) {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if due.IsZero() || l.closed {
		return
	}
	l.timer = time.AfterFunc(due.Sub(now), func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.closed {
			_ = l.tell(timestamppb.New(l.app.now())) // an output that is broken ends the watch with the next status
		}
	})
}

// rolloutPlace is what makes a line of its own when it changes.
func rolloutPlace(st *crossfadev1.RolloutStatus) string {
	return fmt.Sprintf("%s %d %d %s", st.GetState(), st.GetStep(), st.GetWeight(), st.GetReason())
}

// withoutNumbers is what stays of a sentence while it counts: "needs 3m20s more" and "needs 3m19s more" are the same.
func withoutNumbers(text string) string {
	words := strings.Fields(text)
	for i, w := range words {
		if strings.ContainsFunc(w, unicode.IsDigit) {
			words[i] = "#"
		}
	}
	return strings.Join(words, " ")
}

// verdictReason says why the guards together have their verdict.
func verdictReason(st *crossfadev1.RolloutStatus) string {
	if st.GetVerdict() == verdictPass {
		return "every guard passes"
	}
	for _, g := range st.GetGuards() {
		if g.GetVerdict() == st.GetVerdict() && g.GetMessage() != "" {
			return g.GetName() + ": " + why(g)
		}
	}
	return "nothing was seen yet"
}

// itWords is what a rollout waits for as a sentence: mostly what it does, else what others do.
func itWords(st *crossfadev1.RolloutStatus) string {
	waits := st.GetWaitingFor()
	switch verb, _, _ := strings.Cut(waits, " "); verb {
	case "is", "waits", "stays", "sets", "bakes", "goes":
		return "it " + waits
	}
	return waits
}

// requestsWords is "1 request", "1,000 requests".
func requestsWords(number string) string {
	if number == "1" {
		return "1 request"
	}
	return number + " requests"
}
