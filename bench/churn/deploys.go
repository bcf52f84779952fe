package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/internal/deploys"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

const (
	ecsPoll   = time.Second            // a tenth of the most that the aim allows
	latency   = 10 * time.Millisecond  // of the applications' answers
	podStart  = 300 * time.Millisecond // a tenth of what a small application needs
	taskStart = time.Second            // a tenth of what a task needs at least
)

// The peers have addresses that are looked up now and then. What the first one differs in from ours is that alone.
const (
	peer     = "addresses by TTL, our retries"
	peerBare = "addresses by TTL, no retries"
)

// apps is how applications end in a case.
type apps struct {
	name     string
	eks, ecs deploys.Life
	aim      bool // nothing may fail
}

func cases() []apps {
	good := deploys.App{LameDuck: time.Second, Latency: latency}
	goodTask := deploys.App{LameDuck: 2 * time.Second, Latency: latency} // longer than ECS is not looked at
	closes, exits := deploys.App{Latency: latency}, deploys.App{Exits: true, Latency: latency}
	return []apps{
		{"serve on after SIGTERM", deploys.Life{App: good, Start: podStart}, deploys.Life{App: goodTask, Start: taskStart}, true},
		{"accept no more from SIGTERM on", deploys.Life{App: closes, Start: podStart}, deploys.Life{App: closes, Start: taskStart}, false},
		{"exit at SIGTERM", deploys.Life{App: exits, Start: podStart}, deploys.Life{App: exits, Start: taskStart}, false},
		{
			"exit at SIGTERM, which comes later",
			deploys.Life{App: exits, Start: podStart, PreStop: time.Second},
			deploys.Life{App: exits, Start: taskStart, PreStop: 2 * time.Second},
			false,
		},
	}
}

// asked is one service of a case.
type asked struct {
	name, origin string
	protocol     loadgen.Protocol
	system       string
	rate         float64
	load         *load
	before       uint64            // arrived before the case
	figures      map[string]uint64 // of Envoys before the case
}

func (l *lab) allAsked() (out []*asked) {
	for _, origin := range []string{"eks", "ecs"} {
		out = append(out,
			&asked{name: origin + "-http1", origin: origin, protocol: loadgen.HTTP1, system: system, rate: l.rate},
			&asked{name: origin + "-http2", origin: origin, protocol: loadgen.HTTP2, system: system, rate: l.rate},
			&asked{name: origin + "-late", origin: origin, protocol: loadgen.HTTP1, system: peer, rate: l.rate / 5},
			&asked{name: origin + "-late-bare", origin: origin, protocol: loadgen.HTTP1, system: peerBare, rate: l.rate / 5})
	}
	return out
}

func (a *asked) host() string { return a.name + ".test" }

func (a *asked) protocolName() string {
	if a.protocol == loadgen.HTTP2 {
		return "http2"
	}
	return "http1"
}

// document is the service; that of a peer has the addresses of now.
func (a *asked) document(of *app) *crossfadev1.Service {
	s := of.service(a.name, a.origin, a.protocolName(), a.host())
	if a.system == system {
		return s
	}
	if a.system == peerBare {
		s.Retries = &crossfadev1.Retries{On: []string{"none"}}
	}
	for _, o := range s.Origins {
		static := &crossfadev1.StaticEndpoints{}
		for _, r := range of.on(o.Name).Running() {
			static.Endpoints = append(static.Endpoints, r.Addr())
		}
		o.Discovery = &crossfadev1.Origin_Static{Static: static}
	}
	return s
}

