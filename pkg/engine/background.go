package engine

import (
	"context"
	"strings"
	"time"
)

// Waits between tries.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 5 * time.Second
	firstAsk   = time.Second // of webhooks
	lastAsk    = time.Minute
)

// retry says when something that failed may be tried again.
type retry struct {
	wait  time.Duration
	after time.Time
	err   error
}

func (r *retry) due() bool { return !time.Now().Before(r.after) }

// note notes how a try ended.
func (r *retry) note(err error) { r.noteWithin(err, firstRetry, lastRetry) }

func (r *retry) noteWithin(err error, first, last time.Duration) {
	r.err = err
	if err == nil {
		*r = retry{}
		return
	}
	r.wait = min(max(2*r.wait, first), last)
	r.after = time.Now().Add(r.wait)
}

// work is one kind of thing that is done in the background, one at a time.
type work struct {
	busy bool
	id   string
	retry
}

// do begins to do something that is asked for again and again, unless it is being done, or failed a moment ago. then is called by the walker.
func (k *work) do(w *walker, id string, f func(ctx context.Context) error, then func(error)) {
	if id != k.id {
		k.id, k.retry = id, retry{}
	}
	if k.busy || !k.due() {
		return
	}
	k.busy = true
	w.background(func(ctx context.Context) func() {
		err := f(ctx)
		return func() {
			k.busy = false
			if then == nil {
				k.note(err)
				return
			}
			k.noteWithin(err, firstAsk, lastAsk)
			then(err)
		}
	})
}

// withoutName takes a guard's name from the beginning of what it says.
func withoutName(message, name string) string { return strings.TrimPrefix(message, name+": ") }
