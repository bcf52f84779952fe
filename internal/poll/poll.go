// Package poll waits for what can only be asked, not awaited: the state of another process, and time itself. Where an event can be awaited, await it.
package poll

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errNotYet stands for a condition that was false without a reason.
var errNotYet = errors.New("not yet")

// Until asks cond at once and then at each interval, until it returns nil or ctx ends; then the error holds what cond said last.
func Until(ctx context.Context, every time.Duration, cond func(context.Context) error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	last := errNotYet
	for {
		err := cond(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err // an error caused by the end of ctx says nothing
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), last)
		case <-tick.C:
		}
	}
}

// True makes a condition of [Until] out of one that is only true or false.
func True(cond func() bool) func(context.Context) error {
	return func(context.Context) error {
		if cond() {
			return nil
		}
		return errNotYet
	}
}

// Pause lets time pass that is itself part of what is done, unless ctx ends: then it returns that error.
func Pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
