package guard

import (
	"fmt"
	"math"
	"time"
)

// measureQuantiles asks whether the candidate has more requests above ratio × b than the control has above b, where b is the end of the bucket
// that held the control's quantile in earlier windows. If the candidate's latencies are at most ratio times the control's, it has not.
func (g *Guard) measureQuantiles(s *State, p *Pair) sample {
	b, held := g.reference(s)
	if held != "" {
		return sample{block: aboves(p, longest, longest), held: held}
	}
	m := sample{block: aboves(p, time.Duration(g.ratio*float64(b.UpTo)), b.UpTo)}
	m.gains = apart(m.N, m.X, m.M, m.Y, 1)
	return m
}

// reference is the bucket of the control's quantile in the slots so far, or why there is none that serves.
func (g *Guard) reference(s *State) (Bucket, string) {
	control := s.lastOf(g.window).Control
	needed := uint64(math.Ceil(10 / g.metric.share()))
	if control.Requests < needed {
		return Bucket{}, fmt.Sprintf("%s had %d requests in %s, and its %s needs %d", g.against, control.Requests, short(g.window), g.metric, needed)
	}
	b, _ := quantile(control.Latency, 1-g.metric.share())
	if b.UpTo == 0 || b.Above == 0 || float64(b.UpTo)/float64(b.Above) > g.ratio+1e-9 {
		return Bucket{}, fmt.Sprintf("the %s of %s is known only to be %s, which is coarser than a ratio of %g", g.metric, g.against, b, g.ratio)
	}
	return b, ""
}

// String writes a bucket for people.
func (b Bucket) String() string {
	if b.UpTo == 0 {
		return "above " + short(b.Above)
	}
	return fmt.Sprintf("between %s and %s", short(b.Above), short(b.UpTo))
}

// fewestForMean is how many requests of the control make a mean.
const fewestForMean = 100

// measureMeans asks whether the candidate's mean is above ratio times the most that the control's can be: that of the slow ends of its buckets
// over a window, this one included, and three standard errors.
func (g *Guard) measureMeans(s *State, p *Pair) sample {
	control := s.lastOf(g.window).Control
	now := g.side(&p.Control)
	control.add(&now)
	if control.Requests < fewestForMean {
		return sample{block: aboves(p, longest, longest), held: fmt.Sprintf("%s had %d requests in %s, and its mean needs %d", g.against, control.Requests, short(g.window), fewestForMean)}
	}
	mean, deviation := moments(control.Latency, slowEnd)
	clumps := 1 + s.Past.Control.excess()
	limit := g.ratio * (mean + 3*deviation*math.Sqrt(clumps/float64(control.Requests)))
	bound := time.Duration(limit * float64(time.Second))
	m := sample{block: aboves(p, bound, bound)}
	m.gains = slower(p.Candidate.Latency, limit)
	return m
}
