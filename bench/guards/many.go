package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/internal/usage"
	"github.com/crossfade-proxy/crossfade/internal/monotime"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

const (
	crowdRate  = 4   // requests per second of each service; half of them at eks
	victimRate = 100 // of the one that fails alone
	fewShare   = 10  // of the crowd a tenth fails on its own, to compare with all of it
)

// crowd is many services: one whose failures are measured by itself, a few, and the rest.
type crowd struct {
	b                 *bench
	s                 *site
	victim, few, rest []app
	rnd               *rand.Rand

	without, one, with []float64  // cores of the control plane
	memory             [3]float64 // bytes resident, in that order; the last
	lone, beside       []reaction
}

// many finds what 200 rollouts at once cost, and whether they wait for each other.
func (b *bench) many(ctx context.Context) error {
	s, err := b.site(ctx, flush)
	if err != nil {
		return err
	}
	defer s.close()
	c := &crowd{b: b, s: s, rnd: rand.New(rand.NewPCG(b.Seed, 4))}
	few := max(1, b.services/fewShare)
	for _, part := range []struct {
		into     *[]app
		services []string
	}{{&c.victim, []string{"victim"}}, {&c.few, names("few", few)}, {&c.rest, names("rest", b.services-few-1)}} {
		if *part.into, err = s.apps(ctx, 1, part.services...); err != nil {
			return err
		}
	}
	one, err := s.load(ctx, victimRate, busy, serviceNames(c.victim)...)
	if err != nil {
		return err
	}
	others, err := s.load(ctx, crowdRate, busy, serviceNames(c.others())...)
	if err != nil {
		one.stop()
		return err
	}
	first := len(b.r.Lines())
	err = c.measure(ctx)
	sent := one.stop().plus(others.stop())
	if err == nil {
		c.lines(sent)
		b.hold(first, sent)
	}
	return err
}

func (c *crowd) others() []app { return slices.Concat(c.few, c.rest) }

// trial is of some of the services, whose candidates fail altogether.
func (c *crowd) trial(apps []app) trial {
	all := func(m manner) func() {
		return func() {
			for _, a := range apps {
				a.eks.behave(m)
			}
		}
	}
	return trial{
		apps: apps, patience: 2 * soon, fail: all(failing(1)), heal: all(sound), quiet: time.Duration(c.rnd.Int64N(int64(flush))),
		plan: func(a app) *crossfadev1.Rollout { return a.plan(long, half, rules()...) },
	}
}

// cpu is what the control plane uses for a while.
func (c *crowd) cpu(into *[]float64, kind int) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := poll.Pause(ctx, c.b.settle); err != nil { // starts are not what is measured
			return err
		}
		was := c.s.cores()
		err := poll.Pause(ctx, c.b.busy)
		*into = append(*into, c.s.cores().since(was).server)
		c.memory[kind] = usage.Memory(c.s.Server.PID, "VmRSS")
		return err
	}
}

func (c *crowd) measure(ctx context.Context) error {
	for i := range c.b.turns {
		if err := c.turn(ctx); err != nil {
			return err
		}
		fmt.Printf("many %d: control plane %.3f cores without rollouts, %.3f with one, %.3f with %d; load average %s\n",
			i+1, c.without[i], c.one[i], c.with[i], c.b.services, usage.LoadAverage())
		fmt.Printf("many %d: one, without others: %v\n", i+1, c.lone[i])
		fmt.Printf("many %d: one, beside others: %v\n", i+1, c.beside[i])
	}
	return c.together(ctx)
}

// share gives half of the requests to eks by hand, as the rollouts will. An apply may not do so after a rollback.
func (c *crowd) share(ctx context.Context) error {
	for _, a := range c.others() {
		if _, err := c.s.API.SetSplit(ctx, &crossfadev1.SetSplitRequest{
			Service: a.name, Weights: map[string]int32{control: whole / 2, candidate: whole / 2}, Options: changeOptions(crossfadev1.Wait_WAIT_NONE),
		}); err != nil {
			return err
		}
	}
	return nil
}

