package main

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// load is an open loop of small GETs of service "one" through every proxy.
type load struct {
	runs []*loadgen.Run
	site *site
	was  spent
}

// sum is what became of a load.
type sum struct {
	done, failed      uint64
	failures          map[string]uint64
	offered, achieved float64 // requests per second
	p50, p99          float64 // seconds
	lateness          float64 // seconds, the generator's own, a p99
	used              spent
}

func (s *site) load(ctx context.Context, rate float64) (*load, error) {
	l := &load{site: s, was: s.spent()}
	targets := s.targets()
	same := [][2]string{{origin.AnswerHeader, "bytes=16"}} // from both origins: where answers differ, control is asked once more
	for _, target := range targets {
		run, err := loadgen.Start(ctx, loadgen.Config{
			Target: target, Rate: rate / float64(len(targets)), Duration: loadgen.MaxDuration, Connections: 32,
			Make: func(i uint64) loadgen.Request {
				return loadgen.Request{Host: "one.test", Path: fmt.Sprintf("/orders/%d", i%1000), Header: same}
			},
		})
		if err != nil {
			l.stop()
			return nil, err
		}
		l.runs = append(l.runs, run)
	}
	return l, nil
}

// total is all runs together: their requests, and the means of their rates and latencies.
func total(runs []sum) sum {
	out, n := sum{failures: map[string]uint64{}}, float64(len(runs))
	for _, r := range runs {
		out.done, out.failed = out.done+r.done, out.failed+r.failed
		out.offered, out.achieved = out.offered+r.offered/n, out.achieved+r.achieved/n
		out.p50, out.p99, out.lateness = out.p50+r.p50/n, out.p99+r.p99/n, max(out.lateness, r.lateness)
		out.used = out.used.plus(r.used)
		for why, failed := range r.failures {
			out.failures[why] += failed
		}
	}
	return out
}

// stop ends the sending and waits for every answer.
func (l *load) stop() sum {
	out := sum{failures: map[string]uint64{}, used: l.site.spent().minus(l.was)}
	for _, r := range l.runs {
		r.Stop()
	}
	for _, r := range l.runs {
		p := r.Wait()
		out.done, out.failed = out.done+p.Done, out.failed+p.Failed+p.OriginErrors
		out.offered, out.achieved = out.offered+p.OfferedRPS, out.achieved+p.AchievedRPS
		out.p50, out.p99 = max(out.p50, p.Quantile(0.5).Seconds()), max(out.p99, p.Quantile(0.99).Seconds())
		out.lateness = max(out.lateness, time.Duration(p.Lateness.ValueAtQuantile(99)).Seconds())
		for why, n := range p.Failures {
			out.failures[why] += n
		}
	}
	return out
}

// during sends for a while.
func (s *site) during(ctx context.Context, rate float64, d time.Duration) (sum, error) {
	l, err := s.load(ctx, rate)
	if err != nil {
		return sum{}, err
	}
	err = poll.Pause(ctx, d)
	return l.stop(), err
}

func (s sum) String() string {
	text := fmt.Sprintf("%.0f of %.0f requests/s; %d of %d failed", s.achieved, s.offered, s.failed, s.done)
	var why []string
	for _, reason := range slices.Sorted(maps.Keys(s.failures)) {
		why = append(why, fmt.Sprintf("%d × %s", s.failures[reason], reason))
	}
	if len(why) > 0 {
		text += " (" + strings.Join(why, ", ") + ")"
	}
	return text + fmt.Sprintf("; p50 %.2f ms, p99 %.2f, lateness of the generator p99 %.2f; %v", s.p50*1e3, s.p99*1e3, s.lateness*1e3, s.used)
}

// rateFor is the rate at which everything that belongs to the benchmark uses a share of the machine, with what is going on now.
func (s *site) rateFor(ctx context.Context, share float64) (float64, error) {
	const trial, least, most = 400, 100, 20_000
	got, err := s.during(ctx, trial, 2*time.Second)
	if err != nil {
		return 0, err
	}
	each := got.used.own() / float64(max(1, got.done)) // seconds of CPU per request
	rate := min(most, max(least, share*float64(runtime.NumCPU())/max(each, 1e-6)))
	fmt.Printf("a request needs %.2f ms of CPU altogether: %.0f requests/s for %.0f %% of the machine\n", each*1e3, rate, share*100)
	return rate, nil
}
