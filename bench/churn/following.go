package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/internal/deploys"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/monotime"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

const (
	followRate = 250.0                  // requests per second and proxy: the gap between two is 4 ms
	quiet      = 200 * time.Millisecond // without a request at the old endpoint, it is left
	followAim  = 0.150                  // seconds, at most, for the slowest proxy from when the control plane can know of a change
)

// followed is how long, in seconds, it took until all proxies followed each change.
type followed struct {
	routed, left, proxies []float64
	sum                   sum
}

// following measures both sources.
func (l *lab) following(ctx context.Context) error {
	f, err := l.fleet(ctx, ecsPoll)
	if err != nil {
		return err
	}
	defer f.Close()
	a, err := l.app(ctx, "moving", 1)
	if err != nil {
		return err
	}
	rnd := rand.New(rand.NewPCG(l.Seed, 1))
	for n, c := range []struct {
		origin  string
		changes int
		spread  time.Duration // changes are made at a random moment of it
		wait    float64       // seconds, at most, until the control plane can know: looks at ECS are up to a tenth later than set
	}{{"eks", l.changes, 50 * time.Millisecond, 0}, {"ecs", l.ecsChanges, ecsPoll, 1.1 * ecsPoll.Seconds()}} {
		service := c.origin + "-moving"
		if err := f.apply(ctx, a.service(service, c.origin, "http1", hosts(c.origin, l.proxies)...)); err != nil {
			return err
		}
		if err := f.known(ctx, 2*(n+1)); err != nil {
			return err
		}
		got, err := l.follow(ctx, f, a.on(c.origin), c.origin, c.changes, func() time.Duration { return time.Duration(rnd.Int64N(int64(c.spread))) })
		if err != nil {
			return fmt.Errorf("%s: %w", c.origin, err)
		}
		for _, line := range l.followLines(c.origin, got, c.wait) {
			l.r.Add(line)
			fmt.Printf("following %s: %s p50 %.1f ms, p99 %.1f, max %.1f, n %d; %s\n", c.origin, line.Metric, line.P50*1e3, line.P99*1e3, line.Max*1e3, line.N, line.Note)
		}
	}
	return nil
}

// hosts are those of a service, one for each proxy.
func hosts(origin string, proxies int) (out []string) {
	for n := range proxies {
		out = append(out, fmt.Sprintf("p%d.%s.test", n+1, origin))
	}
	return out
}

func (l *lab) follow(ctx context.Context, f fleet, w *deploys.Workload, origin string, changes int, when func() time.Duration) (*followed, error) {
	names := hosts(origin, l.proxies)
	load, err := startLoad(ctx, f.targets(), loadgen.HTTP1, followRate*float64(l.proxies), func(n int) string { return names[n] })
	if err != nil {
		return nil, err
	}
	defer load.stop()
	if err := arrivedAt(ctx, w.Running()[0], names); err != nil {
		return nil, err
	}
	out := &followed{}
	for range changes {
		if err := poll.Pause(ctx, when()); err != nil {
			return nil, err
		}
		s, err := w.Swap(ctx)
		if err != nil {
			return nil, err
		}
		if err := out.change(ctx, s, names); err != nil {
			return nil, err
		}
		if err := w.Retire(ctx, s.Old); err != nil {
			return nil, err
		}
	}
	out.sum = load.stop()
	return out, nil
}

// change waits until every proxy asks the new endpoint and none the old one, and notes when that was.
func (o *followed) change(ctx context.Context, s deploys.Swapped, names []string) error {
	if err := arrivedAt(ctx, s.Fresh, names); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := poll.Until(ctx, 5*time.Millisecond, func(context.Context) error {
		if last, ok := s.Old.Last(""); ok && monotime.Now()-last < quiet {
			return fmt.Errorf("%s is asked still", s.Old.ID)
		}
		return nil
	})
	if err != nil {
		return err
	}
	routed, left := 0.0, 0.0
	for _, name := range names {
		first, _ := s.Fresh.First(name)
		o.proxies = append(o.proxies, (first - s.At).Seconds())
		routed = max(routed, (first - s.At).Seconds())
		if last, ok := s.Old.Last(name); ok {
			left = max(left, (last - s.At).Seconds())
		}
	}
	o.routed, o.left = append(o.routed, routed), append(o.left, left)
	return nil
}

// arrivedAt waits until a request of every proxy has arrived.
func arrivedAt(ctx context.Context, r *deploys.Replica, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return poll.Until(ctx, 2*time.Millisecond, func(context.Context) error {
		for _, name := range names {
			if _, ok := r.First(name); !ok {
				return fmt.Errorf("no request for %s has arrived at %s", name, r.ID)
			}
		}
		return nil
	})
}

// followLines are the figures of a source of whose changes the control plane knows after wait, in seconds, at most.
func (l *lab) followLines(origin string, f *followed, wait float64) (lines []*report.Line) {
	c := map[string]any{"source": origin, "proxies": l.proxies}
	if origin == "ecs" {
		c["poll_s"] = ecsPoll.Seconds()
	}
	for _, m := range []struct {
		name    string
		samples []float64
		aim     bool
	}{{"routed", f.routed, true}, {"routed_proxy", f.proxies, false}, {"left", f.left, true}} {
		line := report.NewLine(system, m.name, "s", c, report.Series{m.samples})
		f.sum.rate(line)
		switch {
		case !m.aim:
		case wait == 0:
			line.AimP99(followAim)
		default:
			line.AimP99(wait + followAim)
			text := fmt.Sprintf("%s: %s until ECS was asked, %s from then on", *line.Aim, report.Amount(wait, "s"), report.Amount(followAim, "s"))
			line.Aim = &text
		}
		lines = append(lines, line)
	}
	return lines
}
