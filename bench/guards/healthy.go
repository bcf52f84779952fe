package main

import (
	"context"
	"fmt"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/internal/monotime"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/stats"
)

const healthyRate = 80 // requests per second of each service

// tale is what became of the rollouts of a kind.
type tale struct{ completed, unfinished, back, frozen int }

func (t tale) whole() int { return t.completed + t.back + t.frozen }

// healthies walks rollouts of sound candidates one after the other, until time is up.
func (b *bench) healthies(ctx context.Context) error {
	s, err := b.site(ctx, flush)
	if err != nil {
		return err
	}
	defer s.close()
	kinds, all, err := b.healthyApps(ctx, s)
	if err != nil {
		return err
	}
	l, err := s.load(ctx, healthyRate, slowBusy, serviceNames(all)...)
	if err != nil {
		return err
	}
	was := s.cores()
	tales, err := b.tell(ctx, s, kinds, all)
	sent := l.stop()
	if err != nil {
		return err
	}
	b.healthyLines(tales, sent, s.cores().since(was))
	return nil
}

// healthyApps makes services of each kind; kinds has that of each service.
func (b *bench) healthyApps(ctx context.Context, s *site) (kinds map[string]string, all []app, err error) {
	kinds = map[string]string{}
	for _, kind := range healthyKinds {
		services := names(kind, b.perKind)
		var sides [2]*side
		for i, name := range []string{control, candidate} {
			if sides[i], err = s.side(name, pods, services...); err != nil {
				return nil, nil, err
			}
			sides[i].behave(healthy(kind))
		}
		for _, name := range services {
			kinds[name] = kind
			all = append(all, app{name, sides[0], sides[1]})
		}
	}
	return kinds, all, s.apply(ctx, all)
}

// healthyPlan has no limit of latencies that a busy machine breaks: then both origins are slow in truth, and a rollout that freezes is right.
func (b *bench) healthyPlan(a app) *crossfadev1.Rollout {
	bake, window := time.Minute, 10*time.Second
	if b.Size == report.Quick {
		bake, window = 3*time.Second, 3*time.Second
	}
	return a.plan(bake, []int32{1000, 5000, whole}, within(window, []*crossfadev1.RolloutGuard{
		most("errors", "errorRate", "0.5%"), ratio("more-errors", "errorRate", 2), most("slow", "p99", "10s"), ratio("slower-mean", "mean", 1.3), ratio("slower", "p90", 1.5),
	})...)
}

// tell starts a rollout of each service, and another when it is over.
func (b *bench) tell(ctx context.Context, s *site, kinds map[string]string, all []app) (map[string]*tale, error) {
	tales, steps := map[string]*tale{}, map[string]int32{}
	for _, kind := range healthyKinds {
		tales[kind] = &tale{}
	}
	for _, a := range all {
		if err := s.start(ctx, b.healthyPlan(a)); err != nil {
			return nil, err
		}
	}
	end := time.Now().Add(b.healthy)
	for {
		states, err := s.states(ctx)
		if err != nil {
			return nil, err
		}
		last := time.Now().After(end)
		for _, a := range all {
			st, t := states[a.name], tales[kinds[a.name]]
			if st.GetStep() != steps[a.name] {
				steps[a.name] = st.GetStep()
				a.tally().stepped.Store(int64(monotime.Now()))
			}
			if ended := t.count(st, last); ended && !last {
				if err := b.again(ctx, s, a, st); err != nil {
					return nil, err
				}
			}
		}
		if last {
			return tales, s.exited()
		}
		if err := poll.Pause(ctx, 200*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// count counts a rollout that is over, and at last those that are not, too. It says whether it is over.
func (t *tale) count(st *crossfadev1.RolloutStatus, last bool) bool {
	switch st.GetState() {
	case "Completed":
		t.completed++
	case "RolledBack":
		t.back++
	case "Frozen":
		t.frozen++
	case "RollingBack": // it is counted when it is over
		if last {
			t.back++
		}
		return false
	default:
		if last {
			t.unfinished++
			fmt.Printf("healthy: unfinished: %s, step %d: %s\n", st.GetName(), st.GetStep(), st.GetWaitingFor())
		}
		return false
	}
	return true
}

// again walks the rollout of a service once more from the beginning.
func (b *bench) again(ctx context.Context, s *site, a app, st *crossfadev1.RolloutStatus) error {
	if st.GetState() != "Completed" {
		fmt.Printf("healthy: FALSE: %s is %s at step %d: %s\n", a.name, st.GetState(), st.GetStep(), st.GetReason())
	}
	if _, err := s.API.Rollback(ctx, &crossfadev1.RollbackRequest{Service: a.name, Options: changeOptions(crossfadev1.Wait_WAIT_NONE)}); err != nil {
		return err
	}
	err := until(ctx, soon, "the rollout of "+a.name+" to be over", func(ctx context.Context) error {
		states, err := s.states(ctx)
		if got := states[a.name].GetState(); err == nil && !isOneOf(got, []string{"Completed", "RolledBack", "Aborted"}) {
			return fmt.Errorf("it is %s", got)
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.start(ctx, b.healthyPlan(a))
}

func (b *bench) healthyLines(tales map[string]*tale, sent sum, used cores) {
	var all tale
	first := len(b.r.Lines())
	note := fmt.Sprintf("%v; %v", sent, used)
	line := func(kind string, t tale) {
		n, bad := t.whole(), t.back+t.frozen
		text := fmt.Sprintf("%d of %d whole rollouts rolled back, %d frozen, %d unfinished: at most %.1f %% with a confidence of 95 %%", t.back, n, t.frozen, t.unfinished, 100*upper(bad, n))
		fmt.Printf("healthy, %s: %s\n", kind, text)
		l := b.amount("healthy", map[string]any{"proxies": proxies, "kind": kind}, "rollouts", "rollouts", float64(n), text+"; "+note)
		l.N, l.Failed = n, bad
		if kind == "all" {
			l.AimOf("0 rolled back or frozen", fmt.Sprintf("%d of %d whole rollouts", bad, n), bad == 0)
		}
		b.r.Add(l)
	}
	for _, kind := range healthyKinds {
		t := *tales[kind]
		all.completed, all.unfinished, all.back, all.frozen = all.completed+t.completed, all.unfinished+t.unfinished, all.back+t.back, all.frozen+t.frozen
		line(kind, t)
	}
	line("all", all)
	b.hold(first, sent)
	fmt.Printf("healthy: %s\n", note)
}

// upper is the one-sided 95 % limit for a share of which k of n were seen: the end of an interval that leaves out as much on either side.
func upper(k, n int) float64 {
	_, high := stats.Interval(uint64(k), uint64(n), 0.9)
	return high
}
