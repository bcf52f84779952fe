package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/internal/role"
	"github.com/crossfade-proxy/crossfade/internal/envoybin"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

const (
	soon       = time.Minute // for whatever must come
	perApply   = 100
	longBake   = 100 * time.Minute // of steps that are not to end
	half       = whole / 2
	profileEnv = "CROSSFADE_PROFILING=true"
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
		b.envoy, err = envoybin.Find(ctx, envoybin.Newest, os.Stderr)
	}
	if err != nil {
		b.close()
		return nil, err
	}
	r.Version("envoy", b.envoy.Version)
	return b, nil
}

func (b *bench) close() { _ = os.RemoveAll(b.dir) }

// site is a control plane with services, and a simulated fleet.
type site struct {
	*stack.Stack
	b        *bench
	fleet    *role.Child
	proxies  int
	interval time.Duration
	traffic  Traffic
	log      *os.File
}

// site starts one with so many proxies. The caller closes it.
func (b *bench) site(ctx context.Context, proxies int) (s *site, err error) {
	b.sites++
	dir := filepath.Join(b.dir, strconv.Itoa(b.sites))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	s = &site{b: b, traffic: Traffic{Rate: b.rate}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.log, err = os.Create(filepath.Join(dir, "server.log")); err != nil {
		return nil, err
	}
	c := stack.Config{Binary: b.binary, Envoy: b.envoy, Dir: dir, Log: s.log}
	if b.profiles != "" {
		c.Env = []string{profileEnv}
	}
	if s.Stack, err = stack.Start(ctx, c); err != nil {
		return nil, err
	}
	var docs []*crossfadev1.Document
	for i := range b.services {
		docs = append(docs, simulatedService(i))
	}
	for part := range slices.Chunk(docs, perApply) {
		if err := s.apply(ctx, part...); err != nil {
			return nil, err
		}
	}
	if s.fleet, err = role.Start(roleFleet, "GOGC=400"); err != nil { // its garbage is not what is measured
		return nil, err
	}
	if err := s.fleet.Call(ctx, "Start", StartArgs{Address: s.Server.XDS, Services: b.services, Seed: b.Seed}, nil); err != nil {
		return nil, err
	}
	return s, s.grow(ctx, proxies)
}

func (s *site) apply(ctx context.Context, docs ...*crossfadev1.Document) error {
	_, err := s.API.Apply(ctx, &crossfadev1.ApplyRequest{Documents: docs, Options: changeOptions(crossfadev1.Wait_WAIT_NONE)})
	return err
}

func (s *site) close() {
	if s.fleet != nil {
		s.fleet.Close()
	}
	if s.Stack != nil {
		s.Close()
	}
	_ = s.log.Close()
}

// grow connects more simulated proxies.
func (s *site) grow(ctx context.Context, proxies int) error {
	s.proxies = proxies
	if err := s.fleet.Call(ctx, "Grow", proxies, nil); err != nil {
		return err
	}
	return s.serve(ctx, s.traffic)
}

// flush makes the simulated proxies flush so often, and waits until each has done so once: from then on, flushes say which interval they cover.
func (s *site) flush(ctx context.Context, interval time.Duration) error {
	s.interval = interval
	if err := s.fleet.Call(ctx, "Flush", interval, nil); err != nil {
		return err
	}
	return poll.Pause(ctx, interval+interval/10)
}

func (s *site) serve(ctx context.Context, t Traffic) error {
	s.traffic = t
	return s.fleet.Call(ctx, "Serve", t, nil)
}

// roll begins rollouts of the first services, to half, which bake for longer than anything here takes, and waits until they do.
func (s *site) roll(ctx context.Context, rollouts int) error {
	t := s.traffic
	t.Half = nil
	for i := range rollouts {
		if err := s.begin(ctx, plan(serviceName(i), longBake, compared(s.window()), half)); err != nil {
			return err
		}
		t.Half = append(t.Half, i)
	}
	if err := s.serve(ctx, t); err != nil {
		return err
	}
	return s.await(ctx, t.Half, "Baking")
}

// window is what a guard looks at: so much that two flushes are in it. A shorter one would be empty between two flushes of the few.
func (s *site) window() time.Duration { return max(s.b.window, 2*s.interval) }

func (s *site) begin(ctx context.Context, doc *crossfadev1.Rollout) error {
	if _, err := s.API.StartRollout(ctx, &crossfadev1.StartRolloutRequest{Rollout: doc, Options: changeOptions(crossfadev1.Wait_WAIT_NONE)}); err != nil {
		return fmt.Errorf("start %s: %w", doc.GetName(), err)
	}
	return nil
}

// abort ends all rollouts that are on their way, and waits for that.
func (s *site) abort(ctx context.Context) error {
	all := s.traffic.Half
	for _, i := range all {
		_, err := s.API.ActOnRollout(ctx, &crossfadev1.ActOnRolloutRequest{Name: serviceName(i), Action: "abort", Options: changeOptions(crossfadev1.Wait_WAIT_NONE)})
		if err != nil && status.Code(err) != codes.FailedPrecondition { // it went back by itself meanwhile
			return err
		}
	}
	t := s.traffic
	t.Half, t.Failing = nil, nil
	if err := s.serve(ctx, t); err != nil {
		return err
	}
	return s.await(ctx, all, "RolledBack", "Aborted")
}

// await waits until rollouts are in one of these states.
func (s *site) await(ctx context.Context, services []int, states ...string) error {
	ctx, cancel := context.WithTimeout(ctx, soon+3*s.interval)
	defer cancel()
	return poll.Until(ctx, 250*time.Millisecond, func(ctx context.Context) error {
		all, err := s.rollouts(ctx)
		for _, i := range services {
			if got := all[serviceName(i)]; err == nil && !slices.Contains(states, got.GetState()) {
				return fmt.Errorf("%s is %s: %s %s", got.GetName(), got.GetState(), got.GetReason(), got.GetWaitingFor())
			}
		}
		return err
	})
}

// rollouts are all, by name.
func (s *site) rollouts(ctx context.Context) (map[string]*crossfadev1.RolloutStatus, error) {
	got, err := s.API.ListRollouts(ctx, &crossfadev1.ListRolloutsRequest{PageSize: 1000})
	out := map[string]*crossfadev1.RolloutStatus{}
	for _, r := range got.GetItems() {
		out[r.GetName()] = r
	}
	return out, err
}

// stillBaking is an error if a rollout is over: then what was measured is not what it says. It returns how many pass their guards.
func (s *site) stillBaking(ctx context.Context) (pass int, err error) {
	all, err := s.rollouts(ctx)
	if err != nil {
		return 0, err
	}
	for _, i := range s.traffic.Half {
		r := all[serviceName(i)]
		if r.GetState() != "Baking" {
			return pass, errors.Join(err, fmt.Errorf("%s is %s: %s", r.GetName(), r.GetState(), r.GetReason()))
		}
		if r.GetVerdict() == "Pass" {
			pass++
		}
	}
	return pass, nil
}