// turn measures without rollouts, with one, and with all, at the same requests. One of them fails each time.
func (c *crowd) turn(ctx context.Context) error {
	if err := c.share(ctx); err != nil {
		return err
	}
	if err := c.cpu(&c.without, 0)(ctx); err != nil {
		return err
	}
	t := c.trial(c.victim)
	t.meanwhile, t.watched = c.cpu(&c.one, 1), true
	got, err := c.s.try(ctx, t)
	if err != nil {
		return err
	}
	c.lone = append(c.lone, got...)
	others := c.trial(c.others())
	if err := c.s.begin(ctx, others); err != nil {
		return err
	}
	t.meanwhile = c.cpu(&c.with, 2)
	if got, err = c.s.try(ctx, t); err != nil {
		return err
	}
	c.beside = append(c.beside, got...)
	return c.s.end(ctx, others)
}

// together lets a few of the rollouts fail at once, and then all of them.
func (c *crowd) together(ctx context.Context) error {
	everybody := func() error {
		return c.atOnce(ctx, fmt.Sprintf("all %d at once", c.b.services), slices.Concat(c.others(), c.victim))
	}
	if c.b.Size == report.Quick {
		return everybody()
	}
	rest := c.trial(c.rest)
	if err := c.s.begin(ctx, rest); err != nil {
		return err
	}
	if err := c.atOnce(ctx, fmt.Sprintf("%d of %d at once", len(c.few), c.b.services), c.few); err != nil {
		return err
	}
	if err := c.s.end(ctx, rest); err != nil {
		return err
	}
	return everybody()
}

// atOnce lets some fail, and says when the last of them is back.
func (c *crowd) atOnce(ctx context.Context, what string, apps []app) error {
	t := c.trial(apps)
	t.quiet += c.b.quiet
	var failed time.Duration
	fail := t.fail
	t.fail = func() {
		failed = monotime.Now()
		fail()
	}
	was := c.s.cores()
	got, err := c.s.try(ctx, t)
	if err != nil {
		return err
	}
	used, last := c.s.cores().since(was), failed
	for _, a := range apps {
		last = max(last, time.Duration(a.tally().last.Load()))
	}
	c.b.reactions("many", c.what(what), got, sum{}, used.String(), 0)
	c.b.r.Add(c.b.amount("many", c.what(what), "last_of_all", "s", (last - failed).Seconds(), "from when the candidates began to fail to the last request that one of them got"))
	fmt.Printf("many, %s: the last request at eks %.2f s after they began to fail\n", what, (last - failed).Seconds())
	return nil
}

func (c *crowd) what(fails string) map[string]any {
	return map[string]any{"proxies": proxies, "services": c.b.services, "fails": fails}
}

func (c *crowd) lines(sent sum) {
	for i, x := range []struct {
		rollouts int
		cores    []float64
	}{{0, c.without}, {1, c.one}, {c.b.services, c.with}} {
		var each report.Series
		for _, v := range x.cores {
			each = append(each, []float64{v})
		}
		what := map[string]any{"part": "many", "proxies": proxies, "services": c.b.services, "rollouts": x.rollouts}
		l := report.NewLine(system, "cpu of the control plane", "cores", what, each)
		l.Note = sent.String()
		c.b.r.Add(l)
		c.b.r.Add(c.b.amount("many", what, "memory of the control plane", "bytes", c.memory[i], "resident, in the last turn"))
		fmt.Printf("many: %d rollouts: control plane %.3f cores (%.3f to %.3f), %.0f MB\n", x.rollouts, report.Mean(x.cores), slices.Min(x.cores), slices.Max(x.cores), c.memory[i]/1e6)
	}
	c.b.reactions("many", c.what("one, no other on its way"), c.lone, sent, sent.String(), 0)
	c.b.reactions("many", c.what(fmt.Sprintf("one of %d", c.b.services)), c.beside, sent, sent.String(), 0)
	c.b.failures("many", c.what("all"), sent)
}
