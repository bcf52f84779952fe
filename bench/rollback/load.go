package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/role"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/monotime"
)

// roleLoad is that of the load generator: a process of its own, so that its garbage and its goroutines delay neither calls nor origins.
const roleLoad = "load"

func roles() map[string]any { return map[string]any{roleLoad: &Load{}} }

// Plan says what to send. Every proxy gets the same.
type Plan struct {
	Targets     []string // of the proxies
	Resolver    string   // if set, the targets are names that it is asked for
	Hosts       []string // of the measured service, one for each proxy
	Others      []string // hosts of other services, which get one request in twenty more
	Rate        float64  // per proxy, to the measured service
	Connections int      // per proxy
	Timeout     time.Duration
	Record      bool // keep every result, for [Load.Window]
}

// Sum is what became of the requests so far.
type Sum struct {
	Done, Failed       uint64
	Failures           map[string]uint64
	Offered, Achieved  float64 // requests per second
	P50, P99, Lateness float64 // seconds; lateness is a p99
}

// Span is an interval of the monotonic clock.
type Span struct{ From, To time.Duration }

// Load is the service of the process.
type Load struct {
	mu   sync.Mutex
	plan Plan
	runs []*loadgen.Run
	seen []loadgen.Result

	followers []*follower
}

// Start begins to send.
func (l *Load) Start(p Plan, _ *struct{}) error {
	l.plan, l.seen = p, nil
	for n, target := range p.Targets {
		c := loadgen.Config{
			Target: target, Rate: p.Rate, Duration: loadgen.MaxDuration, Connections: p.Connections, Timeout: p.Timeout,
			Make: func(i uint64) loadgen.Request { return loadgen.Request{Host: p.Hosts[n]} },
		}
		if len(p.Others) > 0 {
			c.Rate = p.Rate * 21 / 20
			c.Make = func(i uint64) loadgen.Request {
				if i%21 == 20 {
					return loadgen.Request{Host: p.Others[int(i/21)%len(p.Others)]}
				}
				return loadgen.Request{Host: p.Hosts[n]}
			}
		}
		if p.Record {
			c.OnResult = l.note
		}
		if err := l.send(c, float64(n+1)/float64(len(p.Targets))); err != nil {
			return err
		}
	}
	return nil
}

// send starts one client. Clients of names begin with different shares of the TTL left, evenly spread: they have asked at different times.
func (l *Load) send(c loadgen.Config, left float64) error {
	if l.plan.Resolver != "" {
		f, err := follow(l.plan.Resolver, c.Target, left, c)
		if err == nil {
			l.followers = append(l.followers, f)
		}
		return err
	}
	run, err := loadgen.Start(context.Background(), c)
	if err == nil {
		l.runs = append(l.runs, run)
	}
	return err
}

func (l *Load) note(r loadgen.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = append(l.seen, r)
}

// Stop ends the sending, waits for every answer and sums up.
func (l *Load) Stop(_ struct{}, out *Sum) error {
	for _, r := range l.runs {
		r.Stop()
	}
	*out = Sum{Failures: map[string]uint64{}}
	for _, r := range l.runs {
		out.add([]*loadgen.Run{r})
	}
	var err error
	for _, f := range l.followers {
		err = errors.Join(err, f.stop())
		out.add(f.runs)
	}
	l.runs, l.followers = nil, nil
	return err
}

// add adds the runs of one client, of which each began when the one before ended.
func (s *Sum) add(runs []*loadgen.Run) {
	var done, seconds float64
	for _, r := range runs {
		p := r.Wait()
		s.Done, s.Failed = s.Done+p.Done, s.Failed+p.Failed+p.OriginErrors
		for why, n := range p.Failures {
			s.Failures[why] += n
		}
		s.P50, s.P99 = max(s.P50, p.Quantile(0.5).Seconds()), max(s.P99, p.Quantile(0.99).Seconds())
		s.Lateness = max(s.Lateness, time.Duration(p.Lateness.ValueAtQuantile(99)).Seconds())
		if p.AchievedRPS > 0 {
			done, seconds = done+float64(p.Done), seconds+float64(p.Done)/p.AchievedRPS
		}
		if r == runs[0] {
			s.Offered += p.OfferedRPS
		}
	}
	s.Achieved += done / max(seconds, 1e-9)
}

// Window returns the latencies, in seconds, of the requests that were due in a span. Those that are not answered yet are missing: ask
// after [Load.Stop], or when all must have ended.
func (l *Load) Window(s Span, out *[]float64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	*out = []float64{}
	for _, r := range l.seen {
		if r.Due >= s.From && r.Due < s.To {
			*out = append(*out, r.Latency().Seconds())
		}
	}
	return nil
}

// Saturate sends as much as is answered, for a while, and returns the answers per second.
func (l *Load) Saturate(p Plan, out *float64) error {
	const tooMuch, length = 10_000, 3 * time.Second
	for n, target := range p.Targets {
		run, err := loadgen.Start(context.Background(), loadgen.Config{
			Target: target, Rate: tooMuch, Duration: length, Connections: p.Connections, Timeout: length, Request: loadgen.Request{Host: p.Hosts[n]},
		})
		if err != nil {
			return err
		}
		l.runs = append(l.runs, run)
	}
	monotime.SleepUntil(monotime.Now() + length)
	*out = 0
	for _, r := range l.runs {
		p := r.Report()
		*out += float64(p.Done-p.Failed) / p.Elapsed.Seconds()
		r.Stop()
	}
	var sum Sum
	if err := l.Stop(struct{}{}, &sum); err != nil {
		return err
	}
	if math.IsNaN(*out) || *out < 1 {
		return fmt.Errorf("nothing was answered: %v", sum.Failures)
	}
	return nil
}

// loader is the load generator as its parent sees it.
type loader struct{ *role.Child }

func startLoader() (*loader, error) {
	c, err := role.Start(roleLoad, "GOGC=400")
	if err != nil {
		return nil, err
	}
	return &loader{c}, nil
}

func (l *loader) start(p Plan) error { return l.Call(context.Background(), "Start", p, nil) }

func (l *loader) stop() (s Sum, err error) {
	err = l.Call(context.Background(), "Stop", struct{}{}, &s)
	return s, err
}

func (l *loader) window(from, to time.Duration) (latencies []float64, err error) {
	err = l.Call(context.Background(), "Window", Span{from, to}, &latencies)
	return latencies, err
}

func (l *loader) saturate(p Plan) (rps float64, err error) {
	err = l.Call(context.Background(), "Saturate", p, &rps)
	return rps, err
}
