package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/role"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
)

// roleLoad is that of the load generator: a process of its own, so that its garbage and its goroutines delay neither calls nor origins.
const roleLoad = "load"

func roles() map[string]any { return map[string]any{roleLoad: &Load{}} }

// tooMuch is a rate, in requests per second, that no Envoy with one worker reaches beside its clients and origins.
const tooMuch = 30_000

// Plan says what to send.
type Plan struct {
	Target   string
	Hosts    []string // in turn
	Protocol loadgen.Protocol
	Rate     float64 // per second
	Queue    int     // see [loadgen.Config]
}

// headers are what a browser and a load balancer send for a user: every system has to carry them.
func headers(user int) [][2]string {
	return [][2]string{
		{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
		{"Accept", "application/json, text/plain, */*"},
		{"Accept-Encoding", "gzip, deflate, br"},
		{"Accept-Language", "de,en-US;q=0.7,en;q=0.3"},
		{"Cookie", fmt.Sprintf("cf=1794-%d; theme=dark; session=5f1c0a7e2b9d4c38", user)},
		{"X-User", fmt.Sprintf("user-%d", user)},
		{"X-Amzn-Trace-Id", "Root=1-67891233-abcdef012345678912345678"},
	}
}

// Sum is what became of all requests of a plan.
type Sum struct {
	Done, Failed uint64
	Failures     map[string]uint64
	Lateness     float64 // seconds, the generator's own, a p99
}

// Span is an interval of the monotonic clock.
type Span struct{ From, To time.Duration }

// Seen is what was answered in a span.
type Seen struct {
	Answered  int       // without a failure
	Latencies []float64 // seconds
}

// Load is the service of the process: some plans that run at the same time.
type Load struct{ streams []*stream }

// stream is what becomes of one plan.
type stream struct {
	run  *loadgen.Run
	mu   sync.Mutex
	seen []loadgen.Result
	good int
}

// Start begins to send what all of the plans say.
func (l *Load) Start(all []Plan, _ *struct{}) error {
	l.streams = nil
	for _, p := range all {
		s := &stream{}
		var err error
		if s.run, err = loadgen.Start(context.Background(), p.config(s.note)); err != nil {
			return errors.Join(err, l.Stop(struct{}{}, &[]Sum{}))
		}
		l.streams = append(l.streams, s)
	}
	return nil
}

func (p Plan) config(note func(loadgen.Result)) loadgen.Config {
	const connections, users = 64, 1000
	known := make([][][2]string, users)
	for i := range known {
		known[i] = headers(i)
	}
	c := loadgen.Config{
		Target: p.Target, Protocol: p.Protocol, Rate: p.Rate, Duration: loadgen.MaxDuration, Connections: connections, Queue: p.Queue, OnResult: note,
		Make: func(i uint64) loadgen.Request {
			return loadgen.Request{Host: p.Hosts[i%uint64(len(p.Hosts))], Path: "/orders/4711?view=full", Header: known[i%users]}
		},
	}
	if p.Protocol == loadgen.HTTP2 {
		c.Connections = 4
	}
	return c
}

func good(r loadgen.Result) bool { return !r.Failed() && !r.OriginError() }

func (s *stream) note(r loadgen.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, r)
	if good(r) {
		s.good++
	}
}

// Answered returns how many requests of each plan were answered so far, without a failure.
func (l *Load) Answered(_ struct{}, out *[]int) error {
	*out = nil
	for _, s := range l.streams {
		s.mu.Lock()
		*out = append(*out, s.good)
		s.mu.Unlock()
	}
	return nil
}

// Stop ends the sending, waits for every answer and sums up, by plan.
func (l *Load) Stop(_ struct{}, out *[]Sum) error {
	for _, s := range l.streams {
		s.run.Stop()
	}
	*out = nil
	for _, s := range l.streams {
		p := s.run.Wait()
		*out = append(*out, Sum{
			Done: p.Done, Failed: p.Failed + p.OriginErrors, Failures: p.Failures, Lateness: time.Duration(p.Lateness.ValueAtQuantile(99)).Seconds(),
		})
	}
	return nil
}

// Window returns what was answered in a span, by plan. Ask after [Load.Stop].
func (l *Load) Window(span Span, out *[]Seen) error {
	*out = nil
	for _, s := range l.streams {
		*out = append(*out, s.window(span))
	}
	return nil
}

func (s *stream) window(span Span) Seen {
	var latencies []float64
	for _, r := range s.seen {
		if r.Done >= span.From && r.Done < span.To && good(r) {
			latencies = append(latencies, r.Latency().Seconds())
		}
	}
	return Seen{Answered: len(latencies), Latencies: latencies}
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

func (l *loader) start(all []Plan) error { return l.Call(context.Background(), "Start", all, nil) }

func (l *loader) answered() (n []int, err error) {
	err = l.Call(context.Background(), "Answered", struct{}{}, &n)
	return n, err
}

func (l *loader) stop() (sums []Sum, err error) {
	err = l.Call(context.Background(), "Stop", struct{}{}, &sums)
	return sums, err
}

func (l *loader) window(s Span) (seen []Seen, err error) {
	err = l.Call(context.Background(), "Window", s, &seen)
	return seen, err
}
