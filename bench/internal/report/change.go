package report

import (
	"encoding/json"
	"math"
	"strings"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/stats"
)

// Change is a line that two reports have, and what became of it.
type Change struct {
	Before, After *Line
	// Of is what is compared: "ratio", that to a peer of the same run, in which the machine falls out; or "mean", as it is.
	Of string
	// Factor is After of Before, with an interval in which it lies, all lines together, 19 times of 20.
	Factor, Low, High float64
	// Sure says that the interval leaves 1 out.
	Sure bool

	known          bool    // there is an interval
	error, freedom float64 // of the logarithm of Factor
}

// Comparison is what two reports have in common, and what not.
type Comparison struct {
	Changes    []Change // of lines with an interval, in the order of the second report
	Bare       []Change // of lines without: nobody knows what of it is noise
	Invalid    []*Line  // of the second report; they, or what they were, say nothing
	OnlyBefore []*Line
	OnlyAfter  []*Line
}

// CompareReports holds two reports against each other, line by line.
func CompareReports(before, after []*Line) Comparison {
	var c Comparison
	was := map[string]*Line{}
	for _, l := range before {
		was[l.key()] = l
	}
	for _, l := range after {
		b, ok := was[l.key()]
		if !ok {
			c.OnlyAfter = append(c.OnlyAfter, l)
			continue
		}
		delete(was, l.key())
		if b.Invalid != "" || l.Invalid != "" {
			c.Invalid = append(c.Invalid, l)
			continue
		}
		if d := change(b, l); d.known {
			c.Changes = append(c.Changes, d)
		} else {
			c.Bare = append(c.Bare, d)
		}
	}
	for _, l := range before {
		if was[l.key()] == l {
			c.OnlyBefore = append(c.OnlyBefore, l)
		}
	}
	c.judge()
	return c
}

// key is what a line is of.
func (l *Line) key() string {
	c, err := json.Marshal(l.Case) // keys sorted
	if err != nil {
		panic(err) // it was made of JSON, or will be
	}
	return strings.Join([]string{l.Bench, l.System, string(c), l.Metric, l.Unit}, "\x00")
}

// change compares two lines.
func change(before, after *Line) Change {
	d := Change{Before: before, After: after, Of: "mean"}
	was, is := before.MeanSpread, after.MeanSpread
	if before.Mean > 0 && after.Mean > 0 {
		d.Factor = after.Mean / before.Mean
	}
	if samePeer(before, after) {
		d.Of, d.Factor = "ratio", *after.Ratio / *before.Ratio
		was, is = before.RatioSpread, after.RatioSpread
	}
	if was != nil && is != nil && d.Factor > 0 {
		d.error, d.freedom = welch(*was, before.Runs, *is, after.Runs)
		d.known = true
	}
	return d
}

func samePeer(a, b *Line) bool {
	return a.Ratio != nil && b.Ratio != nil && *a.Peer == *b.Peer && *a.RatioOf == *b.RatioOf
}

// welch is the standard error of the difference of two means and its degrees of freedom
// (https://en.wikipedia.org/wiki/Welch%27s_t-test), from their standard deviations and numbers.
func welch(a float64, n int, b float64, m int) (err, freedom float64) {
	u, v := a*a/float64(n), b*b/float64(m)
	if u+v == 0 {
		return 0, float64(n + m - 2)
	}
	return math.Sqrt(u + v), (u + v) * (u + v) / (u*u/float64(n-1) + v*v/float64(m-1))
}

// judge gives the changes their intervals, so wide that all of them hold together (Bonferroni): of a hundred lines that have not changed five would
// show otherwise.
func (c *Comparison) judge() {
	for i := range c.Changes {
		d := &c.Changes[i]
		width := d.error * studentQuantile(1-0.025/float64(len(c.Changes)), d.freedom)
		d.Low, d.High = d.Factor*math.Exp(-width), d.Factor*math.Exp(width)
		d.Sure = d.Low > 1 || d.High < 1
	}
}

// studentQuantile is that of Student's t with so many degrees of freedom, for p above a half.
func studentQuantile(p, freedom float64) float64 {
	low, high := 0.0, 1e6
	for range 100 {
		if t := (low + high) / 2; stats.Beta(freedom/(freedom+t*t), freedom/2, 0.5)/2 > 1-p {
			low = t
		} else {
			high = t
		}
	}
	return high
}
