package experiment

import (
	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
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
