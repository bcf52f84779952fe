package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/internal/usage"
	"github.com/crossfade-proxy/crossfade/internal/envoybin"
	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/internal/monotime"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

// bench is everything that runs.
type bench struct {
	*options
	r    *report.Run
	dir  string
	lab  *lab
	load *loader
	cf   crossfade
	ha   *haproxies // nil if there is none, as noHA says then
	noHA missing

	neighbours int
	capacity   float64 // requests per second of all proxies
	perProxy   float64 // requests per second that are sent to each proxy
}

// round is one run of a system.
type round struct {
	flips []flip
	sum   Sum
	rates []float64 // at the old origin, by proxy
	load  string    // average of the machine
	cpu   cpus      // cores in use; zero if the processes of the system are not known

	gaveUp string // why the run ended before its time; empty: it did not
}

// short says whether the run ended before its time: what it has says less than that of others.
func (r *round) short() bool { return r.gaveUp != "" }

// ended notes that a system gave up, if that is what ended the run. Every other error remains one.
func (r *round) ended(err error) error {
	late := gaveUp{}
	if !errors.As(err, &late) {
		return err
	}
	r.gaveUp = late.Error()
	return nil
}

func newBench(ctx context.Context, o *options, r *report.Run) (b *bench, err error) {
	b = &bench{options: o, r: r, lab: &lab{hosts: measuredHosts(o.proxies), rnd: rand.New(rand.NewPCG(o.Seed, 1))}}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if err := enoughFiles(uint64(o.open*o.proxies) * 9 / 4); err != nil {
		return b, err
	}
	if b.dir, err = os.MkdirTemp("", "crossfade-bench-*"); err != nil {
		return b, err
	}
	if b.lab.ecs, err = origin.Start(origin.Config{Name: newName, Plain: true, Keep: -1}); err != nil {
		return b, err
	}
	// A name has addresses and no ports, so the origins differ in their addresses alone.
	beside := net.JoinHostPort(loopback.Host(), strconv.Itoa(b.lab.ecs.Port()))
	if b.lab.eks, err = origin.Start(origin.Config{Name: oldName, Address: beside, Plain: true, Keep: -1}); err != nil {
		return b, err
	}
	if b.load, err = startLoader(); err != nil {
		return b, err
	}
	if err := b.startFleet(ctx); err != nil {
		return b, err
	}
	b.ha, err = startHAProxies(ctx, b.dir, b.lab, o.proxies)
	if errors.As(err, &b.noHA) {
		return b, nil
	}
	if err == nil {
		r.Version("haproxy", b.ha.version)
	}
	return b, err
}

// startFleet starts the control plane and the Envoys, with the measured service.
func (b *bench) startFleet(ctx context.Context) error {
	envoy, err := envoybin.Find(ctx, envoybin.Newest, os.Stderr)
	if err != nil {
		return err
	}
	b.r.Version("envoy", envoy.Version)
	binary, err := stack.Build(ctx, b.dir, "xds-server")
	if err != nil {
		return err
	}
	if b.cf.Stack, err = stack.Start(ctx, stack.Config{Binary: binary, Envoy: envoy, Dir: b.dir}); err != nil {
		return err
	}
	s := service(measured, b.lab.hosts, []string{b.lab.ecs.Addr()}, []string{b.lab.eks.Addr()})
	if err := b.cf.apply(ctx, crossfadev1.Wait_WAIT_NONE, s); err != nil {
		return err
	}
	for range b.proxies {
		if _, err := b.cf.AddProxy(ctx, "default", 1); err != nil {
			return err
		}
	}
	return b.cf.awaitReady(ctx)
}

func (b *bench) close() {
	if b.load != nil {
		b.load.Close()
	}
	b.ha.close()
	if b.cf.Stack != nil {
		b.cf.Close()
	}
	for _, o := range []*origin.Origin{b.lab.ecs, b.lab.eks} {
		if o != nil {
			o.Close()
		}
	}
	if b.profile != "" {
		_ = os.Rename(b.dir, filepath.Join(b.profile, filepath.Base(b.dir)))
	}
	_ = os.RemoveAll(b.dir)
}

// chooseRate measures what all Envoys together can do beside everything else on the machine, and takes half.
func (b *bench) chooseRate(ctx context.Context) (err error) {
	if err := b.cf.away(ctx); err != nil {
		return err
	}
	if b.capacity, err = b.load.saturate(Plan{Targets: b.cf.targets(), Hosts: b.lab.hosts, Connections: 16}); err != nil {
		return err
	}
	const least = 100 // a last request is seen to within 10 ms at each proxy, and to within 2.5 ms at all
	if b.perProxy = b.rate; b.rate == 0 {
		b.perProxy = max(least, b.capacity/2/float64(b.proxies))
	}
	fmt.Printf("capacity %.0f requests/s; load %.0f/s for each of %d proxies, which is %.0f %%\n",
		b.capacity, b.perProxy, b.proxies, b.perProxy*float64(b.proxies)/b.capacity*100)
	b.capacityLine()
	return nil
}

// runRound starts the load, flips, and stops it. Every request of it counts.
func (b *bench) runRound(ctx context.Context, sys system, s setting, flips int) (*round, error) {
	if err := sys.away(ctx); err != nil {
		return nil, err
	}
	p := Plan{Targets: sys.targets(), Hosts: b.lab.hosts, Rate: b.perProxy, Connections: 64, Timeout: 10 * time.Second}
	if sys.name() == b.cf.name() && s.services > 1 {
		for i := range b.neighbours {
			p.Others = append(p.Others, neighbour(i)+".test")
		}
	}
	if n, ok := sys.(*names); ok {
		p.Resolver = n.server.Addr.String()
	}
	if err := b.load.start(p); err != nil {
		return nil, err
	}
	out := &round{}
	began, before := monotime.Now(), b.cpus(sys)
	err := out.ended(b.flipAll(ctx, sys, flips, out))
	if len(sys.pids()) > 0 {
		out.cpu = b.cpus(sys).per(before, (monotime.Now() - began).Seconds())
	}
	sum, stopErr := b.load.stop()
	out.sum, out.load = sum, usage.LoadAverage()
	return out, errors.Join(err, stopErr)
}

func (b *bench) flipAll(ctx context.Context, sys system, flips int, out *round) error {
	if err := b.lab.toOld(ctx, sys); err != nil {
		return err
	}
	since := monotime.Now()
	monotime.SleepUntil(since + time.Second)
	for _, host := range b.lab.hosts {
		n, err := b.lab.eks.CountSince(host, since)
		if err != nil {
			return err
		}
		out.rates = append(out.rates, float64(n)/(monotime.Now()-since).Seconds())
	}
	for i := range flips {
		if i > 0 {
			if err := b.lab.toOld(ctx, sys); err != nil {
				return err
			}
		}
		f, err := b.lab.flip(ctx, sys, i%proofEvery == 0)
		if err != nil {
			return err
		}
		out.flips = append(out.flips, f)
	}
	return nil
}
