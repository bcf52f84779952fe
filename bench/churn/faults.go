package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/internal/awstest"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/monotime"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// fault is a way in which sources fail.
type fault struct {
	name       string
	begin, end func(ctx context.Context) error
}

func (l *lab) faultsOf(a *app) []fault {
	now := func(f func()) func(context.Context) error {
		return func(context.Context) error { return l.tb.try(f) }
	}
	hide := func(hidden func(awstest.Task) bool) func(context.Context) error {
		return func(ctx context.Context) error {
			l.aws.Hide(cluster, hidden)
			return a.pods.Hide(ctx, hidden != nil)
		}
	}
	return []fault{
		{"kube-apiserver killed", now(l.kube.Kill), now(l.kube.Restart)},
		{"AWS down", now(func() { l.aws.Down(true) }), now(func() { l.aws.Down(false) })},
		{"both list nothing", hide(func(awstest.Task) bool { return true }), hide(nil)},
	}
}

// faults lets the sources fail for as long as l.outage while requests go to both origins, and rolls back again and again.
func (l *lab) faults(ctx context.Context) error {
	f, err := l.fleet(ctx, ecsPoll)
	if err != nil {
		return err
	}
	defer f.Close()
	a, err := l.app(ctx, "faulty", l.replicas)
	if err != nil {
		return err
	}
	var services []*crossfadev1.Service
	for _, protocol := range []string{"http1", "http2"} {
		s := a.service("faulty-"+protocol, "ecs", protocol, "faulty-"+protocol+".test")
		s.Split.Weights = half()
		services = append(services, s)
	}
	if err := f.apply(ctx, services...); err != nil {
		return err
	}
	if err := f.known(ctx, 2*len(services)); err != nil {
		return err
	}
	for _, fault := range l.faultsOf(a) {
		if err := l.faultCase(ctx, f, fault); err != nil {
			return fmt.Errorf("%s: %w", fault.name, err)
		}
	}
	return nil
}

func half() map[string]int32 { return map[string]int32{"ecs": 5000, "eks": 5000} }

func (l *lab) faultCase(ctx context.Context, f fleet, fault fault) error {
	loads := map[string]*load{}
	for name, protocol := range map[string]loadgen.Protocol{"http1": loadgen.HTTP1, "http2": loadgen.HTTP2} {
		started, err := startLoad(ctx, f.targets(), protocol, l.rate, func(int) string { return "faulty-" + name + ".test" })
		if err != nil {
			return err
		}
		defer started.stop()
		loads[name] = started
	}
	if err := fault.begin(ctx); err != nil {
		return err
	}
	rollbacks, err := l.rollBackUntil(ctx, f, monotime.Now()+l.outage)
	if err := errors.Join(err, fault.end(ctx)); err != nil {
		return err
	}
	if err := f.known(ctx, 4); err != nil {
		return err
	}
	var sums []sum
	for name, started := range loads {
		sum := started.stop()
		sums = append(sums, sum)
		c := map[string]any{"fault": fault.name, "protocol": name, "proxies": l.proxies, "seconds": l.outage.Seconds()}
		l.r.Add(sum.line(system, c).AimNone())
		fmt.Printf("faults, %s: %s: %v\n", fault.name, name, sum)
	}
	line := l.rollbackLine(fault.name, rollbacks, sums...)
	l.r.Add(line)
	fmt.Printf("faults, %s: %d rollbacks, each acknowledged by all, p50 %.1f ms, max %.1f\n", fault.name, line.N, line.P50*1e3, line.Max*1e3)
	return nil
}

// rollbackLine is how long the rollbacks took that were made under these loads: as valid as the requests are. None has failed, or there would be no line.
func (l *lab) rollbackLine(fault string, took []float64, loads ...sum) *report.Line {
	line := report.NewLine(system, "rollback_acked", "s", map[string]any{"fault": fault, "proxies": l.proxies}, report.Series{took})
	var offered, achieved float64
	for _, s := range loads {
		offered, achieved = offered+s.offered, achieved+s.achieved
		s.valid(line)
	}
	line.OfferedRPS, line.AchievedRPS = &offered, &achieved
	return line
}

// rollBackUntil rolls both services back, one after the other, every second, and returns how long each call took. One that fails, or that a proxy does not
// acknowledge, is an error.
func (l *lab) rollBackUntil(ctx context.Context, f fleet, end time.Duration) (took []float64, err error) {
	options := &crossfadev1.ChangeOptions{Wait: crossfadev1.Wait_WAIT_ACKED, Timeout: durationpb.New(patience), Force: true}
	for monotime.Now() < end {
		if err := poll.Pause(ctx, time.Second); err != nil {
			return nil, err
		}
		for _, name := range []string{"faulty-http1", "faulty-http2"} {
			began := monotime.Now()
			got, err := f.API.Rollback(ctx, &crossfadev1.RollbackRequest{Service: name, Options: options})
			if err != nil {
				return nil, err
			}
			if acked := int(got.GetChanges()[0].GetFleet().GetAcked()); acked != l.proxies {
				return nil, fmt.Errorf("only %d proxies acknowledged a rollback", acked)
			}
			took = append(took, (monotime.Now() - began).Seconds())
			// Forced: endpoints that are held do not count as capacity.
			if _, err := f.API.SetSplit(ctx, &crossfadev1.SetSplitRequest{Service: name, Weights: half(), Options: options}); err != nil {
				return nil, err
			}
		}
	}
	return took, nil
}