// deploys runs all cases.
func (l *lab) deploys(ctx context.Context) error {
	f, err := l.fleet(ctx, ecsPoll)
	if err != nil {
		return err
	}
	defer f.Close()
	a, err := l.app(ctx, "orders", l.replicas)
	if err != nil {
		return err
	}
	services := l.allAsked()
	for _, s := range services {
		if err := f.apply(ctx, s.document(a)); err != nil {
			return err
		}
	}
	if err := f.known(ctx, 2*len(services)); err != nil {
		return err
	}
	for _, c := range cases() {
		if err := l.deployCase(ctx, f, a, services, c); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

func (l *lab) deployCase(ctx context.Context, f fleet, a *app, services []*asked, c apps) (err error) {
	a.pods.SetLife(c.eks)
	a.tasks.SetLife(c.ecs)
	if err := lookUp(ctx, f, a, services); err != nil {
		return err
	}
	if err := poll.Pause(ctx, l.ttl/10); err != nil { // everybody begins with what is true
		return err
	}
	for _, s := range services {
		s.before = a.on(s.origin).Arrived(s.host())
		if s.figures, err = f.figures(ctx, s.name, s.origin); err != nil {
			return err
		}
		if s.load, err = startLoad(ctx, f.targets(), s.protocol, s.rate, func(int) string { return s.host() }); err != nil {
			return err
		}
		defer s.load.stop()
	}
	began := time.Now()
	err = l.replaceAll(ctx, f, a, services)
	took := time.Since(began)
	for err == nil && l.total(services) < l.least {
		err = poll.Pause(ctx, 100*time.Millisecond)
	}
	if err != nil {
		return err
	}
	kills := len(a.pods.Kills()) + len(a.tasks.Kills())
	for _, s := range services {
		sum := s.load.stop()
		after, err := f.figures(ctx, s.name, s.origin)
		if err != nil {
			return err
		}
		if len(after) == 0 {
			return fmt.Errorf("the proxies tell nothing of %s", s.name)
		}
		note := fmt.Sprintf("Envoy's figures: %s; the deploys took %.0f s; applications killed in a request: %d", grown(s.figures, after), took.Seconds(), kills)
		line := l.deployLine(s, c, sum, a.on(s.origin).Arrived(s.host())-s.before, note)
		l.r.Add(line)
		fmt.Printf("deploys, %s: %s over %s, %s: %s\n", c.name, s.origin, s.protocolName(), s.system, line.Note)
	}
	return nil
}

// total is how many requests of the measured services have ended.
func (l *lab) total(services []*asked) (n uint64) {
	for _, s := range services {
		if s.system == system {
			n += s.load.ended.Load()
		}
	}
	return n
}

// replaceAll replaces every pod and every task, so many times, while the peers look up their addresses now and then.
func (l *lab) replaceAll(ctx context.Context, f fleet, a *app, services []*asked) error {
	late, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	var errs [3]error
	group.Go(func() { errs[0] = l.lookUpAgain(late, f, a, services) })
	var rolls sync.WaitGroup
	rolls.Go(func() {
		for range l.times {
			errs[1] = errors.Join(errs[1], a.pods.Replace(ctx, deploys.Rollout{Surge: max(1, l.replicas/4)})) // the default of a Deployment
		}
	})
	rolls.Go(func() {
		for range l.times {
			errs[2] = errors.Join(errs[2], a.tasks.Replace(ctx, deploys.Rollout{Surge: max(1, l.replicas/4)}))
		}
	})
	rolls.Wait()
	stop()
	group.Wait()
	return errors.Join(errs[:]...)
}

// lookUpAgain looks up the addresses of the peers each time they have grown old.
func (l *lab) lookUpAgain(ctx context.Context, f fleet, a *app, services []*asked) error {
	for poll.Pause(ctx, l.ttl) == nil {
		if err := lookUp(ctx, f, a, services); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// lookUp gives the peers the addresses of the moment, all at once.
func lookUp(ctx context.Context, f fleet, a *app, services []*asked) error {
	var late []*crossfadev1.Service
	for _, s := range services {
		if s.system != system {
			late = append(late, s.document(a))
		}
	}
	return f.apply(ctx, late...)
}

// deployLine holds of good applications that nothing fails, and that each request arrives once. Where nothing failed each was answered, and so
// arrived: then as many arrivals as requests say that none came twice, be it GET or POST. For our retries send neither again once an application may
// have seen it.
func (l *lab) deployLine(s *asked, c apps, sum sum, arrived uint64, note string) *report.Line {
	key := map[string]any{"endpoints": s.origin, "protocol": s.protocolName(), "apps": c.name, "replicas": l.replicas, "replaced": l.times, "proxies": l.proxies}
	line := sum.line(s.system, key)
	line.Note = fmt.Sprintf("%v; %d arrived at an application; latency p99 %.1f ms, of that the generator's own %.1f; %s", sum, arrived, sum.p99*1e3, sum.lateness*1e3, note)
	if s.system != system {
		line.Note += fmt.Sprintf("; addresses up to %v old", l.ttl)
	}
	if c.aim && s.system == system {
		line.AimOf("0 failed, each arrived once", fmt.Sprintf("%d of %d failed, %d arrived", sum.failed, sum.done, arrived), sum.failed == 0 && arrived == sum.done)
	}
	return line
}
