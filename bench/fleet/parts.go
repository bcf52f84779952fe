package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/internal/envoybin"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
)

// sizes are those of the sweeps and of the part manners.
type sizes struct {
	proxies  []extent // how many; services as in main
	services []extent // how many, all in the same rounds
	beside   int      // proxies of the part services
	unruly   extent   // rounds of the part manners
	manners  Manners
}

// extent is one size, and how much of it is measured.
type extent struct{ size, rounds, flips int }

// sizesOf returns those of a size of the bench. A hundredth of the proxies refuse, two hundredths are slow.
func sizesOf(s report.Size, main subject) sizes {
	refusing := max(1, main.Clients/100)
	out := sizes{
		proxies:  []extent{{1, 5, 30}, {10, 5, 30}, {100, 5, 30}, {1000, 5, 30}, {mostProxies, 3, 15}},
		services: []extent{{20, 5, 30}, {200, 5, 30}, {2000, 5, 30}},
		beside:   100,
		unruly:   extent{max(main.Clients, 10), 5, 60},
		manners:  Manners{Refusing: refusing, Slow: 2 * refusing, Least: time.Second, Most: 5 * time.Second},
	}
	switch s {
	case report.Quick:
		out.proxies = []extent{{2, 1, 3}, {20, 1, 3}}
		out.services, out.beside = []extent{{10, 1, 3}, {20, 1, 3}}, 10
		out.unruly.rounds, out.unruly.flips = 1, 5
		out.manners.Least, out.manners.Most = 100*time.Millisecond, 300*time.Millisecond
	case report.Short:
		out.proxies = []extent{{10, 3, 10}, {100, 3, 10}, {1000, 3, 10}}
		out.services = []extent{{20, 3, 10}, {200, 3, 10}}
		out.unruly.rounds, out.unruly.flips = 3, 20
	case report.Full:
	}
	return out
}

// mostProxies is the largest fleet, with an aim of its own.
const mostProxies = 5000

// parts of the bench.
type parts struct {
	*options
	report *report.Run
	out    io.Writer
}

// swept are the systems of the parts that have many sizes: ours, and the peers as they come that are wanted.
func (p *parts) swept() []string {
	systems := []string{crossfade}
	for _, name := range []string{linear, snapshot} {
		if slices.Contains(p.peers, name) {
			systems = append(systems, name)
		}
	}
	return systems
}

// measure measures systems with fleets of some sizes beside each other.
func (p *parts) measure(ctx context.Context, systems []string, sizes []subject, rounds, flips int) (results, error) {
	l := &plan{rounds: rounds, flips: flips, profiles: p.profiles, limit: int64(p.limit * 1e9), course: flipsAndStorm, out: p.out}
	for _, s := range sizes {
		for _, s.system = range systems {
			l.subjects = append(l.subjects, s)
		}
	}
	return l.measure(ctx)
}

func (p *parts) measureMain(ctx context.Context) error {
	got, err := p.measure(ctx, append([]string{crossfade}, p.peers...), []subject{p.one}, p.pairs, p.flips)
	if err != nil {
		return err
	}
	p.mainLines(got)
	return nil
}

// sweepProxies measures fleets of many sizes, one after the other.
func (p *parts) sweepProxies(ctx context.Context) error {
	all := results{}
	var sizes []subject
	for _, e := range p.sizes.proxies {
		s := subject{Clients: e.size, Workload: p.one.Workload}
		sizes = append(sizes, s)
		got, err := p.measure(ctx, p.swept(), []subject{s}, e.rounds, e.flips)
		if err != nil {
			return fmt.Errorf("%d proxies: %w", e.size, err)
		}
		for s, runs := range got {
			all[s] = runs
		}
	}
	p.proxiesLines(sizes, all)
	return nil
}

// sweepServices measures a fleet with few and many services, all in the same rounds.
func (p *parts) sweepServices(ctx context.Context) error {
	var sizes []subject
	for _, e := range p.sizes.services {
		w := p.one.Workload
		w.Services, w.Flipping = e.size, min(w.Flipping, p.sizes.services[0].size)
		sizes = append(sizes, subject{Clients: p.beside, Workload: w})
	}
	e := p.sizes.services[0]
	got, err := p.measure(ctx, p.swept(), sizes, e.rounds, e.flips)
	if err != nil {
		return err
	}
	p.servicesLines(sizes, got)
	return nil
}

// unrulySubjects are ours, and the first peer if it is wanted.
func (p *parts) unrulySubjects() (subjects []subject) {
	for _, system := range []string{crossfade, linear} {
		if system != crossfade && !slices.Contains(p.peers, system) {
			continue
		}
		s := subject{system: system, Clients: p.sizes.unruly.size, Envoys: 2, Manners: p.sizes.manners, Workload: p.one.Workload}
		s.Workload.Host = loopback.Host()
		subjects = append(subjects, s)
	}
	return subjects
}

// measureManners measures a fleet of which some misbehave for a while, with two real Envoys in it.
func (p *parts) measureManners(ctx context.Context) error {
	binary, err := envoybin.Find(ctx, envoybin.Newest, os.Stderr)
	if err != nil {
		return err
	}
	p.report.Version("envoy", binary.Version)
	e := p.sizes.unruly
	l := &plan{
		subjects: p.unrulySubjects(), rounds: e.rounds, flips: e.flips, limit: int64(p.limit * 1e9), envoy: binary, course: flipsAndManners, out: p.out,
	}
	got, err := l.measure(ctx)
	if err != nil {
		return err
	}
	p.mannersLines(l.subjects, got)
	return nil
}
