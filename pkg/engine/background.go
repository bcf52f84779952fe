package engine

import (
	"context"
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
	if err == nil {
		*r = retry{}
		return
	}
	r.err, r.wait = err, min(max(2*r.wait, first), last)
	r.after = time.Now().Add(r.wait)
}

// background does work beside the looks. What it returns is called by the walker; when that ends meanwhile, it is called as the last thing, or left.
func (w *walker) background(f func(ctx context.Context) (then func())) {
	if w.ctx.Err() != nil {
		return
	}
	w.work.Go(func() {
		then := f(w.ctx)
		select {
		case w.news <- then:
			return
		default:
		}
		select {
		case w.news <- then:
		case <-w.ctx.Done():
		}
	})
}

// join waits for what is done in the background. The walker's context has ended.
func (w *walker) join() {
	w.work.Wait()
	for {
		select {
		case then := <-w.news:
			then()
		default:
			return
		}
	}
}
