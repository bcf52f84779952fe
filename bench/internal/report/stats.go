package report

import (
	"math"
	"slices"
	"sort"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/stats"
)

// Quantile of sorted samples by nearest rank: the smallest sample that a share q of all is not above.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, min(len(sorted)-1, int(math.Ceil(q*float64(len(sorted))))-1))]
}

// upperP99 is the upper end of the 99th percentile, whatever the distribution: the smallest order statistic k with P(Bin(n, 0.99) < k) >= 0.975, which is
// P(Bin(n, 0.01) > n-k). It is nil for fewer than 368 samples: all of those are below the percentile in more than 2.5 of 100 times.
func upperP99(sorted []float64) *float64 {
	n := len(sorted)
	above := sort.Search(n, func(i int) bool { return stats.BinomialTail(uint64(i)+1, uint64(n), 0.01) < 0.975 })
	if above == 0 {
		return nil
	}
	return ptr(round(sorted[n-above]))
}

// Mean of samples, 0 of none.
func Mean(samples []float64) float64 {
	if len(samples) == 0 {
		return 0
	}
	sum := 0.0
	for _, v := range samples {
		sum += v
	}
	return sum / float64(len(samples))
}

// Statistic makes one figure of the samples of a run.
type Statistic struct {
	Name string
	of   func(sorted []float64) float64
}

// Of a run's samples, in any order.
func (s Statistic) Of(samples []float64) float64 { return s.of(sorted(samples)) }

// What pairs are compared by.
var (
	ByP50  = Statistic{"p50", func(s []float64) float64 { return Quantile(s, 0.5) }}
	ByP90  = Statistic{"p90", func(s []float64) float64 { return Quantile(s, 0.9) }}
	ByP99  = Statistic{"p99", func(s []float64) float64 { return Quantile(s, 0.99) }}
	ByMean = Statistic{"mean", Mean}
)

// Ratio is a geometric mean over pairs with its 95 % interval; Low and High are 0 where there is none.
type Ratio struct {
	Mid, Low, High float64
}

// leastRuns is of how many runs there is an interval, and leastAimRuns of how many it is one that an aim is met by.
const leastRuns, leastAimRuns = 3, 5

// RatioOf compares run i of one system with run i of the other: the geometric mean of the ratios, with an interval by Student's t of
// their logarithms. Pairs run next to each other, so noise of the machine that lasts longer than a pair falls out. A percentile bootstrap in its place would
// hold what it says in 85 of 100 times with five pairs. It is not ok without pairs, or if a figure is not positive.
func RatioOf(of Statistic, own, other Series) (r Ratio, ok bool) {
	if len(own) == 0 || len(own) != len(other) {
		return r, false
	}
	logs, ok := logarithms(ratios(of, own, other))
	if !ok {
		return r, false
	}
	if len(logs) < leastRuns {
		return Ratio{Mid: math.Exp(Mean(logs))}, true
	}
	mid, low, high := MeanInterval(logs)
	return Ratio{math.Exp(mid), math.Exp(low), math.Exp(high)}, true
}

// ratios of each pair of runs.
func ratios(of Statistic, own, other Series) []float64 {
	out := make([]float64, len(own))
	for i := range own {
		if b := of.Of(other[i]); b > 0 {
			out[i] = of.Of(own[i]) / b
		}
	}
	return out
}

// logarithms are not ok where a figure is not positive.
func logarithms(values []float64) (logs []float64, ok bool) {
	for _, v := range values {
		if v <= 0 {
			return nil, false
		}
		logs = append(logs, math.Log(v))
	}
	return logs, true
}

// spread is the standard deviation of the logarithms of some values, nil where it says nothing.
func spread(values []float64) *float64 {
	logs, ok := logarithms(values)
	if !ok || len(logs) < leastRuns {
		return nil
	}
	return ptr(round(deviation(logs)))
}

// MeanInterval is the mean of some values, with the interval in which that of many more would lie, 95 times of 100, by Student's t: all numbers where there
// are fewer than two.
func MeanInterval(values []float64) (mean, low, high float64) {
	mean = Mean(values)
	if len(values) < 2 {
		return mean, math.Inf(-1), math.Inf(1)
	}
	n := float64(len(values))
	width := studentQuantile(0.975, n-1) * deviation(values) / math.Sqrt(n)
	return mean, mean - width, mean + width
}

// deviation is the standard deviation of at least two values.
func deviation(values []float64) float64 {
	mean, sum := Mean(values), 0.0
	for _, v := range values {
		sum += (v - mean) * (v - mean)
	}
	return math.Sqrt(sum / float64(len(values)-1))
}

// StraightLine is the one that is nearest to points, by least squares: how much it rises with each x, and what it has at 0. It rises by nothing where all points
// are at one x.
func StraightLine(x, y []float64) (slope, at0 float64) {
	meanX, meanY := Mean(x), Mean(y)
	above, below := 0.0, 0.0
	for i := range x {
		above += (x[i] - meanX) * (y[i] - meanY)
		below += (x[i] - meanX) * (x[i] - meanX)
	}
	if below > 0 {
		slope = above / below
	}
	return slope, meanY - slope*meanX
}

func sorted(v []float64) []float64 {
	out := slices.Clone(v)
	slices.Sort(out)
	return out
}
