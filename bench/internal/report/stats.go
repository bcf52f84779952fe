package report

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Quantile of sorted samples by nearest rank: the smallest sample that a share q of all is not above.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, min(len(sorted)-1, int(math.Ceil(q*float64(len(sorted))))-1))]
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

// Ratio is a geometric mean over pairs with its 95 % interval.
type Ratio struct {
	Mid, Low, High float64
}

// resamples of the bootstrap.
const resamples = 10_000

// RatioOf compares run i of one system with run i of the other: the geometric mean of the ratios, and a 95 % percentile bootstrap over
// the pairs. Pairs run next to each other, so noise of the machine that lasts longer than a pair falls out. The interval of five pairs
// is nearly their range. It is not ok without pairs, or if a figure is not positive.
func RatioOf(of Statistic, own, other Series, seed uint64) (r Ratio, ok bool) {
	if len(own) == 0 || len(own) != len(other) {
		return r, false
	}
	logs, ok := logarithms(ratios(of, own, other))
	if !ok {
		return r, false
	}
	mid, low, high := MeanInterval(logs, seed)
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
	if !ok || len(logs) < 3 {
		return nil
	}
	mean, sum := Mean(logs), 0.0
	for _, v := range logs {
		sum += (v - mean) * (v - mean)
	}
	return ptr(round(math.Sqrt(sum / float64(len(logs)-1))))
}

// MeanInterval is the mean of some values, at least one, with its 95 % percentile bootstrap.
func MeanInterval(values []float64, seed uint64) (mean, low, high float64) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	means := make([]float64, resamples)
	for i := range means {
		sum := 0.0
		for range values {
			sum += values[rnd.IntN(len(values))]
		}
		means[i] = sum / float64(len(values))
	}
	slices.Sort(means)
	return Mean(values), Quantile(means, 0.025), Quantile(means, 0.975)
}

func sorted(v []float64) []float64 {
	out := slices.Clone(v)
	slices.Sort(out)
	return out
}
