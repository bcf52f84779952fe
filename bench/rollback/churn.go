package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/monotime"
)

// churn changes the neighbours of the measured service through the API: 50 times per second the endpoints of one, once per second
// the routes of one. An endpoint change adds a second address to eks or takes it away.
type churn struct {
	c          crossfade
	neighbours int
	ecs, eks   string
	spare      string // the second address

	began             time.Duration
	endpoints, routes atomic.Int64
	failed            atomic.Int64
	lastErr           atomic.Value
	cancel            context.CancelFunc
	done              sync.WaitGroup
}

const (
	endpointChanges = 50 // per second
	routeChanges    = 1  // per second
	callsAtOnce     = 16 // calls under way
)

func startChurn(ctx context.Context, c crossfade, l *lab, neighbours int, spare string) *churn {
	ctx, cancel := context.WithCancel(ctx)
	ch := &churn{c: c, neighbours: neighbours, ecs: l.ecs.Addr(), eks: l.eks.Addr(), spare: spare, cancel: cancel, began: monotime.Now()}
	ch.done.Go(func() { ch.run(ctx) })
	return ch
}

func (ch *churn) run(ctx context.Context) {
	tick := time.NewTicker(time.Second / endpointChanges)
	defer tick.Stop()
	slots := make(chan struct{}, callsAtOnce)
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		ch.start(ctx, slots, &ch.endpoints, ch.endpointChange(i))
		if every := endpointChanges / routeChanges; i%every == every-1 {
			ch.start(ctx, slots, &ch.routes, ch.routeChange(i/every))
		}
	}
}

// endpointChange is the i-th: over the neighbours in turn, adding in one round and removing in the next.
func (ch *churn) endpointChange(i int) *crossfadev1.Service {
	s := neighbourService(i%ch.neighbours, ch.ecs, ch.eks)
	if (i/ch.neighbours)%2 == 0 {
		s.Origins[1] = originOf(oldName, []string{ch.eks, ch.spare})
	}
	return s
}

func (ch *churn) routeChange(i int) *crossfadev1.Service {
	return withIdle(neighbourService(i%ch.neighbours, ch.ecs, ch.eks), 61+int64(i)%1000)
}

// start makes a call unless too many are under way; those that do not get a slot in time are not made, and show in the rate.
func (ch *churn) start(ctx context.Context, slots chan struct{}, count *atomic.Int64, s *crossfadev1.Service) {
	select {
	case slots <- struct{}{}:
	default:
		return
	}
	ch.done.Go(func() {
		defer func() { <-slots }()
		err := ch.c.apply(ctx, crossfadev1.Wait_WAIT_NONE, s)
		switch {
		case err == nil:
			count.Add(1)
		case ctx.Err() == nil:
			ch.failed.Add(1)
			ch.lastErr.Store(err)
		}
	})
}

// stop ends the changes and returns how long they went on.
func (ch *churn) stop() (seconds float64) {
	ended := monotime.Now()
	ch.cancel()
	ch.done.Wait()
	return (ended - ch.began).Seconds()
}
