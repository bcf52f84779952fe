package report

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/stats"
)

// Change is a line that two reports have, and what became of it.
type Change struct {
	Before, After *Line
	// Of is what is compared: "ratio", that to a peer of the same run, in which the machine falls out; or "mean", as it is.
	Of string
	// Factor is After of Before, with an interval. Of those intervals of a bench that leave 1 out, one in 20 is wrong, on average, at most.
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
	Turns      []Turn   // what needs no statistics
	Invalid    []*Line  // of the second report; they, or what they were, say nothing
	OnlyBefore []*Line
	OnlyAfter  []*Line
}

// Turn is what became of a line, in words: failures, an aim, its validity, or how much load it is of.
type Turn struct {
	After *Line
	Text  string
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
		for _, text := range turns(b, l) {
			c.Turns = append(c.Turns, Turn{l, text})
		}
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

// sameLoad is how much the rates that two lines were offered may differ by, as a share.
const sameLoad = 0.02

// turns says what differs between two lines that are of the same, whatever the noise.
func turns(before, after *Line) (out []string) {
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if before.Invalid == "" && after.Invalid != "" {
		say("became invalid: %s", after.Invalid)
	}
	if before.Aim != nil && after.Aim != nil && *before.Met != *after.Met {
		say("the aim %s is %s: %s, was %s", *after.Aim, map[bool]string{true: "met now", false: "met no longer"}[*after.Met], after.measured(), before.measured())
	}
	switch {
	case before.Failed == 0 && after.Failed > 0:
		say("none failed, and now %s", after.failures())
	case before.Failed > 0 && after.Failed == 0:
		say("%s, and now none", before.failures())
	}
	if b, a := before.OfferedRPS, after.OfferedRPS; b != nil && a != nil && math.Abs(*a-*b) > sameLoad**b {
		say("not of the same load: %s were offered per second, and now %s", short(*b), short(*a))
	}
	return out
}

// judge gives the changes of each bench their intervals. Of hundreds of lines that have not changed some would stand out by chance. By the method of
// Benjamini and Hochberg (1995) as many do as leave 5 % of them to chance, at most and on average: of m lines those with the r smallest p, r being the
// largest of which the last of them is at most 0.05 r/m. They are just those whose interval of 1 - 0.05 r/m leaves 1 out, so that is the interval that all
// get. It holds for lines of one run, which differ together rather than against each other. Where nothing has changed, anything stands out in one
// report of 20. Bonferroni's method, by which one by chance would be too many, misses a third of what this one finds: see the test.
func (c *Comparison) judge() {
	byBench := map[string][]*Change{}
	for i := range c.Changes {
		bench := c.Changes[i].After.Bench
		byBench[bench] = append(byBench[bench], &c.Changes[i])
	}
	for _, of := range byBench {
		ps := make([]float64, len(of))
		for i, d := range of {
			ps[i] = d.p()
		}
		slices.Sort(ps)
		r := 1
		for i, p := range ps {
			if p <= 0.05*float64(i+1)/float64(len(ps)) {
				r = i + 1
			}
		}
		for _, d := range of {
			width := d.error * studentQuantile(1-0.025*float64(r)/float64(len(ps)), d.freedom)
			d.Low, d.High = d.Factor*math.Exp(-width), d.Factor*math.Exp(width)
			d.Sure = d.Low > 1 || d.High < 1
		}
	}
}

// p is how likely a change of this size, or a larger one, is by chance.
func (d *Change) p() float64 {
	by := math.Abs(math.Log(d.Factor))
	if d.error == 0 {
		return map[bool]float64{true: 1, false: 0}[by == 0]
	}
	return 2 * studentTail(by/d.error, d.freedom)
}

// studentTail is the probability of Student's t with so many degrees of freedom above t, which is not negative.
func studentTail(t, freedom float64) float64 {
	return stats.Beta(freedom/(freedom+t*t), freedom/2, 0.5) / 2
}

// studentQuantile is that of Student's t with so many degrees of freedom, for p above a half.
func studentQuantile(p, freedom float64) float64 {
	low, high := 0.0, 1e6
	for high-low > 1e-12*high {
		if t := (low + high) / 2; studentTail(t, freedom) > 1-p {
			low = t
		} else {
			high = t
		}
	}
	return high
}
