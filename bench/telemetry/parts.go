package main

import (
	"context"
	"fmt"
	"slices"
	"time"

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
	turns := []func() error{
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
	}
	for range b.pairs {
		for _, turn := range turns {
			if err := turn(); err != nil {
				return err
			}
		}
		slices.Reverse(turns)
	}
	b.lines("cost", without, versus{})
	b.lines("cost", with, versus{without, "no rollouts", 0})
	return b.exactly(ctx, s, "cost")
}

// byRate finds whether more requests cost more.
func (b *bench) byRate(ctx context.Context) error {
	s, err := b.fleetAt(ctx, b.proxies, b.interval)
	if err != nil {
		return err
	}
	defer s.close()
	measured := make([]windows, len(b.rates))
	order := make([]int, len(b.rates))
	for i := range order {
		order[i] = i
	}
	for range b.pairs {
		for _, i := range order {
			if err := s.serve(ctx, Traffic{Rate: b.rates[i]}); err != nil {
				return err
			}
			if err := s.settled(ctx, &measured[i]); err != nil {
				return err
			}
		}
		slices.Reverse(order)
	}
	for i := range b.rates {
		v := versus{measured[0], fmt.Sprintf("%g requests/s", b.rates[0]), aimFlat}
		if i == 0 {
			v = versus{}
		}
		b.lines("rates", measured[i], v)
	}
	return b.exactly(ctx, s, "rates")
}

// byInterval finds what flushing more or less often costs, with rollouts.
func (b *bench) byInterval(ctx context.Context) error {
	s, err := b.site(ctx, b.proxies)
	if err != nil {
		return err
	}
	defer s.close()
	for i, p := range b.intervals {
		t := s.traffic
		t.Both = p.both
		if err := s.serve(ctx, t); err != nil {
			return err
		}
		if err := s.flush(ctx, p.interval); err != nil {
			return err
		}
		if i == 0 {
			if err := s.roll(ctx, b.rollouts); err != nil {
				return err
			}
		}
		var ws windows
		if err := s.settled(ctx, &ws); err != nil {
			return err
		}
		b.lines("intervals", ws, versus{})
	}
	return b.exactly(ctx, s, "intervals")
}

// tooBusy are cores of the control plane beyond which two cores are not enough for it and its proxies.
const tooBusy = 1.5

// bySize finds at which size the interval can no longer be kept.
func (b *bench) bySize(ctx context.Context) error {
	s, err := b.site(ctx, b.sizes[0])
	if err != nil {
		return err
	}
	defer s.close()
	largest, why := 0, "no size was too large"
	for i, n := range b.sizes {
		w, err := s.sized(ctx, n, i == 0)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			why = fmt.Sprintf("%d proxies were too many: %v", n, err)
			break
		}
		b.lines("sizes", windows{w}, versus{})
		if !w.kept() || w.server > tooBusy {
			why = fmt.Sprintf("%d proxies were too many: %s", n, w)
			break
		}
		largest = n
	}
	what := map[string]any{"services": b.services, "rollouts": b.rollouts, "interval_s": b.interval.Seconds(), "rate": b.rate}
	l := b.amount("sizes", what, "largest_fleet", "proxies", float64(largest))
	l.Note = why + "; the simulator had the same cores"
	b.r.Add(l)
	fmt.Printf("sizes: %d proxies are possible; %s\n", largest, why)
	return b.exactly(ctx, s, "sizes")
}

// sized measures with so many proxies; the first time, rollouts begin.
func (s *site) sized(ctx context.Context, proxies int, first bool) (*window, error) {
	if err := s.grow(ctx, proxies); err != nil {
		return nil, err
	}
	if err := s.flush(ctx, s.b.interval); err != nil {
		return nil, err
	}
	if first {
		if err := s.roll(ctx, s.b.rollouts); err != nil {
			return nil, err
		}
	}
	var ws windows
	if err := s.settled(ctx, &ws); err != nil {
		return nil, err
	}
	return ws[0], nil
}
