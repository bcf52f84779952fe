package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/envoybin"
)

// subject is a system with a fleet: what is measured beside others.
type subject struct {
	system   string
	Clients  int
	Envoys   int // beside the clients
	Manners  Manners
	Workload workload
}

func (s subject) String() string {
	return fmt.Sprintf("%s, %d proxies × %d services", s.system, s.Clients+s.Envoys, s.Workload.Services)
}

// plan is how subjects are measured beside each other.
type plan struct {
	subjects []subject
	rounds   int
	flips    int           // that are measured in a round, after one turn of all services that flip
	pause    time.Duration // after each flip, see betweenFlips
	seed     uint64        // of the order of turns
	profiles string        // folder, "" for none
	limit    int64         // bytes of memory of a server
	envoy    envoybin.Binary
	flush    time.Duration // of the statistics of real Envoys; 0: as by default
	course   func(context.Context, *round) error
	out      io.Writer
}

// results are those of each round, by subject.
type results map[subject][]*measured

// measure runs the rounds, every other one in reverse order. Who gives up in a round is not asked again: its later rounds have the same end.
func (p *plan) measure(ctx context.Context) (results, error) {
	runs, gone := results{}, map[subject]*measured{}
	for number := range p.rounds {
		var order []subject
		for _, s := range p.subjects {
			if gone[s] == nil {
				order = append(order, s)
			}
		}
		if number%2 == 1 {
			slices.Reverse(order)
		}
		began := time.Now()
		got, err := p.round(ctx, order, number)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(p.out, "round %d of %d took %.0f s\n", number+1, p.rounds, time.Since(began).Seconds())
		for _, s := range p.subjects {
			m := got[s]
			if m == nil {
				m = gone[s]
			} else {
				fmt.Fprintf(p.out, "  %-50v %v\n", s, m)
			}
			if m.GaveUp != "" {
				gone[s] = m
			}
			runs[s] = append(runs[s], m)
		}
	}
	return runs, nil
}

// round is one in which every subject runs, each in fresh processes.
type round struct {
	*plan
	number  int
	runners []*runner // in the order of their turns
	order   *rand.Rand
}

// round measures subjects once.
func (p *plan) round(ctx context.Context, subjects []subject, number int) (map[subject]*measured, error) {
	r := &round{plan: p, number: number, order: rand.New(rand.NewPCG(p.seed, uint64(number)))}
	defer r.stop()
	for _, s := range subjects {
		one, err := newRunner(ctx, p, s, number)
		if err != nil {
			return nil, err
		}
		r.runners = append(r.runners, one)
	}
	if err := p.course(ctx, r); err != nil {
		for _, one := range r.runners {
			one.kill() // what they still do is of no use
		}
		return nil, err
	}
	out := map[subject]*measured{}
	for _, one := range r.runners {
		out[one.subject] = &one.m
	}
	return out, nil
}

// stop ends all runners at once: a server with much memory takes its time.
func (r *round) stop() {
	var all sync.WaitGroup
	for _, one := range r.runners {
		all.Go(one.stop)
	}
	all.Wait()
}

// step is something that a runner does.
type step func(*runner, context.Context) error

// each lets every runner do some steps, one runner after the other. Who gives up is left out from then on.
func (r *round) each(ctx context.Context, steps ...step) error {
	for _, one := range r.runners {
		for _, do := range steps {
			if one.m.GaveUp != "" {
				break
			}
			err := do(one, ctx)
			var reason gaveUp
			switch {
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case one.over.Load():
				reason = one.tooMuch()
			case err != nil && !errors.As(err, &reason):
				return fmt.Errorf("%v, round %d: %w", one.subject, r.number+1, err)
			}
			if one.m.GaveUp = string(reason); reason != "" {
				one.kill()
			}
		}
	}
	return nil
}

// turns lets the runners take turns with a step, each time in another order: what one leaves to do hits any of the others.
func (r *round) turns(ctx context.Context, n int, do step) error {
	for range n {
		if err := r.each(ctx, do); err != nil {
			return err
		}
		r.order.Shuffle(len(r.runners), func(i, j int) { r.runners[i], r.runners[j] = r.runners[j], r.runners[i] })
	}
	return nil
}

// flipsAndStorm is the usual course. Cold starts, folds and reconnect storms follow each other; flips take turns, so that what else goes on in
// the machine hits all alike.
func flipsAndStorm(ctx context.Context, r *round) error {
	if err := r.each(ctx, (*runner).start, (*runner).warmUp); err != nil {
		return err
	}
	if err := r.turns(ctx, r.flips, (*runner).measuredFlip); err != nil {
		return err
	}
	if err := r.each(ctx, (*runner).endFlips); err != nil { // of all at the same time: memory goes back to the system by and by
		return err
	}
	return r.each(ctx, (*runner).fold, (*runner).storm)
}

// gaveUp says why a system is measured no further.
type gaveUp string

func (g gaveUp) Error() string { return string(g) }
