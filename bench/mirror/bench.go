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
	"github.com/crossfade-proxy/crossfade/internal/envoybin"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

const (
	system    = "crossfade"
	peer      = "no mirror"
	control   = "ecs" // the primary
	candidate = "eks"
	port      = 10000       // of the proxies
	patience  = time.Minute // for whatever must come
	unlimited = 100_000     // copies per second: more than this machine can do
	// settings lets comparators ask as much as they can, and stop soon after their orders have grown old.
	settings = "mirrors: {maxRps: 100000, lease: 5s}\n"
)

// bench is what the parts share.
type bench struct {
	*options
	r      *report.Run
	dir    string
	binary string
	sites  int
}

func newBench(ctx context.Context, o *options, r *report.Run) (*bench, error) {
	dir, err := os.MkdirTemp("", "crossfade-bench-*")
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, r: r, dir: dir}
	if b.binary, err = stack.Build(ctx, dir, "xds-server"); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) close() {
	if b.keep != "" {
		_ = os.Rename(b.dir, filepath.Join(b.keep, filepath.Base(b.dir)))
	}
	_ = os.RemoveAll(b.dir)
}

// site is a Crossfade with two origins.
type site struct {
	*stack.Stack
	ecs, eks *origin.Origin
	log      *os.File
}

// site starts one, with the services. plain origins are for load, others know what they were asked.
func (b *bench) site(ctx context.Context, version string, proxies int, plain bool) (s *site, err error) {
	s = &site{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	envoy, err := envoybin.Pinned(ctx, version, os.Stderr)
	if err != nil {
		return s, err
	}
	b.r.Version("envoy "+version, envoy.Version)
	b.sites++
	dir := filepath.Join(b.dir, strconv.Itoa(b.sites))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return s, err
	}
	file := filepath.Join(dir, "server.yaml")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		return s, err
	}
	if s.log, err = os.Create(filepath.Join(dir, "server.log")); err != nil {
		return s, err
	}
	for _, o := range []struct {
		name string
		into **origin.Origin
	}{{control, &s.ecs}, {candidate, &s.eks}} {
		if *o.into, err = origin.Start(origin.Config{Name: o.name, Plain: plain, Keep: 1 << 15}); err != nil {
			return s, err
		}
	}
	if s.Stack, err = stack.Start(ctx, stack.Config{Binary: b.binary, Envoy: envoy, Dir: dir, File: file, Log: s.log}); err != nil {
		return s, err
	}
	return s, s.fill(ctx, proxies)
}

// fill applies the services and starts the proxies.
func (s *site) fill(ctx context.Context, proxies int) error {
	if _, err := s.API.Apply(ctx, &crossfadev1.ApplyRequest{
		Documents: []*crossfadev1.Document{s.service("one", "http1"), s.service("two", "http2"), s.service("rpc", "http2")},
		Options:   changeOptions(crossfadev1.Wait_WAIT_NONE),
	}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for range proxies {
		if _, err := s.AddProxy(ctx, "default", 1); err != nil {
			return err
		}
	}
	for _, p := range s.Proxies {
		if err := p.AwaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) service(name, protocol string) *crossfadev1.Document {
	static := func(o *origin.Origin) *crossfadev1.Origin {
		return &crossfadev1.Origin{Name: o.Name(), Protocol: protocol, Discovery: &crossfadev1.Origin_Static{
			Static: &crossfadev1.StaticEndpoints{Endpoints: []string{o.Addr()}},
		}}
	}
	return &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: &crossfadev1.Service{
		ApiVersion: "crossfade/v1", Kind: "Service", Name: name, Hosts: []string{name + ".test"}, Primary: control,
		Listener: &crossfadev1.Listener{Port: port}, Origins: []*crossfadev1.Origin{static(s.ecs), static(s.eks)},
		Split: &crossfadev1.Split{Weights: map[string]int32{control: 10000}},
	}}}
}

func changeOptions(wait crossfadev1.Wait) *crossfadev1.ChangeOptions {
	return &crossfadev1.ChangeOptions{Wait: wait, Timeout: durationpb.New(patience)}
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
	for _, o := range []*origin.Origin{s.ecs, s.eks} {
		if o != nil {
			o.Close()
		}
	}
	if s.log != nil {
		_ = s.log.Close()
	}
}

// await waits for something that processes do in their own time.
func await(ctx context.Context, what string, cond func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := poll.Until(ctx, 10*time.Millisecond, cond); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
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
