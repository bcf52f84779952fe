package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/internal/usage"
	"github.com/crossfade-proxy/crossfade/internal/monotime"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// system is a proxy that is asked.
type system struct {
	name string         // in the report
	c    map[string]any // its case
	plan Plan           // the rate is added
	pid  int
}

// turn is one measured window of a system.
type turn struct {
	cpu       float64   // seconds per request that was answered
	rate      float64   // answers per second
	offered   float64   // requests per second
	latencies []float64 // seconds, some of them
	memory    float64   // bytes resident at the end
	sum       Sum       // of all requests, those outside the window included
}

// reached is false if fewer requests were answered than should have been sent: then others had the machine, and the figures are of another load.
func (t turn) reached() bool { return t.rate >= 0.97*t.offered }

// entry is a system with its turns.
type entry struct {
	*system
	turns []turn
}

// beside puts each system beside the first one. A quick run compares nothing: there, all are in one group.
func (b *bench) beside(first *system, others []*system) (groups [][]*entry) {
	for i, s := range others {
		if b.Size == report.Quick && i > 0 {
			groups[0] = append(groups[0], &entry{system: s})
		} else {
			groups = append(groups, []*entry{{system: first}, {system: s}})
		}
	}
	return groups
}

// inTurns gives each system as many turns of its own, at the whole rate. Every round begins with another one.
func (b *bench) inTurns(ctx context.Context, n int, all []*entry) error {
	for round := range n {
		for i := range all {
			if err := b.turn(ctx, b.rate, b.window, all[(i+round)%len(all)]); err != nil {
				return err
			}
		}
	}
	return nil
}

// together gives all systems of a group the same turn, and each its share of the rate.
func (b *bench) together(ctx context.Context, n int, groups [][]*entry) error {
	for range n {
		for _, g := range groups {
			if err := b.turn(ctx, b.rate/float64(len(g)), b.glance, g...); err != nil {
				return err
			}
		}
	}
	return nil
}

// turn sends to some systems at the same time, waits until connections are open and caches warm, and then measures for a while.
func (b *bench) turn(ctx context.Context, rate float64, window time.Duration, all ...*entry) error {
	var plans []Plan
	for _, e := range all {
		plan := e.plan
		if plan.Rate, plan.Timeout = rate, 10*time.Second; rate == tooMuch {
			plan.Timeout = time.Second // of what is too much, most is never sent
		}
		plans = append(plans, plan)
	}
	origins := b.answered()
	if err := b.load.start(plans); err != nil {
		return err
	}
	span, used, err := b.watch(ctx, window, all)
	sums, stopped := b.load.stop()
	if err := errors.Join(err, stopped); err != nil {
		return fmt.Errorf("%s, %s: %w", all[0].name, caseOf(all[0].c), err)
	}
	seen, err := b.load.window(span)
	if err != nil {
		return err
	}
	for i, e := range all {
		e.turns = append(e.turns, turn{
			cpu: used[i].Seconds() / float64(max(1, seen[i].Answered)), rate: float64(seen[i].Answered) / (span.To - span.From).Seconds(), offered: rate,
			latencies: seen[i].Latencies, memory: usage.Memory(e.pid, "VmRSS"), sum: sums[i],
		})
	}
	return b.halves(origins)
}

// watch returns when a window began and ended, and the CPU time that each process used in it. On a machine so busy that hardly anything is answered
// the window is longer.
func (b *bench) watch(ctx context.Context, window time.Duration, all []*entry) (s Span, used []time.Duration, err error) {
	const few = 10
	if err := b.await(ctx, 1, make([]int, len(all))); err != nil {
		return s, nil, err
	}
	if err := poll.Pause(ctx, b.warm); err != nil {
		return s, nil, err
	}
	n, err := b.load.answered()
	if err != nil {
		return s, nil, err
	}
	before, err := cpuTimes(all)
	if err != nil {
		return s, nil, err
	}
	s.From = monotime.Now()
	if err := poll.Pause(ctx, window); err != nil {
		return s, nil, err
	}
	if err := b.await(ctx, few, n); err != nil {
		return s, nil, err
	}
	used, err = cpuTimes(all)
	s.To = monotime.Now()
	for i := range before {
		used[i] -= before[i]
	}
	return s, used, err
}

// cpuTimes are those of the processes.
func cpuTimes(all []*entry) ([]time.Duration, error) {
	out := make([]time.Duration, len(all))
	for i, e := range all {
		var err error
		if out[i], err = cpuTime(e.pid); err != nil {
			return out, err
		}
	}
	return out, nil
}

// await waits until of each plan so many more requests were answered.
func (b *bench) await(ctx context.Context, more int, since []int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return poll.Until(ctx, 5*time.Millisecond, func(context.Context) error {
		now, err := b.load.answered()
		for i, n := range now {
			if err == nil && n < since[i]+more {
				err = fmt.Errorf("%d requests were answered", n)
			}
		}
		return err
	})
}

// chooseRate takes a share of what our Envoy answers when it is sent too much, unless a rate was given. That is about half a core of it: at lower
// rates a request costs more.
func (b *bench) chooseRate(ctx context.Context, s *system) error {
	const share = 0.4
	if b.rate != 0 {
		return nil
	}
	e := &entry{system: s}
	if err := b.turn(ctx, tooMuch, max(b.window, time.Second/2), e); err != nil {
		return err
	}
	most := e.turns[0].rate
	b.rate = share * most
	fmt.Printf("%.0f requests/s at most: the load is %.0f requests/s\n", most, b.rate)
	return nil
}
