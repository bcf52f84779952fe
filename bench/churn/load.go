package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/internal/loadgen"
)

// load is requests for a service through every proxy; each fifth is a POST.
type load struct {
	runs        []*loadgen.Run
	ended       atomic.Uint64 // requests, in whatever way
	failedPosts atomic.Uint64
}

// sum is what became of them.
type sum struct {
	done, failed, failedPosts uint64
	failures                  map[string]uint64
	offered, achieved         float64 // requests per second
	p99, lateness             float64 // seconds; lateness is a p99, and the generator's own
}

const postEach = 5

// startLoad sends rate requests per second, over all targets. host is of the n-th target.
func startLoad(ctx context.Context, targets []string, p loadgen.Protocol, rate float64, host func(n int) string) (*load, error) {
	l := &load{}
	for n, target := range targets {
		run, err := loadgen.Start(ctx, loadgen.Config{
			Target: target, Protocol: p, Rate: rate / float64(len(targets)), Duration: loadgen.MaxDuration, Connections: 16,
			Make: loadgen.WithPosts(postEach, loadgen.Request{Host: host(n), Path: "/"}, []byte("a body that is sent once")),
			OnResult: func(r loadgen.Result) {
				l.ended.Add(1)
				if (r.Failed() || r.OriginError()) && r.Index%postEach == postEach-1 {
					l.failedPosts.Add(1)
				}
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

// stop ends the sending and waits for every answer.
func (l *load) stop() sum {
	out := sum{failures: map[string]uint64{}}
	for _, r := range l.runs {
		r.Stop()
	}
	for _, r := range l.runs {
		p := r.Wait()
		out.done, out.failed = out.done+p.Done, out.failed+p.Failed+p.OriginErrors
		out.offered, out.achieved = out.offered+p.OfferedRPS, out.achieved+p.AchievedRPS
		out.p99 = max(out.p99, p.Quantile(0.99).Seconds())
		out.lateness = max(out.lateness, time.Duration(p.Lateness.ValueAtQuantile(99)).Seconds())
		for why, n := range p.Failures {
			out.failures[why] += n
		}
		if p.OriginErrors > 0 {
			out.failures["error of the origin"] += p.OriginErrors
		}
	}
	out.failedPosts = l.failedPosts.Load()
	return out
}

// enough of a rate is what was reached of it, at least: else proxies had less to do than the line says. tooLate is by how much a load may be late with a
// hundredth of its requests, in seconds: beyond that they wait for each other until their time is up, and what fails is the load.
const (
	enough  = 0.97
	tooLate = 1
)

// rate completes a line of something that happened under this load.
func (s sum) rate(l *report.Line) {
	l.Failed, l.OfferedRPS, l.AchievedRPS, l.Note = int(s.failed), &s.offered, &s.achieved, s.String()
	s.valid(l)
}

// valid notes if too little was sent for a line to say something.
func (s sum) valid(l *report.Line) {
	if s.achieved < enough*s.offered {
		l.Invalidate("only %.0f of %.0f requests per second were sent", s.achieved, s.offered)
	}
	if s.lateness > tooLate {
		l.Invalidate("the load itself was %.1f s late with 1 %% of the requests: the machine cannot do as much, see -rate", s.lateness)
	}
}

// line is that of the requests themselves.
func (s sum) line(system string, c map[string]any) *report.Line {
	l := report.NewLine(system, "requests", "requests", c, report.Series{{float64(s.done)}})
	l.N = int(s.done)
	s.rate(l)
	return l
}

func (s sum) String() string {
	text := fmt.Sprintf("%d of %d failed", s.failed, s.done)
	if s.failed > 0 {
		var why []string
		for _, reason := range slices.Sorted(maps.Keys(s.failures)) {
			why = append(why, fmt.Sprintf("%d × %s", s.failures[reason], reason))
		}
		text += fmt.Sprintf(" (%s; %d of them POST)", strings.Join(why, ", "), s.failedPosts)
	}
	return text
}
