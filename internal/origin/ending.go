package origin

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// Drain ends the origin as a good application ends when it is told to (SIGTERM), and returns when it has ended. For the lame-duck time it
// serves what arrives, new connections included, and with each answer asks the client to leave: HTTP/1.1 by Connection: close, HTTP/2 by
// GOAWAY. Then it does as [Origin.Shutdown], and ends as by [Origin.Close].
//
// The end of ctx is the kill (SIGKILL): whatever is still in flight is cut, and the error says how much that was. Two other ways to end are
// Drain without lame-duck time, which stops accepting at once, and Close, which is an application that exits at SIGTERM.
func (o *Origin) Drain(ctx context.Context, lameDuck time.Duration) error {
	o.leaving.Store(true)
	timer := time.NewTimer(lameDuck)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-o.ending: // closed by somebody else
	}
	return o.Shutdown(ctx)
}

// Shutdown accepts no connection any more, closes those that are idle, lets the others finish what is in flight, and then closes the
// origin. The end of ctx cuts them, which is an error.
func (o *Origin) Shutdown(ctx context.Context) error {
	defer o.Close()
	o.leaving.Store(true)
	o.shut()
	if err := o.h2.server.Shutdown(ctx); err != nil {
		return o.killed(err)
	}
	err := poll.Until(ctx, 5*time.Millisecond, poll.True(func() bool { return o.Connections() == 0 }))
	if err != nil {
		return o.killed(ctx.Err())
	}
	return nil
}

// killed is an error if there was something to kill.
func (o *Origin) killed(err error) error {
	if n := o.InFlight(); n > 0 {
		return fmt.Errorf("origin %s: %w: killed with %d requests in flight", o.name, err, n)
	}
	return nil
}

// shut closes the door and the HTTP/1 connections on which nothing is in flight.
func (o *Origin) shut() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended || o.shutting.Load() {
		return
	}
	o.shutting.Store(true)
	o.door.close()
	o.door = noDoor{}
	for c, use := range o.conns {
		if use.begin() {
			_ = c.Close()
		}
	}
}

// use says whether a connection is in use. Whoever begins a use, a request or the end of the connection, may go on alone.
type use struct{ busy atomic.Bool }

// begin is false if somebody else has begun.
func (u *use) begin() bool { return u.busy.CompareAndSwap(false, true) }

func (u *use) end() { u.busy.Store(false) }

// conns are open connections.
type conns map[net.Conn]*use
