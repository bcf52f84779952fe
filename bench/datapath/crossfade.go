package main

import (
	"context"
	"fmt"
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

// site is a control plane whose fleets have a proxy each.
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

// fleet makes the fleet of a feature and starts its proxy, which serves after [site.ready].
func (s *site) fleet(ctx context.Context, f feature, origins [2]string) (*system, error) {
	if err := s.apply(ctx, f.documents(origins)); err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	p, err := s.AddProxy(ctx, f.id(), 1)
	if err != nil {
		return nil, err
	}
	plan := Plan{Target: net.JoinHostPort(p.Host, port), Hosts: f.hosts(), Protocol: f.clients}
	return &system{name: crossfade, c: map[string]any{"feature": f.name}, plan: plan, pid: p.PID()}, nil
}

// ready waits until all proxies serve, and starts the experiments of features: a comparator asks through proxies that it knows.
func (s *site) ready(ctx context.Context, all ...feature) error {
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, p := range s.Proxies {
		if err := p.AwaitReady(wait); err != nil {
			return err
		}
	}
	for _, f := range all {
		if f.mirror == "" {
			continue
		}
		if err := s.apply(ctx, f.experiment()); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}
