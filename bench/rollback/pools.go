package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/internal/usage"
	"github.com/crossfade-proxy/crossfade/internal/monotime"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// pools is what the flips with many requests open showed.
type pools struct {
	round
	before, after report.Series // added latency of the requests that were due in the last second before and the first after the call
	open          []float64     // requests open at the old origin when the call was made
	overflows     uint64
}

// runPools flips while both origins are so slow that many requests are open, to an origin without any connection.
func (b *bench) runPools(ctx context.Context) error {
	const margin = 1.1
	rate := b.perProxy / 2 // most requests open a connection here, so the full rate would keep more than both cores busy
	slow := time.Duration(margin * float64(b.open) / rate * float64(time.Second)).Round(time.Millisecond)
	for _, o := range []*origin.Origin{b.lab.ecs, b.lab.eks} {
		if err := o.SetFaults(origin.Faults{Latency: slow}); err != nil {
			return err
		}
	}
	if err := b.cf.away(ctx); err != nil {
		return err
	}
	plan := Plan{
		Targets: b.cf.targets(), Hosts: b.lab.hosts, Rate: rate, Connections: int(1.4 * float64(b.open)),
		Timeout: slow + 10*time.Second, Record: true,
	}
	if err := b.load.start(plan); err != nil {
		return err
	}
	out := &pools{}
	err := out.ended(b.flipPools(ctx, slow, out))
	sum, stopErr := b.load.stop()
	if err := errors.Join(err, stopErr); err != nil {
		return err
	}
	for i, f := range out.flips {
		before, err := b.load.window(f.at-time.Second, f.at)
		if err != nil {
			return err
		}
		after, err := b.load.window(f.at, f.at+time.Second)
		if err != nil {
			return err
		}
		out.before, out.after = append(out.before, minus(before, slow)), append(out.after, minus(after, slow))
		fmt.Printf("pools, flip %d: %.0f requests open; last request %.1f ms; added latency p99 %.0f ms in the second before, %.0f ms in the first after\n",
			i+1, out.open[i], f.last*1e3, report.ByP99.Of(out.before[i])*1e3, report.ByP99.Of(out.after[i])*1e3)
	}
	out.sum, out.load = sum, usage.LoadAverage()
	if out.overflows, err = b.overflows(ctx); err != nil {
		return err
	}
	b.poolLines(slow, out)
	return nil
}

func minus(latencies []float64, d time.Duration) (out []float64) {
	for _, l := range latencies {
		out = append(out, l-d.Seconds())
	}
	return out
}

func (b *bench) flipPools(ctx context.Context, slow time.Duration, out *pools) error {
	for range b.pools {
		if err := b.lab.toOld(ctx, b.cf); err != nil {
			return err
		}
		if err := b.awaitOpen(ctx, slow); err != nil {
			return err
		}
		if err := b.emptyPools(); err != nil {
			return err
		}
		monotime.SleepUntil(monotime.Now() + time.Second) // the second before
		out.open = append(out.open, float64(b.lab.eks.InFlight()))
		f, err := b.lab.flip(ctx, b.cf, false)
		if err != nil {
			return err
		}
		out.flips = append(out.flips, f)
		monotime.SleepUntil(f.at + slow + time.Second)
	}
	return nil
}

// awaitOpen waits until the old origin holds what it should, and the new one nothing. If that does not come, it is for want of load.
func (b *bench) awaitOpen(ctx context.Context, slow time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, slow+patience)
	defer cancel()
	return poll.Until(ctx, 10*time.Millisecond, func(context.Context) error {
		if open, want := b.lab.eks.InFlight(), b.open*b.proxies; open < want {
			return fmt.Errorf("%d of %d requests are open at %s", open, want, oldName)
		}
		if open := b.lab.ecs.InFlight(); open > 0 {
			return fmt.Errorf("%d requests are open at %s", open, newName)
		}
		return nil
	})
}

// emptyPools closes every connection to the new origin, which has no request.
func (b *bench) emptyPools() error {
	return errors.Join(b.lab.ecs.SetState(origin.Refusing), b.lab.ecs.SetState(origin.Serving))
}

// overflows adds up what Envoy refused because of its limits.
func (b *bench) overflows(ctx context.Context) (n uint64, err error) {
	for _, p := range b.cf.Proxies {
		stats, err := p.Stats(ctx, `^cluster\.`+measured+`/.*overflow$`)
		if err != nil {
			return 0, err
		}
		if len(stats) == 0 {
			return 0, errors.New("envoy tells no overflows")
		}
		for _, v := range stats {
			n += v
		}
	}
	return n, nil
}

func (b *bench) poolLines(slow time.Duration, p *pools) {
	c := map[string]any{"services": b.neighbours + 1, "open_per_proxy": b.open, "proxies": b.proxies, "origin_latency_ms": slow.Milliseconds()}
	own := []*round{&p.round}
	_, failed, note := totals(own)
	failed += int(p.overflows)
	note += fmt.Sprintf("; %d overflows by Envoy's statistics", p.overflows)
	line := func(metric, unit string, s report.Series) *report.Line {
		l := report.NewLine(b.cf.name(), metric, unit, c, s)
		l.OfferedRPS, l.AchievedRPS, l.Note = &p.sum.Offered, &p.sum.Achieved, note
		hold(l, own)
		return l
	}
	add := func(metric, unit string, s report.Series) { b.r.Add(line(metric, unit, s)) }
	add("pools_last_request", "s", series(own, lastIn))
	add("pools_open_requests", "requests", report.Series{p.open})
	add("pools_added_latency_second_before", "s", p.before)
	add("pools_added_latency_first_second", "s", p.after)
	l := line("pools_requests", "requests", report.Series{{float64(p.sum.Done)}})
	l.N, l.Failed = int(p.sum.Done), failed
	b.r.Add(l.AimNone())
	fmt.Printf("pools: %d of %d requests failed %s; %s\n", failed, p.sum.Done, reasons(p.sum.Failures), strings.TrimSpace(note))
}

// enoughFiles raises how many files this process and its children may have open, as far as it may.
func enoughFiles(need uint64) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: max(need, l.Cur), Max: max(need, l.Max)}); err != nil { // children get it too
		return fmt.Errorf("%d files must be open at once, and %d may be: raise `ulimit -n`, or give -open: %w", need, l.Max, err)
	}
	return nil
}
