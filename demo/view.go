package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// view is what the client saw of some requests, and what the logs of the origins say of the same ones.
type view struct {
	requests int
	failed   int
	late     time.Duration // how late the client itself sent 1 of 100, or later
	origins  []side
	stray    []string // requests that no log has, that are in both, or that another origin has than the one that answered
}

// side is one origin's part.
type side struct {
	name      string
	answered  int // by the client's reckoning
	errors    int // of those, status 5xx
	logged    int // by the origin's
	latencies []time.Duration
}

// look holds what the client saw against the logs.
func look(requests []sent, origins []*origin.Origin) view {
	v := view{requests: len(requests)}
	logs := make([]map[string]int, len(origins))
	for i, o := range origins {
		v.origins = append(v.origins, side{name: o.Name()})
		logs[i] = map[string]int{}
		for _, r := range o.Requests() {
			if len(r.Get(policy.HeaderShadow)) > 0 {
				continue // a copy
			}
			logs[i][r.Path]++
		}
	}
	lateness := make([]time.Duration, 0, len(requests))
	for _, r := range requests {
		if r.Failed() {
			v.failed++
		}
		lateness = append(lateness, r.Sent-r.Due)
		arrivals, right := 0, r.Failed()
		for i := range v.origins {
			n := logs[i][r.name]
			arrivals += n
			v.origins[i].logged += n
			if r.Origin == v.origins[i].name {
				v.origins[i].add(r)
				right = n == 1
			}
		}
		if !right || arrivals > 1 {
			v.stray = append(v.stray, r.name)
		}
	}
	v.late = p99(lateness)
	return v
}

func (s *side) add(r sent) {
	s.answered++
	s.latencies = append(s.latencies, r.Latency())
	if r.OriginError() {
		s.errors++
	}
}

// p99 is what 99 of 100 do not exceed; 0 of none.
func p99(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[(len(all)*99-1)/100]
}

// latency is the p99 in words.
func (s *side) latency() string {
	if len(s.latencies) == 0 {
		return "-"
	}
	return milliseconds(inMs(p99(s.latencies)))
}

// share is the part of a whole in percent: "90.2%".
func share(part, whole int) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", 100*float64(part)/float64(whole))
}

// lateClient is from when on the client's own lateness is worth a word.
const lateClient = 10 * time.Millisecond

// show writes the view.
func (s *screen) show(v view, since string, over time.Duration) {
	failed := fmt.Sprintf("%d failed", v.failed)
	if v.failed > 0 {
		failed = s.paint(failed, red)
	}
	s.say("\nThe client %s, %.1f s: %s, %s.", since, over.Seconds(), plural(v.requests, "request"), failed)
	rows := [][]string{{"origin", "share", "answers", "5xx", "p99", "in its own log"}}
	for _, o := range v.origins {
		rows = append(rows, []string{o.name, share(o.answered, v.requests), thousands(o.answered), thousands(o.errors), o.latency(), thousands(o.logged)})
	}
	s.table(rows)
	if v.late > lateClient {
		s.say("  %s", s.paint("Busy machine: the client itself sent up to "+milliseconds(inMs(v.late))+" late; p99 includes it.", faint))
	}
}

// some lists at most a few.
func some(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + ", …"
}
