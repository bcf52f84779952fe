package report

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

const (
	plotWidth, plotHeight         = 720.0, 220.0
	plotLeft, plotTop, plotBottom = 44.0, 10.0, 30.0
	plotLeast                     = 5  // samples of the system that has most
	plotDots                      = 30 // of fewer samples, each has a dot
	plotColours                   = 6  // s0 and so on of the page, from the start again for more systems
)

// class is that of a system's colour, by its place in the group.
func class(i int) string { return fmt.Sprint("s", i%plotColours) }

// axis maps values to places from left to right.
type axis struct {
	low, high float64
	log       bool
	unit      string
}

// newAxis covers all samples; it is logarithmic if they span a lot.
func newAxis(lines []*Line) (a axis, ok bool) {
	a.low, a.high, a.unit = math.Inf(1), math.Inf(-1), lines[0].Unit
	for _, l := range lines {
		for _, v := range l.Samples {
			a.low, a.high = min(a.low, v), max(a.high, v)
		}
	}
	if math.IsInf(a.low, 0) || a.low == a.high {
		return a, false
	}
	a.log = a.low > 0 && a.high/a.low > 10
	if !a.log && a.low > 0 && a.low < a.high/2 {
		a.low = 0
	}
	return a, true
}

func (a axis) x(v float64) float64 {
	share := (v - a.low) / (a.high - a.low)
	if a.log {
		share = math.Log(v/a.low) / math.Log(a.high/a.low)
	}
	return plotLeft + share*(plotWidth-plotLeft-60)
}

// ticks are round values: 1, 2 and 5 times a power of ten.
func (a axis) ticks() (out []float64) {
	if a.log {
		for p := math.Pow(10, math.Floor(math.Log10(a.low))); p <= a.high; p *= 10 {
			for _, m := range []float64{1, 2, 5} {
				if v := p * m; v >= a.low && v <= a.high {
					out = append(out, v)
				}
			}
		}
		return out
	}
	step := math.Pow(10, math.Floor(math.Log10((a.high-a.low)/2)))
	for _, m := range []float64{5, 2} {
		if (a.high-a.low)/(step*m) >= 3 {
			step *= m
			break
		}
	}
	for v := math.Ceil(a.low/step) * step; v <= a.high; v += step {
		out = append(out, v)
	}
	return out
}

func plotY(share float64) float64 {
	return plotHeight - plotBottom - share*(plotHeight-plotTop-plotBottom)
}

// plot draws for each system which share of its samples is at most x. Few samples, or all alike, have no plot.
func plot(g *group) template.HTML {
	few := true
	for _, l := range g.Lines {
		few = few && len(l.Samples) < plotLeast
	}
	a, ok := newAxis(g.Lines)
	if !ok || few {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="share of samples at most x">`, plotWidth, plotHeight)
	for _, share := range []float64{0, 0.5, 0.9, 0.99} {
		y := plotY(share)
		fmt.Fprintf(&b, `<line class="grid" x1="%g" y1="%.1f" x2="%g" y2="%.1f"/>`, plotLeft, y, plotWidth-60, y)
		if share != 0.99 {
			fmt.Fprintf(&b, `<text x="%g" y="%.1f" text-anchor="end">%g %%</text>`, plotLeft-6, y+4, share*100)
		}
	}
	for _, v := range a.ticks() {
		x := a.x(v)
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" y1="%g" x2="%.1f" y2="%g"/>`, x, plotTop, x, plotHeight-plotBottom)
		fmt.Fprintf(&b, `<text x="%.1f" y="%g" text-anchor="middle">%s</text>`, x, plotHeight-plotBottom+16, template.HTMLEscapeString(Amount(v, a.unit)))
	}
	for i, l := range g.Lines {
		fmt.Fprintf(&b, `<path class="%s" d="%s"/>`, class(i), steps(a, l.Samples))
		if len(l.Samples) < plotDots {
			fmt.Fprintf(&b, `<path class="%s dots" d="%s"/>`, class(i), dots(a, l.Samples))
		}
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) // numbers and escaped text only
}

// steps is the path of a distribution.
func steps(a axis, sorted []float64) string {
	var b strings.Builder
	for i, v := range sorted {
		x, y := a.x(v), plotY(float64(i+1)/float64(len(sorted)))
		if i == 0 {
			fmt.Fprintf(&b, "M%.1f %.1f", x, plotY(0))
		} else {
			fmt.Fprintf(&b, "H%.1f", x)
		}
		fmt.Fprintf(&b, "V%.1f", y)
	}
	return b.String()
}

// dots is a path of nothing but ends, which are round: one at the top of each step.
func dots(a axis, sorted []float64) string {
	var b strings.Builder
	for i, v := range sorted {
		fmt.Fprintf(&b, "M%.1f %.1fh0", a.x(v), plotY(float64(i+1)/float64(len(sorted))))
	}
	return b.String()
}
