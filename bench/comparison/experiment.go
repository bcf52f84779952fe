package main

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/shadow"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/shadowtest"
)

// key of the hashes.
var key = []byte("a key of a benchmark")

// noiseShare of the pairs are those for which control is asked twice by chance: the default of experiments.
const noiseShare = 0.2

// experiment runs the pairs of a world through a comparer and a tally, as a comparator does.
type experiment struct {
	world *shadowtest.World
	r     *rand.Rand
	c     *shadow.Comparer
	tally *shadow.Tally
	out   *shadow.Outcome
	share float64 // of the pairs for which control is asked twice by chance
	now   time.Time
}

func newExperiment(seed uint64, o shadowtest.Options, share float64) (*experiment, error) {
	descriptors, bad := shadow.ReadDescriptors(shadowtest.Descriptors())
	if bad != nil {
		return nil, bad
	}
	options := shadow.Options{Key: key, Descriptors: descriptors}
	c, errs := shadow.NewComparer(options)
	tally, more := shadow.NewTally(options)
	if err := append(append(policy.Errors{}, errs...), more...).Err(); err != nil {
		return nil, err
	}
	return &experiment{
		world: shadowtest.New(seed, o), r: rand.New(rand.NewPCG(seed, 77)), c: c, tally: tally, share: share,
		now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}, nil
}

func (e *experiment) ask(q shadowtest.Request, candidate bool) *shadow.Answer {
	a := e.world.Answer(e.r, q, candidate)
	return &shadow.Answer{
		Failure: shadow.Failure(a.Failure), Status: a.Status, Headers: a.Headers, Trailers: a.Trailers, Body: a.Body, Length: int64(len(a.Body)),
		Duration: time.Millisecond,
	}
}

// run adds n pairs; after each, seen is told of it, if there is one.
func (e *experiment) run(n int, seen func(*shadow.Pair)) {
	for range n {
		q := e.world.Ask(e.r)
		p := &shadow.Pair{Method: q.Method, Path: q.Path, Control: e.ask(q, false), Candidate: e.ask(q, true)}
		if e.r.Float64() < e.share {
			p.Second = e.ask(q, false)
		}
		e.out = e.c.Judge(p, shadow.Live{}, e.out)
		if e.tally.Wants(e.out) {
			p.Second, p.Chosen = e.ask(q, false), shadow.ByDifference
			e.out = e.c.Judge(p, shadow.Live{}, e.out)
		}
		e.now = e.now.Add(time.Second)
		e.tally.Add(e.out, e.now)
		if seen != nil {
			seen(p)
		}
	}
}

// findings are the places that a report of this moment takes for differences.
func (e *experiment) findings() (out []shadowtest.Place) {
	for _, d := range e.tally.Report(shadow.Policy{}).Differences {
		if d.State == shadow.Finding {
			out = append(out, shadowtest.Place{Endpoint: d.Endpoint, Kind: string(d.Kind), Path: d.Path})
		}
	}
	return out
}

// each runs n experiments on all cores, and returns what they gave, in order.
func each[T any](ctx context.Context, n int, one func(ctx context.Context, i int) (T, error)) ([]T, error) {
	out := make([]T, n)
	errs := make([]error, n)
	next := make(chan int)
	var workers sync.WaitGroup
	for range runtime.NumCPU() {
		workers.Go(func() {
			for i := range next {
				if out[i], errs[i] = one(ctx, i); errs[i] == nil {
					errs[i] = ctx.Err()
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
