package experiment

import (
	"fmt"
	"time"
)

// ending is that a run has to end.
type ending struct {
	why, detail string
	called      time.Time // when the owner was told last
	calling     bool
}

// again is how long after the owner was told that a run has to end it is told again, if it has not ended.
const again = 5 * time.Second

// expire forgets orders that nobody can follow any more, instances of which nothing is known, and reports that were kept long enough.
func (d *Desk) expire(r *run, now time.Time) {
	for name, p := range r.parts {
		p.expire(now)
		if !p.connected && p.empty() {
			delete(r.parts, name)
		}
	}
	if r.state == stateEnded && r.gone != goneExpired && now.Sub(r.doc.GetRun().GetEnded().AsTime()) >= d.c.Retention {
		r.parts, r.past, r.found, r.gone = map[string]*part{}, past{}, nil, goneExpired
		r.touch()
		d.fresh, d.urgent = true, true
	}
}

// endIfDue tells the owner of a run that has to end, and stops asking.
func (d *Desk) endIfDue(r *run, now time.Time) {
	if !r.open() || d.closed {
		return
	}
	if r.ending == nil {
		why, detail := r.due(now)
		if why == "" {
			return
		}
		r.ending = &ending{why: why, detail: detail}
		d.c.Log.Info("a mirror has to end", "mirror", r.mirror, "run", r.id, "why", why, "detail", detail)
	}
	e := r.ending
	if e.calling || !e.called.IsZero() && now.Sub(e.called) < again {
		return
	}
	e.called, e.calling = now, true
	d.work.Go(func() {
		d.c.End(r.mirror, r.id, e.why, e.detail)
		d.mu.Lock()
		defer d.mu.Unlock()
		e.calling = false
	})
}

// due says why a run has to end now; nothing if it does not.
func (r *run) due(now time.Time) (why, detail string) {
	stop, told := r.policy.Stop, r.counted
	r.counted = false
	errs, refusals, slowest := r.past.signals.errors, int64(0), 0.0
	for _, p := range r.parts {
		errs += p.signals.errors
		if p.recent(now) {
			refusals += p.signals.refusals
			slowest = max(slowest, p.signals.p99)
		}
	}
	p99 := time.Duration(slowest * float64(time.Millisecond))
	switch slow := stop.CandidateLatency > 0 && p99 > stop.CandidateLatency; {
	case !slow:
		r.slow = 0
	case told:
		r.slow++
	}
	switch {
	case stop.CandidateErrors > 0 && errs >= int64(stop.CandidateErrors):
		return "candidate_errors", fmt.Sprintf("%d answers of %s were 5xx or none", errs, r.policy.Candidate)
	case stop.ControlRefusals > 0 && refusals >= int64(stop.ControlRefusals):
		return "control_refusals", fmt.Sprintf("%d answers of %s within 10 s were 429 or 503", refusals, r.policy.Control)
	case r.slow >= 2:
		return "candidate_latency", fmt.Sprintf("the 99th percentile of %s was %v over 10 s; at most %v is allowed", r.policy.Candidate, p99.Round(time.Millisecond), stop.CandidateLatency)
	case !now.Before(r.ends()):
		return "duration", fmt.Sprintf("its duration of %v is over", r.policy.Duration)
	}
	return "", ""
}
