package translate_test

import (
	"context"
	"math/big"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// load asks all the time, on some connections that stay and on new ones.
type load struct {
	t      *testing.T
	stop   context.CancelFunc
	all    sync.WaitGroup
	asked  atomic.Int64
	opened atomic.Int64
	shown  atomic.Pointer[big.Int] // the certificate that the last new connection was shown
}

// loadOn starts it. Whatever fails fails the test.
func loadOn(t *testing.T, connect func() (*connection, error)) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{t: t, stop: cancel}
	t.Cleanup(func() { l.end() })
	for range 4 {
		l.all.Go(func() {
			c := l.open(connect)
			for c != nil && ctx.Err() == nil && l.ask(c) && poll.Pause(ctx, 2*time.Millisecond) == nil {
			}
		})
	}
	for range 2 {
		l.all.Go(func() {
			for ctx.Err() == nil {
				c := l.open(connect)
				if c == nil || !l.ask(c) {
					return
				}
				l.shown.Store(c.shown())
				c.Close()
				_ = poll.Pause(ctx, 5*time.Millisecond)
			}
		})
	}
	return l
}

func (l *load) open(connect func() (*connection, error)) *connection {
	c, err := connect()
	if err != nil {
		l.t.Errorf("a connection failed: %v", err)
		return nil
	}
	l.opened.Add(1)
	return c
}

func (l *load) ask(c *connection) bool {
	status, body, err := c.ask()
	if l.asked.Add(1); err != nil || status != 200 {
		l.t.Errorf("a request failed: %d %q %v", status, body, err)
		return false
	}
	return true
}

func (l *load) end() {
	l.stop()
	l.all.Wait()
	l.t.Logf("%d requests on %d connections", l.asked.Load(), l.opened.Load())
}
