package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Schema is the version of [Line]. Keys are only added.
const Schema = 1

// Line is one system × case × metric: a line of NAME.jsonl. What does not apply is null.
type Line struct {
	Schema int            `json:"schema"`
	Bench  string         `json:"bench"`
	System string         `json:"system"`
	Case   map[string]any `json:"case"`
	Metric string         `json:"metric"`
	Unit   string         `json:"unit"`

	N   int     `json:"n"` // samples, of all runs together
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	// P99High is the upper end of the 99th percentile, which it is not above 97.5 times of 100; null for fewer samples than have one, see [upperP99].
	P99High *float64 `json:"p99High"`
	Max     float64  `json:"max"`
	Mean    float64  `json:"mean"`
	Failed  int      `json:"failed"`
	Peer    *string  `json:"peer"` // system that ratio compares with
	Ratio   *float64 `json:"ratio"`
	// RatioLow and RatioHigh are the 95 % interval of Ratio, null for fewer than three runs. RatioOf is the statistic of each run that is compared.
	RatioLow  *float64 `json:"ratioLow"`
	RatioHigh *float64 `json:"ratioHigh"`
	RatioOf   *string  `json:"ratioOf"`
	// MeanSpread and RatioSpread are the standard deviations of the logarithms of the runs' means and of their ratios: by them two reports are
	// compared. Null for fewer than three runs, and where a figure is not positive.
	MeanSpread  *float64 `json:"meanSpread"`
	RatioSpread *float64 `json:"ratioSpread"`
	Aim         *string  `json:"aim"`
	Met         *bool    `json:"met"`
	Measured    string   `json:"measured,omitempty"` // what was held against the aim, in words
	Invalid     string   `json:"invalid,omitempty"`  // why the figures say nothing; then no aim is met

	OfferedRPS  *float64 `json:"offeredRps"`
	AchievedRPS *float64 `json:"achievedRps"`

	Runs    int       `json:"runs"`
	Samples []float64 `json:"samples"` // sorted, at most maxSamples evenly spaced ones
	Note    string    `json:"note,omitempty"`

	Run      string            `json:"run"` // identifies the invocation
	Seed     uint64            `json:"seed"`
	Time     time.Time         `json:"time"`
	Commit   string            `json:"commit"`
	Machine  map[string]any    `json:"machine"`
	Versions map[string]string `json:"versions"`
	Command  string            `json:"command"`
	// TookSeconds is how long the whole run took; 0 in reports that do not have it.
	TookSeconds float64 `json:"tookSeconds,omitempty"`

	samples int // of which the quantiles are, also where N is set to what they count
	pairs   int // of runs, of which Ratio is
}

// maxSamples bounds what a line keeps of its distribution.
const maxSamples = 101

// Series is what the runs of one system measured: the samples of each run, in the metric's unit.
type Series [][]float64

// All returns the samples of all runs, sorted.
func (s Series) All() []float64 {
	all := slices.Concat(s...)
	slices.Sort(all)
	return all
}

// means of the runs; nil if one has no samples.
func (s Series) means() (out []float64) {
	for _, run := range s {
		if len(run) == 0 {
			return nil
		}
		out = append(out, Mean(run))
	}
	return out
}

// NewLine sums up the runs of a system.
func NewLine(system, metric, unit string, c map[string]any, s Series) *Line {
	all := s.All()
	l := &Line{Schema: Schema, System: system, Case: c, Metric: metric, Unit: unit, N: len(all), Runs: len(s), Samples: thin(all), samples: len(all)}
	if len(all) == 0 {
		return l
	}
	l.P50, l.P90, l.P99 = round(Quantile(all, 0.5)), round(Quantile(all, 0.9)), round(Quantile(all, 0.99))
	l.P99High, l.Max, l.Mean = upperP99(all), round(all[len(all)-1]), round(Mean(all))
	l.MeanSpread = spread(s.means())
	return l
}

