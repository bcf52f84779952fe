package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

const (
	realProxies = 2
	realService = "real"
	realRate    = 100 // requests per second, at all
)

// reality is real Envoys in the fleet, and a service that they alone serve.
type reality struct {
	s        *site
	ecs, eks *origin.Origin
	runs     []*loadgen.Run
}

// real adds the Envoys, and sends them requests.
func (s *site) real(ctx context.Context) (*reality, error) {
	r := &reality{s: s}
	if err := r.start(ctx); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// start starts what a reality is made of. The caller closes it, also after an error.
func (r *reality) start(ctx context.Context) (err error) {
	s := r.s
	if r.ecs, err = origin.Start(origin.Config{Name: primary}); err != nil {
		return err
	}
	if r.eks, err = origin.Start(origin.Config{Name: candidate}); err != nil {
		return err
	}
	if err := s.apply(ctx, service(realService, r.ecs.Addr(), r.eks.Addr())); err != nil {
		return err
	}
	s.Flush = s.interval // of the bootstraps
	for range realProxies {
		if _, err := s.AddProxy(ctx, fleetName, 1); err != nil {
			return err
		}
	}
	for _, p := range s.Proxies {
		ready, cancel := context.WithTimeout(ctx, soon)
		err := p.AwaitReady(ready)
		cancel()
		if err != nil {
			return err
		}
		run, err := loadgen.Start(ctx, loadgen.Config{
			Target: net.JoinHostPort(p.Host, strconv.Itoa(port)), Rate: realRate / realProxies, Duration: loadgen.MaxDuration, Connections: 8,
			Request: loadgen.Request{Host: realService + ".test"},
		})
		if err != nil {
			return err
		}
		r.runs = append(r.runs, run)
	}
	return nil
}

// what is the case of its lines.
func (r *reality) what() map[string]any {
	return map[string]any{"proxies": r.s.proxies + realProxies, "serving": realProxies, "interval_s": r.s.interval.Seconds(), "rate": realRate}
}

// failures lets the candidate fail at half of the requests, once and again.
func (r *reality) failures(ctx context.Context) error {
	var decided []float64
	for range r.s.b.fails {
		if err := r.roll(ctx, "Baking", longBake, half); err != nil {
			return err
		}
		if err := poll.Pause(ctx, r.s.interval); err != nil {
			return err
		}
		w := r.s.watch(ctx, realService)
		began := time.Now()
		err := r.eks.SetFaults(origin.Faults{ErrorShare: r.s.b.failing})
		if err == nil {
			err = w.await(ctx, 3*r.s.interval+soon, "RollingBack")
		}
		took, why := time.Since(began).Seconds(), w.reason
		if err == nil {
			err = w.await(ctx, 3*r.s.interval+soon, "RolledBack")
		}
		w.stop()
		if err = errors.Join(err, r.eks.SetFaults(origin.Faults{})); err != nil {
			return fmt.Errorf("%s, whose candidate fails: %w", realService, err)
		}
		r.s.b.decided(realService, realProxies, took, why)
		decided = append(decided, took)
	}
	what := r.what()
	what["errors"] = r.s.b.failing
	r.s.b.r.Add(r.s.b.amount("guards", what, "failing_until_decided", "s", decided...))
	return nil
}

// walk lets a sound candidate go all its way and then ends the requests: each must have been counted, by the control plane and by the origins.
func (r *reality) walk(ctx context.Context) error {
	b := r.s.b
	what := r.what()
	began := time.Now()
	if err := r.roll(ctx, "Completed", r.s.window(), whole/4, half, whole); err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	fmt.Printf("guards: the rollout that %d real Envoys serve completed after %.0f s\n", realProxies, took)
	b.r.Add(b.amount("guards", what, "real_rollout_completed", "s", took))
	return r.counts(ctx, what)
}

// roll begins a rollout and waits for a state.
func (r *reality) roll(ctx context.Context, state string, bake time.Duration, weights ...int32) error {
	if err := r.s.begin(ctx, plan(realService, bake, alone(r.s.window()), weights...)); err != nil {
		return err
	}
	w := r.s.watch(ctx, realService)
	defer w.stop()
	if err := w.await(ctx, soon+time.Duration(len(weights))*(bake+3*r.s.window()), state); err != nil {
		return fmt.Errorf("%s: %w", realService, err)
	}
	return nil
}

// counts ends the requests and compares who counted how many.
func (r *reality) counts(ctx context.Context, what map[string]any) error {
	var done, failed, bad uint64
	for _, run := range r.runs {
		run.Stop()
	}
	for _, run := range r.runs {
		p := run.Wait()
		done, failed, bad = done+p.Done, failed+p.Failed, bad+p.OriginErrors
	}
	r.runs = nil
	origins := counted{requests: r.ecs.Total() + r.eks.Total(), failed: bad}
	got, err := r.s.countedBy(ctx, realService, origins)
	if err != nil {
		return err
	}
	l := r.s.b.amount("guards", what, "real_requests_counted", "requests", float64(got.requests))
	l.N, l.Failed = int(done), int(failed)
	l.Note = fmt.Sprintf("the load generator sent %d, of which %d failed without an origin and %d at one; the origins had %d, %d of them at the candidate",
		done, failed, bad, origins.requests, r.eks.Total())
	r.s.b.r.Add(l.AimNone())
	fmt.Printf("guards: %s; the control plane counted %d, %d of them failed\n", l.Note, got.requests, got.failed)
	return nil
}

func (r *reality) close() {
	for _, run := range r.runs {
		run.Stop()
		run.Wait()
	}
	for _, o := range []*origin.Origin{r.ecs, r.eks} {
		if o != nil {
			o.Close()
		}
	}
}
