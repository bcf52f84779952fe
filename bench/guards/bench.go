package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/internal/usage"
	"github.com/crossfade-proxy/crossfade/internal/envoybin"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

const (
	system    = "crossfade"
	control   = "ecs" // the primary
	candidate = "eks"
	proxies   = 2
	port      = 10000           // of the proxies
	whole     = 10000           // basis points
	soon      = time.Minute     // for whatever must come
	envoyUsed = envoybin.Newest // version
)

// bench is what the parts share.
type bench struct {
	*options
	r      *report.Run
	dir    string
	binary string
	envoy  envoybin.Binary
	sites  int
}

func newBench(ctx context.Context, o *options, r *report.Run) (*bench, error) {
	dir, err := os.MkdirTemp("", "crossfade-bench-*")
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, r: r, dir: dir}
	if b.binary, err = stack.Build(ctx, dir, "xds-server"); err == nil {
		b.envoy, err = envoybin.Pinned(ctx, envoyUsed, os.Stderr)
	}
	if err != nil {
		b.close()
		return nil, err
	}
	r.Version("envoy", b.envoy.Version)
	return b, nil
}

func (b *bench) close() {
	if b.keep != "" {
		_ = os.Rename(b.dir, filepath.Join(b.keep, filepath.Base(b.dir)))
	}
	_ = os.RemoveAll(b.dir)
}

// site is a Crossfade with two proxies, and the origins of its services.
type site struct {
	*stack.Stack
	b     *bench
	log   *os.File
	sides []*side
}

// app is a service of a site.
type app struct {
	name     string
	ecs, eks *side
}

func host(service string) string { return service + ".test" }

func hosts(services []string) (out []string) {
	for _, s := range services {
		out = append(out, host(s))
	}
	return out
}

// names are so many names of services.
func names(prefix string, n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("%s-%03d", prefix, i))
	}
	return out
}

// tally is the candidate's log of a service.
func (a app) tally() *tally { return a.eks.tallies[host(a.name)] }

// document has everything at ecs.
func (a app) document() *crossfadev1.Document {
	static := func(s *side) *crossfadev1.Origin {
		return &crossfadev1.Origin{Name: s.name, Discovery: &crossfadev1.Origin_Static{Static: &crossfadev1.StaticEndpoints{Endpoints: s.endpoints}}}
	}
	return &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: &crossfadev1.Service{
		ApiVersion: "crossfade/v1", Kind: "Service", Name: a.name, Hosts: []string{host(a.name)}, Primary: control,
		Listener: &crossfadev1.Listener{Port: port}, Origins: []*crossfadev1.Origin{static(a.ecs), static(a.eks)},
		Split: &crossfadev1.Split{Weights: map[string]int32{control: whole}},
	}}}
}

// site starts a control plane and proxies that send statistics so often. The caller closes it.
func (b *bench) site(ctx context.Context, each time.Duration) (s *site, err error) {
	b.sites++
	s = &site{b: b}
	dir := filepath.Join(b.dir, strconv.Itoa(b.sites))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	if s.log, err = os.Create(filepath.Join(dir, "server.log")); err != nil {
		return nil, err
	}
	if s.Stack, err = stack.Start(ctx, stack.Config{Binary: b.binary, Envoy: b.envoy, Dir: dir, Log: s.log, Flush: each}); err == nil {
		for range proxies {
			if _, err = s.AddProxy(ctx, "default", 1); err != nil {
				break
			}
		}
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// side adds an origin for these services.
func (s *site) side(name string, endpoints int, services ...string) (*side, error) {
	o, err := newSide(name, endpoints, s.b.Seed+uint64(len(s.sides)), hosts(services)...)
	if err == nil {
		s.sides = append(s.sides, o)
	}
	return o, err
}

// apps applies services that have two origins together, and waits until the proxies have them.
func (s *site) apps(ctx context.Context, endpoints int, services ...string) (out []app, err error) {
	ecs, err := s.side(control, endpoints, services...)
	if err != nil {
		return nil, err
	}
	eks, err := s.side(candidate, endpoints, services...)
	if err != nil {
		return nil, err
	}
	for _, name := range services {
		out = append(out, app{name, ecs, eks})
	}
	return out, s.apply(ctx, out)
}

// apply applies services, with nothing at eks, and waits until the proxies have them.
func (s *site) apply(ctx context.Context, apps []app) error {
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	var docs []*crossfadev1.Document
	for _, a := range apps {
		docs = append(docs, a.document())
	}
	if _, err := s.API.Apply(ctx, &crossfadev1.ApplyRequest{Documents: docs, Options: changeOptions(crossfadev1.Wait_WAIT_ACKED)}); err != nil {
		return err
	}
	for _, p := range s.Proxies {
		if err := p.AwaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

func changeOptions(wait crossfadev1.Wait) *crossfadev1.ChangeOptions {
	return &crossfadev1.ChangeOptions{Wait: wait, Timeout: durationpb.New(20 * time.Second), Actor: "bench", Reason: "bench"}
}

func (s *site) targets() (out []string) {
	for _, p := range s.Proxies {
		out = append(out, net.JoinHostPort(p.Host, strconv.Itoa(port)))
	}
	return out
}

func (s *site) close() {
	if s.Stack != nil {
		s.Close()
	}
	for _, o := range s.sides {
		o.close()
	}
	_ = s.log.Close()
}

// exited says which proxy has ended.
func (s *site) exited() error {
	for _, p := range s.Proxies {
		if err, ended := p.Exited(); ended {
			return errors.Join(fmt.Errorf("%s, %s, has exited", p.ID, p.Binary), err)
		}
	}
	return nil
}

// until waits for something that processes do in their own time.
func until(ctx context.Context, limit time.Duration, what string, cond func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := poll.Until(ctx, 250*time.Millisecond, cond); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// cores is the CPU time of each part so far, in seconds.
type cores struct {
	at                    time.Time
	server, proxies, self float64
}

func (s *site) cores() cores {
	c := cores{at: time.Now(), server: usage.CPU(s.Server.PID), self: usage.CPU(os.Getpid())}
	for _, p := range s.Proxies {
		c.proxies += usage.CPU(p.PID())
	}
	return c
}

// since is what was in use, in cores, since another moment.
func (c cores) since(o cores) cores {
	t := c.at.Sub(o.at).Seconds()
	return cores{server: (c.server - o.server) / t, proxies: (c.proxies - o.proxies) / t, self: (c.self - o.self) / t}
}

func (c cores) String() string {
	return fmt.Sprintf("cores: control plane %.2f, proxies %.2f, load and origins %.2f; load average %s", c.server, c.proxies, c.self, usage.LoadAverage())
}
