package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/internal/usage"
	"github.com/crossfade-proxy/crossfade/internal/monotime"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// system is a proxy that is asked. It is started again and again.
type system struct {
	name  string         // in the report
	c     map[string]any // its case
	start func(context.Context, *site) (*process, error)
}

// process is one of a system.
type process struct {
	plan  Plan // the rate is added
	pid   int
	ready func(context.Context) error // waits until it serves
	end   func()

	// check is called after a turn of so many requests; an error says that these were not of what they should be. May be nil.
	check func(ctx context.Context, requests uint64) error
}

// turn is one measured window of a system.
type turn struct {
	cpu       float64   // seconds per request that was answered
	rate      float64   // answers per second
	offered   float64   // requests per second
	latencies []float64 // seconds, of all that were answered in the window
	memory    float64   // bytes resident at the end
	sum       Sum       // of all requests, those outside the window included
}

// reached is false if fewer requests were answered than should have been sent: then others had the machine, and the figures are of another load.
func (t turn) reached() bool { return t.rate >= 0.97*t.offered }

// entry is a system with its turns, each of a process of its own: a process differs from its twin by more than its turns from each other.
type entry struct {
	*system
	now   *process
	turns []turn
}

// fresh starts a control plane and a process of each system, and ends them all once f is done.
func (b *bench) fresh(ctx context.Context, all []*entry, f func() error) error {
	s, err := b.site(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	return s.started(ctx, all, f)
}

// started starts a process of each system beside the control plane, and ends them once f is done.
func (s *site) started(ctx context.Context, all []*entry, f func() error) error {
	for _, e := range all {
		p, err := e.start(ctx, s)
		if err != nil {
			return fmt.Errorf("%s %v: %w", e.name, e.c, err)
		}
		defer p.end()
		e.now = p
	}
	for _, e := range all {
		wait, cancel := context.WithTimeout(ctx, patience)
		err := e.now.ready(wait)
		cancel()
		if err != nil {
			return fmt.Errorf("%s %v: %w", e.name, e.c, err)
		}
	}
	if err := f(); err != nil {
		return err
	}
	for _, e := range all {
		if e.now.check == nil {
			continue
		}
		if err := e.now.check(ctx, e.turns[len(e.turns)-1].sum.Done); err != nil {
			return fmt.Errorf("%s %v: %w", e.name, e.c, err)
		}
	}
	return nil
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

// round gives each system a turn of its own, in the order of the i-th round.
func (b *bench) round(ctx context.Context, i int, rate float64, window time.Duration, all []*entry) error {
	for _, which := range order(i, len(all)) {
		if err := b.turn(ctx, rate, window, all[which]); err != nil {
			return err
		}
	}
	return nil
}

// order is in which so many systems have their turns in the i-th round. The odd rounds are the even ones before them in reverse; in 2 n rounds each of n
// systems comes twice right after each other one, and equally often at each place (a design of Williams).
func order(i, n int) []int {
	out := make([]int, n)
	for j := range out {
		step := (j + 1) / 2 // 0, 1, n-1, 2, n-2 and so on
		if j%2 == 0 {
			step = n - step
		}
		out[j] = (i/2 + step) % n
	}
	if i%2 == 1 {
		slices.Reverse(out)
	}
	return out
}

// together gives all systems of a group the same turn, and each its share of the rate.
func (b *bench) together(ctx context.Context, group []*entry) error {
	return b.turn(ctx, b.rate/float64(len(group)), b.glance, group...)
}

// turn sends to some systems at the same time, waits until connections are open and caches warm, and then measures for a while.
func (b *bench) turn(ctx context.Context, rate float64, window time.Duration, all ...*entry) error {
	var plans []Plan
	for _, e := range all {
		plan := e.now.plan
		if plan.Rate = rate; rate == tooMuch {
			plan.Queue = 64 // of what is too much, most is never sent; what had waited for long would be late, and take the time of what is not
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
		return fmt.Errorf("%s %v: %w", all[0].name, all[0].c, err)
	}
	seen, err := b.load.window(span)
	if err != nil {
		return err
	}
	for i, e := range all {
		e.turns = append(e.turns, turn{
			cpu: used[i].Seconds() / float64(max(1, seen[i].Answered)), rate: float64(seen[i].Answered) / (span.To - span.From).Seconds(), offered: rate,
			latencies: seen[i].Latencies, memory: usage.Memory(e.now.pid, "VmRSS"), sum: sums[i],
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
	before, err := cpuTimes(all)
	if err != nil {
		return s, nil, err
	}
	s.From = monotime.Now()
	n, err := b.load.answered() // not before: what is answered until then is not in the window
	if err != nil {
		return s, nil, err
	}
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
		if out[i], err = cpuTime(e.now.pid); err != nil {
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
func (b *bench) chooseRate(ctx context.Context) error {
	const share = 0.4
	if b.rate != 0 {
		return nil
	}
	e := &entry{system: b.fleet(feature{name: "one"})}
	if err := b.fresh(ctx, []*entry{e}, func() error { return b.turn(ctx, tooMuch, max(b.window, time.Second/2), e) }); err != nil {
		return err
	}
	most := e.turns[0].rate
	b.rate = share * most
	fmt.Printf("%.0f requests/s at most: the load is %.0f requests/s\n", most, b.rate)
	return nil
}
