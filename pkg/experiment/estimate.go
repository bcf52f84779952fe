package experiment

import (
	"maps"
	"slices"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/shadow"
)

// Estimate says what an experiment, resolved against its service, would ask by the traffic of the last 10 s, if every request were one that is
// copied. Control is asked again for some of the pairs that differ, too: that is not in it.
func (d *Desk) Estimate(m *policy.Mirror) *crossfadev1.MirrorEstimate {
	rps := d.c.Traffic(m.Service).RPS
	limit := limitOf(m, rps)
	if d.c.MaxRPS > 0 {
		limit = min(limit, d.c.MaxRPS)
	}
	out := &crossfadev1.MirrorEstimate{LiveRps: total(rps), MaxRps: limit, LimitedBy: "share"}
	copies := out.LiveRps * float64(m.Share) / 10_000
	if copies > limit {
		copies, out.LimitedBy = limit, "maxRps"
	}
	out.AddedRps = map[string]float64{m.Candidate: copies}
	if m.Mode != policy.Dark {
		out.AddedRps[m.Control] = copies * (1 + float64(m.NoiseShare)/10_000)
	}
	return out
}

// Total is how many copies of an experiment came to one result: "compared", "unrepresentative", "target_failed", "answered" or "dropped_" with
// the cause.
type Total struct {
	Mirror, Result string
	Count          uint64
}

// Totals are all results of all experiments, by mirror. Those of one add up to the copies that came.
func (d *Desk) Totals() []Total {
	var out []Total
	for _, s := range d.Statuses("") {
		d.mu.Lock()
		r := d.runs[s.GetMirror()]
		d.mu.Unlock()
		if r != nil {
			out = append(out, totals(r.mirror, d.summarize(r))...)
		}
	}
	return out
}

func totals(mirror string, r *shadow.Report) []Total {
	out := []Total{
		{mirror, "compared", r.Compared}, {mirror, "unrepresentative", r.Unrepresentative}, {mirror, "target_failed", r.TargetFailed}, {mirror, "answered", r.Answered},
	}
	for _, cause := range slices.Sorted(maps.Keys(r.Dropped)) {
		out = append(out, Total{mirror, "dropped_" + cause, r.Dropped[cause]})
	}
	return out
}
