package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/loadgen"
)

// load is an open loop of small GETs through every proxy.
type load struct{ runs []*loadgen.Run }

// sum is what became of it.
type sum struct {
	done, failed, bad uint64 // failed by proxies or without an answer; bad: what origins answered badly
	failures          map[string]uint64
	offered, achieved float64 // requests per second
	lateness          float64 // seconds, the generator's own, a p99
}

// load begins to send each of the services so many requests per second, in turn. Slow answers need more connections.
func (s *site) load(ctx context.Context, each float64, connections int, services ...string) (*load, error) {
	l := &load{}
	all := hosts(services)
	for _, target := range s.targets() {
		run, err := loadgen.Start(ctx, loadgen.Config{
			Target: target, Rate: each * float64(len(all)) / proxies, Duration: loadgen.MaxDuration, Connections: connections,
			Make: func(i uint64) loadgen.Request { return loadgen.Request{Host: all[i%uint64(len(all))], Path: "/"} },
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
		out.done, out.failed, out.bad = out.done+p.Done, out.failed+p.Failed, out.bad+p.OriginErrors
		out.offered, out.achieved = out.offered+p.OfferedRPS, out.achieved+p.AchievedRPS
		out.lateness = max(out.lateness, time.Duration(p.Lateness.ValueAtQuantile(99)).Seconds())
		for why, n := range p.Failures {
			out.failures[why] += n
		}
	}
	l.runs = nil
	return out
}

// plus adds up loads of the same time.
func (s sum) plus(o sum) sum {
	s.done, s.failed, s.bad, s.offered, s.achieved = s.done+o.done, s.failed+o.failed, s.bad+o.bad, s.offered+o.offered, s.achieved+o.achieved
	s.lateness = max(s.lateness, o.lateness)
	all := maps.Clone(s.failures)
	for why, n := range o.failures {
		if all == nil {
			all = map[string]uint64{}
		}
		all[why] += n
	}
	s.failures = all
	return s
}

func (s sum) String() string {
	text := fmt.Sprintf("%.0f of %.0f requests/s; of %d requests origins answered %d badly, %d failed", s.achieved, s.offered, s.done, s.bad, s.failed)
	var why []string
	for _, reason := range slices.Sorted(maps.Keys(s.failures)) {
		why = append(why, fmt.Sprintf("%d × %s", s.failures[reason], reason))
	}
	if len(why) > 0 {
		text += " (" + strings.Join(why, ", ") + ")"
	}
	return text + fmt.Sprintf("; lateness of the generator p99 %.1f ms", s.lateness*1e3)
}
