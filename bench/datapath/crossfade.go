package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/deploy/envoy"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

const (
	crossfade = "crossfade"
	port      = "10000"                    // of services, by default
	flush     = envoy.DefaultFlushInterval // of the proxies' statistics
	patience  = time.Minute                // for whatever must come
)

// site is a control plane with fleets.
type site struct {
	*stack.Stack
	log *os.File
}

func (b *bench) site(ctx context.Context) (s *site, err error) {
	b.sites++
	s = &site{}
	dir := filepath.Join(b.dir, strconv.Itoa(b.sites))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	if s.log, err = os.Create(filepath.Join(dir, "server.log")); err != nil {
		return nil, err
	}
	if s.Stack, err = stack.Start(ctx, stack.Config{Binary: b.binary, Envoy: b.envoy, Dir: dir, Log: s.log}); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *site) close() {
	if s.Stack != nil {
		s.Close()
	}
	_ = s.log.Close()
	_ = os.RemoveAll(filepath.Dir(s.log.Name())) // of proxies, there are a line for each request
}

// apply applies documents in YAML.
func (s *site) apply(ctx context.Context, text string) error {
	parsed, err := manifest.Parse("bench", []byte(text))
	if err != nil {
		return err
	}
	var docs []*crossfadev1.Document
	for _, p := range parsed {
		docs = append(docs, p.Document)
	}
	_, err = s.API.Apply(ctx, &crossfadev1.ApplyRequest{Documents: docs, Options: &crossfadev1.ChangeOptions{
		Wait: crossfadev1.Wait_WAIT_ACKED, Timeout: durationpb.New(patience),
	}})
	return err
}

// fleet is a proxy of a fleet with a feature.
func (b *bench) fleet(f feature) *system {
	return &system{name: crossfade, c: map[string]any{"feature": f.name}, start: func(ctx context.Context, s *site) (*process, error) {
		return s.fleet(ctx, f, b.addresses())
	}}
}

// fleet makes the fleet of a feature, unless it is there already, and starts a proxy of it. Once that is ready an experiment begins, if the feature
// is one: a comparator asks through proxies that it knows.
func (s *site) fleet(ctx context.Context, f feature, origins [2]string) (*process, error) {
	if err := s.apply(ctx, f.documents(origins)); err != nil {
		return nil, err
	}
	p, err := s.AddProxy(ctx, f.id(), 1)
	if err != nil {
		return nil, err
	}
	out := &process{plan: Plan{Target: net.JoinHostPort(p.Host, port), Hosts: f.hosts(), Protocol: f.clients}, pid: p.PID(), ready: p.AwaitReady, end: p.Kill}
	if f.mirror == "" {
		return out, nil
	}
	out.ready = func(ctx context.Context) error {
		if err := p.AwaitReady(ctx); err != nil {
			return err
		}
		return s.apply(ctx, f.experiment())
	}
	if f.mirror == whole { // of another share, a quick run may copy nothing
		out.check = func(ctx context.Context, requests uint64) error { return s.copied(ctx, f, requests) }
	}
	return out, nil
}
