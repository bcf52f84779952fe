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
	envoy    []extent // services of the part envoy, all in the same rounds; flips are changes of each kind
	manners  Manners
}

// extent is one size, and how much of it is measured.
type extent struct {
	size, rounds, flips int
	pause               time.Duration // after each flip
}

// betweenFlips is the pause after a flip where its time is what matters: as in a fleet that is used, what a flip leaves to do is over when the next one comes, whosever
// it is. Collections of garbage that it began end, and ours, which begin when nothing has happened for a while, take place.
const betweenFlips = 200 * time.Millisecond

// sizesOf returns those of a size of the bench. A hundredth of the proxies refuse, two hundredths are slow.
func sizesOf(s report.Size, main subject) sizes {
	refusing := max(1, main.Clients/100)
	out := sizes{
		proxies:  sizedEach(extent{0, 5, 30, betweenFlips}, 1, 10, 100, 1000),
		services: sizedEach(extent{0, 5, 120, 0}, 20, 200, 2000),
		beside:   100,
		unruly:   extent{max(main.Clients, 10), 5, 40, betweenFlips},
		envoy:    sizedEach(extent{0, 5, 20, 0}, 20, 200, 2000),
		manners:  Manners{Refusing: refusing, Slow: 2 * refusing, Least: time.Second, Most: 5 * time.Second},
	}
	switch s {
	case report.Quick:
		out.proxies = sizedEach(extent{0, 1, 3, 0}, 2, 20)
		out.services, out.beside = sizedEach(extent{0, 1, 3, 0}, 10, 20), 10
		out.envoy = sizedEach(extent{0, 1, 2, 0}, 10, 20)
		out.unruly = extent{out.unruly.size, 1, 5, 0}
		out.manners.Least, out.manners.Most = 100*time.Millisecond, 300*time.Millisecond
	case report.Short:
		out.proxies = sizedEach(extent{0, 5, 10, betweenFlips}, 10, 100)
		out.services = sizedEach(extent{0, 5, 30, 0}, 20, 200)
		out.envoy = sizedEach(extent{0, 5, 5, 0}, 20, 200)
		out.unruly.flips = 10
	case report.Full:
		out.proxies = append(out.proxies, extent{mostProxies, 5, 10, betweenFlips})
	}
	return out
}

// sizedEach are extents that differ in their size.
func sizedEach(e extent, sizes ...int) (out []extent) {
	for _, e.size = range sizes {
		out = append(out, e)
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

// plan is of an extent and a course; the subjects are to be added.
func (p *parts) plan(e extent, course func(context.Context, *round) error) *plan {
	return &plan{rounds: e.rounds, flips: e.flips, pause: e.pause, seed: p.Seed, limit: int64(p.limit * 1e9), course: course, out: p.out}
}

// measure measures systems with fleets of some sizes beside each other.
func (p *parts) measure(ctx context.Context, systems []string, sizes []subject, e extent) (results, error) {
	l := p.plan(e, flipsAndStorm)
	l.profiles = p.profiles
	for _, s := range sizes {
		for _, s.system = range systems {
			l.subjects = append(l.subjects, s)
		}
	}
	return l.measure(ctx)
}

func (p *parts) measureMain(ctx context.Context) error {
	systems := []string{crossfade}
	for _, peer := range peers {
		if slices.Contains(p.peers, peer.system) {
			systems = append(systems, peer.system)
		}
	}
	got, err := p.measure(ctx, systems, []subject{p.one}, extent{p.one.Clients, p.pairs, p.flips, betweenFlips})
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
		got, err := p.measure(ctx, p.swept(), []subject{s}, e)
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
	got, err := p.measure(ctx, p.swept(), sizes, p.sizes.services[0])
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

// envoy is the real one of the parts that have some.
func (p *parts) envoy(ctx context.Context) (envoybin.Binary, error) {
	binary, err := envoybin.Find(ctx, envoybin.Newest, os.Stderr)
	if err == nil {
		p.report.Version("envoy", binary.Version)
	}
	return binary, err
}

// measureManners measures a fleet of which some misbehave for a while, with two real Envoys in it.
func (p *parts) measureManners(ctx context.Context) error {
	binary, err := p.envoy(ctx)
	if err != nil {
		return err
	}
	l := p.plan(p.sizes.unruly, flipsAndManners)
	l.subjects, l.envoy = p.unrulySubjects(), binary
	got, err := l.measure(ctx)
	if err != nil {
		return err
	}
	p.mannersLines(l.subjects, got)
	return nil
}
