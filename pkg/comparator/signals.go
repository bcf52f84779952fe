package comparator

import (
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/shadow"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/stats"
)

// signals are what ends an experiment early. They belong to a run, under its lock.
type signals struct {
	candidateErrors int64 // answers that are 5xx, or none at all
	slots           [refusalWindow]slot
}

// slot is what came in one second.
type slot struct {
	second   int64
	refusals int64 // 429 or 503 of control
	latency  stats.Sketch
}

func (s *signals) slot(now time.Time) *slot {
	second := now.Unix()
	at := &s.slots[second%refusalWindow]
	if at.second != second {
		*at = slot{second: second}
	}
	return at
}

// candidate takes what the candidate answered.
func (s *signals) candidate(a *shadow.Answer, now time.Time) {
	if a.Failure != "" || a.Status >= 500 {
		s.candidateErrors++
	}
	s.slot(now).latency.Add(a.Duration)
}

// control takes what control answered.
func (s *signals) control(a *shadow.Answer, now time.Time) {
	if a.Failure == "" && (a.Status == 429 || a.Status == 503) {
		s.slot(now).refusals++
	}
}

// recent are those of the last 10 s: how often control refused, and the candidate's 99th percentile.
func (s *signals) recent(now time.Time) (refusals int64, p99 time.Duration) {
	var all stats.Sketch
	for i := range s.slots {
		if at := &s.slots[i]; at.second > now.Unix()-refusalWindow {
			refusals += at.refusals
			all.Merge(&at.latency)
		}
	}
	return refusals, all.Quantile(0.99)
}

// refused is how often control has refused in the last 10 s.
func (s *signals) refused(now time.Time) (sum int64) {
	for i := range s.slots {
		if at := &s.slots[i]; at.second > now.Unix()-refusalWindow {
			sum += at.refusals
		}
	}
	return sum
}

// beyond says that nobody is to be asked any more, also if the server does not say so yet.
func (s *signals) beyond(stop policy.MirrorStop, now time.Time) bool {
	return stop.CandidateErrors > 0 && s.candidateErrors >= int64(stop.CandidateErrors) ||
		stop.ControlRefusals > 0 && s.refused(now) >= int64(stop.ControlRefusals)
}
