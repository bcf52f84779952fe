package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/bench/internal/usage"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/internal/stack"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

const (
	patience  = 30 * time.Second // for one start
	tryEvery  = 2 * time.Millisecond
	settles   = 2 * time.Second
	perApply  = 100
	hostExtra = 1 // virtual hosts of a port beside those of services: the one that answers 404
)

// measured are the starts of one size, a run each.
type measured struct{ ready, first, all, resident, peak report.Series }

// measure starts a control plane with so many services again and again.
func (o *options) measure(ctx context.Context, services int) (*measured, error) {
	dir, err := os.MkdirTemp("", "crossfade-start-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	binary, err := stack.Build(ctx, dir, "xds-server")
	if err != nil {
		return nil, err
	}
	s, err := stack.Start(ctx, stack.Config{Binary: binary, Dir: dir})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if err := fill(ctx, s, services); err != nil {
		return nil, err
	}
	m := &measured{}
	for range o.runs {
		if err := o.once(ctx, s, services, m); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// fill applies the services.
func fill(ctx context.Context, s *stack.Stack, services int) error {
	var docs []*crossfadev1.Document
	for i := range services {
		docs = append(docs, document(i))
		if len(docs) == perApply || i == services-1 {
			if _, err := s.API.Apply(ctx, &crossfadev1.ApplyRequest{Documents: docs, Options: &crossfadev1.ChangeOptions{Wait: crossfadev1.Wait_WAIT_NONE}}); err != nil {
				return fmt.Errorf("apply: %w", err)
			}
			docs = nil
		}
	}
	return nil
}

// once is one start.
func (o *options) once(ctx context.Context, s *stack.Stack, services int, m *measured) error {
	s.KillServer()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	proxies := newProxies(s.Server.XDS, o.proxies, services)
	began := time.Now()
	complete := proxies.follow(ctx)
	defer proxies.end()
	if err := s.RestartServer(ctx); err != nil {
		return err
	}
	add := func(to *report.Series, v float64) { *to = append(*to, []float64{v}) }
	add(&m.ready, time.Since(began).Seconds())
	var first, last time.Duration
	for i := range o.proxies {
		select {
		case at := <-complete:
			if last = at.Sub(began); i == 0 {
				first = last
			}
		case <-ctx.Done():
			return fmt.Errorf("%d of %d proxies have everything after %v", i, o.proxies, patience)
		}
	}
	add(&m.first, first.Seconds())
	add(&m.all, last.Seconds())
	if err := poll.Pause(ctx, settles); err != nil {
		return err
	}
	resident := usage.Memory(s.Server.PID, "VmRSS")
	if resident == 0 {
		return errors.New("the memory of the control plane cannot be read")
	}
	add(&m.resident, resident)
	add(&m.peak, usage.Memory(s.Server.PID, "VmHWM"))
	return nil
}

// proxies connect as new processes.
type proxies struct {
	address string
	clients []*deltaclient.Client
	want    int // virtual hosts
	stop    context.CancelFunc
	running sync.WaitGroup
}

func newProxies(address string, n, services int) *proxies {
	p := &proxies{address: address, want: services + hostExtra}
	for i := range n {
		p.clients = append(p.clients, deltaclient.New(deltaclient.Config{
			ID: fmt.Sprint("proxy-", i), Fleet: "default", ListenAddress: "127.0.0.1", Layers: translate.LayerNames(),
		}))
	}
	return p
}

// follow runs them, and sends the time at which each has everything.
func (p *proxies) follow(ctx context.Context) <-chan time.Time {
	complete := make(chan time.Time, len(p.clients))
	ctx, p.stop = context.WithCancel(ctx)
	for _, c := range p.clients {
		p.running.Go(func() { p.run(ctx, c) })
		p.running.Go(func() {
			if c.Await(ctx, func() bool { return p.complete(c) }) == nil {
				complete <- time.Now()
			}
		})
	}
	return complete
}

func (p *proxies) complete(c *deltaclient.Client) bool {
	return c.Held(deltaclient.Runtime)[translate.ReadyLayer] == translate.Ready(true).Version && len(c.Held(deltaclient.VirtualHost)) == p.want
}

// run connects until the server is there.
func (p *proxies) run(ctx context.Context, c *deltaclient.Client) {
	for ctx.Err() == nil {
		_ = c.Run(ctx, deltaclient.Direct(p.address))
		_ = poll.Pause(ctx, tryEvery)
	}
}

func (p *proxies) end() {
	p.stop()
	p.running.Wait()
}

// document is service i: two origins, five pins of which one is a regular expression, and so six routes.
func document(i int) *crossfadev1.Document {
	name := fmt.Sprintf("service-%04d", i)
	origin := func(name string, net int) *crossfadev1.Origin {
		return &crossfadev1.Origin{Name: name, Discovery: &crossfadev1.Origin_Static{Static: &crossfadev1.StaticEndpoints{
			Endpoints: []string{fmt.Sprintf("10.%d.%d.%d:8080", net, i/250, i%250+1), fmt.Sprintf("10.%d.%d.%d:8080", net+1, i/250, i%250+1)},
		}}}
	}
	pin := func(name string, m *crossfadev1.ValueMatch) *crossfadev1.Pin {
		return &crossfadev1.Pin{Name: name, Origin: "eks", Match: &crossfadev1.Pin_Header{Header: m}}
	}
	return &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: &crossfadev1.Service{
		ApiVersion: "crossfade/v1", Kind: "Service", Name: name, Hosts: []string{name + ".test"}, Primary: "ecs",
		Origins: []*crossfadev1.Origin{origin("ecs", 10), origin("eks", 20)},
		Split:   &crossfadev1.Split{Weights: map[string]int32{"ecs": 9000, "eks": 1000}},
		Pins: []*crossfadev1.Pin{
			pin("beta", &crossfadev1.ValueMatch{Name: "x-beta", Condition: &crossfadev1.ValueMatch_Exact{Exact: "1"}}),
			pin("smoke", &crossfadev1.ValueMatch{Name: "x-smoke", Condition: &crossfadev1.ValueMatch_Present{Present: true}}),
			pin("tenants", &crossfadev1.ValueMatch{Name: "x-tenant", Condition: &crossfadev1.ValueMatch_Regex{Regex: "t-[0-9]{1,4}"}}),
			pin("staff", &crossfadev1.ValueMatch{Name: "x-role", Condition: &crossfadev1.ValueMatch_Prefix{Prefix: "staff-"}}),
			pin("canary", &crossfadev1.ValueMatch{Name: "x-canary", Condition: &crossfadev1.ValueMatch_Exact{Exact: "always"}}),
		},
	}}}
}