// Compare adds the ratio to a peer, run by run: run i of both belongs to one pair.
func (l *Line) Compare(peer string, of Statistic, own, other Series) *Line {
	r, ok := RatioOf(of, own, other)
	if !ok {
		l.Note = fmt.Sprintf("no ratio to %s: %d and %d runs, all of which must have a %s above 0", peer, len(own), len(other), of.Name)
		return l
	}
	name := of.Name
	l.pairs = len(own)
	l.Peer, l.RatioOf, l.Ratio = &peer, &name, ptr(round(r.Mid))
	if r.High > 0 {
		l.RatioLow, l.RatioHigh = ptr(round(r.Low)), ptr(round(r.High))
	}
	l.RatioSpread = spread(ratios(of, own, other))
	return l
}

// AimRatio says that the whole interval of the ratio, of [leastAimRuns] pairs or more, should be at most limit.
func (l *Line) AimRatio(limit float64) *Line {
	return l.AimOfInterval(l.pairs, "ratioHigh <= "+strconv.FormatFloat(limit, 'g', -1, 64), l.ratioText(), l.RatioHigh != nil && *l.RatioHigh <= limit)
}

// P99End is what an aim of the 99th percentile is held against: its upper end, or the largest sample where it has none.
func (l *Line) P99End() float64 {
	if l.P99High != nil {
		return *l.P99High
	}
	return l.Max
}

// AimP99 says that the 99th percentile should be at most limit by its upper end, or by the largest sample where it has none, and nothing fail.
func (l *Line) AimP99(limit float64) *Line {
	measured := fmt.Sprintf("p99 %s, largest of %d %s", Amount(l.P99, l.Unit), l.samples, Amount(l.Max, l.Unit))
	if l.P99High != nil {
		measured = fmt.Sprintf("p99 %s, at most %s with 97.5 %%", Amount(l.P99, l.Unit), Amount(*l.P99High, l.Unit))
	}
	if l.Failed > 0 {
		measured += ", " + l.failures()
	}
	return l.AimOf("p99 <= "+Amount(limit, l.Unit)+", 0 failed", measured, l.P99End() <= limit && l.Failed == 0)
}

// AimNone says that nothing should fail.
func (l *Line) AimNone() *Line { return l.AimOf("0 failed", l.failures(), l.Failed == 0) }

func (l *Line) failures() string {
	if l.Failed > l.N { // what failed are requests, and samples are more than that each
		return fmt.Sprint(l.Failed, " failed")
	}
	return fmt.Sprintf("%d of %d failed", l.Failed, l.N)
}

// AimOfInterval is an aim that is held against an interval of so many runs, in words: it is met only from [leastAimRuns] on.
func (l *Line) AimOfInterval(runs int, text, measured string, met bool) *Line {
	if runs < leastAimRuns {
		measured, met = strings.TrimPrefix(fmt.Sprintf("%s; of %d runs, %d are needed", measured, runs, leastAimRuns), "; "), false
	}
	return l.AimOf(text, measured, met)
}

// AimOf is an aim of any kind: what should be, what was measured of it, and whether that meets it. Lines without samples and invalid ones meet none.
func (l *Line) AimOf(text, measured string, met bool) *Line {
	if l.N == 0 {
		measured = "nothing was measured"
	}
	met = met && l.N > 0 && l.Invalid == ""
	l.Aim, l.Measured, l.Met = &text, measured, &met
	return l
}

// Invalidate notes a reason for which the figures say nothing: a rate that was not reached, a machine that was busy. Pages show it, and the aim, given
// before or after, is not met.
func (l *Line) Invalidate(format string, args ...any) *Line {
	if l.Invalid != "" {
		l.Invalid += "; "
	}
	l.Invalid += fmt.Sprintf(format, args...)
	if l.Met != nil {
		*l.Met = false
	}
	return l
}

func ptr[T any](v T) *T { return &v }

// round keeps five significant digits: more says nothing here.
func round(v float64) float64 {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return v
	}
	out, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 5, 64), 64)
	if err != nil {
		panic(err) // it was formatted just now
	}
	return out
}

// thin keeps the ends and evenly spaced samples between them.
func thin(sorted []float64) []float64 {
	n := min(len(sorted), maxSamples)
	out := make([]float64, n)
	for i := range out {
		j := i
		if n < len(sorted) {
			j = i * (len(sorted) - 1) / (n - 1)
		}
		out[i] = round(sorted[j])
	}
	return out
}
