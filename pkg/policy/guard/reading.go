package guard

import (
	"fmt"
	"math"
	"time"
)

// reading is what a stretch of time looks like, without asking whether that is chance.
type reading struct {
	value   float64 // a share, seconds, a ratio or requests; see [Result.Value]
	samples uint64  // requests of the candidate that it is made of
	over    bool    // above the limit, or beyond what chance does to a ratio
	coarse  string  // why it cannot be told; empty: it can
	parts   string  // for people
}

// read makes a reading of a slot, or of several joined.
func (g *Guard) read(s *State, span *slot) reading {
	c, o := &span.Candidate, &span.Control
	r := reading{samples: c.Requests}
	switch {
	case g.metric == Requests:
		r.value = float64(c.Requests)
	case c.Requests == 0:
	case g.metric == ErrorRate && g.ratio == 0:
		r.value = float64(c.Failures) / float64(c.Requests)
		r.over = r.value > g.limit
		r.parts = fmt.Sprintf("%d of %d", c.Failures, c.Requests)
	case g.metric == ErrorRate:
		g.readErrorRatio(&r, c, o, s.Past.discount(true))
	case g.ratio == 0:
		g.readLatency(&r, c)
	case g.metric == Mean:
		g.readMeans(&r, c, o)
	default:
		g.readQuantiles(&r, c, o, s.Past.discount(true))
	}
	return r
}

// mostRatio stands for any ratio that is larger, also to nothing.
const mostRatio = 1000

func ratioOf(a, b float64) float64 {
	switch {
	case a <= 0:
		return 0
	case b <= 0:
		return mostRatio
	}
	return min(a/b, mostRatio)
}

func (g *Guard) readErrorRatio(r *reading, c, o *side, discount float64) {
	if o.Requests == 0 {
		r.coarse = g.against + " had no requests"
		return
	}
	r.value = ratioOf(float64(c.Failures)/float64(c.Requests), float64(o.Failures)/float64(o.Requests))
	r.over = r.value > g.ratio && beyond(c.Requests, c.Failures, o.Requests, o.Failures, g.ratio, discount)
	r.parts = fmt.Sprintf("%d of %d against %d of %d", c.Failures, c.Requests, o.Failures, o.Requests)
}

// oneSided is the standard normal value that chance exceeds in a twentieth of all cases.
const oneSided = 1.645

// beyond says that of all bad requests more are the candidate's than chance would do in a twentieth of all cases.
func beyond(n, x, m, y uint64, ratio, discount float64) bool {
	share := ratio * float64(n) / (ratio*float64(n) + float64(m))
	all := float64(x + y)
	return float64(x)-all*share-0.5 > oneSided*math.Sqrt(all*share*(1-share)*discount)
}

func (g *Guard) readLatency(r *reading, c *side) {
	var from, to time.Duration
	if g.metric == Mean {
		fast, _ := moments(c.Latency, fastEnd)
		slow, _ := moments(c.Latency, slowEnd)
		from, to = seconds(fast), seconds(slow)
		r.value = (fast + slow) / 2
	} else {
		b, _ := quantile(c.Latency, 1-g.metric.share())
		from, to = b.Above, b.end()
		r.value = b.middle().Seconds()
		r.parts = fmt.Sprintf("%d of %d requests took longer than that limit", surelyAbove(c.Latency, g.duration), c.Requests)
	}
	switch {
	case from >= g.duration:
		r.over = true
	case to > g.duration && g.metric == Mean:
		r.coarse = fmt.Sprintf("the mean is between %s and %s as far as proxies measure", short(from), short(to))
	case to > g.duration:
		r.coarse = fmt.Sprintf("the limit is inside of the bucket of the %s, which is %s", g.metric, Bucket{Above: from, UpTo: to})
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (g *Guard) readQuantiles(r *reading, c, o *side, discount float64) {
	b, ok := quantile(o.Latency, 1-g.metric.share())
	if !ok {
		r.coarse = g.against + " had no requests"
		return
	}
	mine, _ := quantile(c.Latency, 1-g.metric.share())
	r.value = ratioOf(mine.middle().Seconds(), b.middle().Seconds())
	x, y := surelyAbove(c.Latency, time.Duration(g.ratio*float64(b.end()))), surelyAbove(o.Latency, b.end())
	r.over = r.value > g.ratio && b.UpTo != 0 && beyond(c.Requests, x, o.Requests, y, 1, discount)
	r.parts = fmt.Sprintf("%s against %s", short(mine.middle()), short(b.middle()))
}

func (g *Guard) readMeans(r *reading, c, o *side) {
	if o.Requests == 0 {
		r.coarse = g.against + " had no requests"
		return
	}
	mine, d1 := moments(c.Latency, Bucket.middle)
	other, d2 := moments(o.Latency, Bucket.middle)
	r.value = ratioOf(mine, other)
	chance := math.Sqrt(d1*d1/float64(c.Requests) + g.ratio*g.ratio*d2*d2/float64(o.Requests))
	r.over = r.value > g.ratio && mine-g.ratio*other > oneSided*chance
	r.parts = fmt.Sprintf("%s against %s", short(seconds(mine)), short(seconds(other)))
}
