package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/crossfade-proxy/crossfade/deploy/envoy"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// fleetAt starts a site whose proxies flush so often.
func (b *bench) fleetAt(ctx context.Context, proxies int, interval time.Duration) (*site, error) {
	s, err := b.site(ctx, proxies)
	if err != nil {
		return nil, err
	}
	if err := s.flush(ctx, interval); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// settled measures after an interval in which what was changed goes by.
func (s *site) settled(ctx context.Context, into *windows) error {
	if err := poll.Pause(ctx, s.interval); err != nil {
		return err
	}
	w, err := s.measure(ctx, s.b.windows)
	*into = append(*into, w)
	return err
}

// cost finds what statistics cost without and with rollouts, in turns.
func (b *bench) cost(ctx context.Context) error {
	s, err := b.fleetAt(ctx, b.proxies, b.interval)
	if err != nil {
		return err
	}
	defer s.close()
	var without, with windows
	err = inTurns(b.pairs, []func() error{
		func() error { return s.settled(ctx, &without) },
		func() error {
			if err := s.roll(ctx, b.rollouts); err != nil {
				return err
			}
			if err := s.settled(ctx, &with); err != nil {
				return err
			}
			return s.abort(ctx)
		},
	})
	b.lines("cost", without, versus{})
	b.lines("cost", with, versus{without, "no rollouts", 0})
	return errors.Join(err, b.exactly(ctx, s, "cost"))
}

// inTurns takes all turns so many times, every second time in the other order.
func inTurns(times int, turns []func() error) error {
	for range times {
		for _, turn := range turns {
			if err := turn(); err != nil {
				return err
			}
		}
		slices.Reverse(turns)
	}
	return nil
}

// byRate finds whether more requests cost more.
func (b *bench) byRate(ctx context.Context) error {
	s, err := b.fleetAt(ctx, min(b.proxies, b.rated.proxies), min(b.interval, b.rated.interval))
	if err != nil {
		return err
	}
	defer s.close()
	measured := make([]windows, len(b.rates))
	var turns []func() error
	for i, rate := range b.rates {
		turns = append(turns, func() error {
			if err := s.serve(ctx, Traffic{Rate: rate}); err != nil {
				return err
			}
			return s.settled(ctx, &measured[i])
		})
	}
	err = inTurns(b.pairs, turns)
	for i := range b.rates {
		v := versus{measured[0], fmt.Sprintf("%g requests/s", b.rates[0]), aimFlat}
		if i == 0 {
			v = versus{}
		}
		b.lines("rates", measured[i], v)
	}
	return errors.Join(err, b.exactly(ctx, s, "rates"))
}

// byInterval finds what flushing more or less often costs, with rollouts.
func (b *bench) byInterval(ctx context.Context) error {
	s, err := b.fleetAt(ctx, b.proxies, b.intervals[0].interval) // without flushes no rollout gets to where it bakes
	if err != nil {
		return err
	}
	defer s.close()
	for _, p := range b.intervals {
		if err = b.paced(ctx, s, p); err != nil {
			err = fmt.Errorf("at a flush of %v: %w", p.interval, err)
			break
		}
	}
	return errors.Join(err, b.exactly(ctx, s, "intervals"))
}

// paced measures at one interval: that which has aims as often as there are pairs. Its rollouts begin with the flushes of before: its own may be more than the
// machine can do.
func (b *bench) paced(ctx context.Context, s *site, p pace) error {
	if err := s.abort(ctx); err != nil {
		return err
	}
	s.interval, s.traffic.Both = p.interval, p.both
	if err := s.roll(ctx, b.rollouts); err != nil {
		return err
	}
	if err := s.flush(ctx, p.interval); err != nil {
		return err
	}
	times := 1
	if b.byDefault(p.interval, p.both) {
		times = b.pairs
	}
	var ws windows
	for range times {
		if err := s.settled(ctx, &ws); err != nil {
			return err
		}
		if n, _ := ws.spoilt(); n > 0 { // then more of them say no more
			break
		}
	}
	b.lines("intervals", ws, versus{})
	return nil
}

// byDefault says whether this is what proxies do unless told otherwise, under the load of the aims.
func (b *bench) byDefault(interval time.Duration, both bool) bool {
	return interval == envoy.DefaultFlushInterval && !both
}
