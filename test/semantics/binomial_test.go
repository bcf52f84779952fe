package semantics

import (
	"fmt"
	"math"
	"sort"
	"testing"
)

// falseAlarm bounds how likely it is that a whole run calls correct shares wrong, over all comparisons on all versions of Envoy.
const falseAlarm = 1e-6

// surprising says whether a count is too far out for a binomial distribution of n and p, at a false alarm of at most alpha: the tail on
// either side, computed exactly, is below half of it.
func surprising(k, n int, p, alpha float64) bool {
	switch p {
	case 0:
		return k != 0
	case 1:
		return k != n
	}
	return min(tail(0, k, n, p), tail(k, n, n, p)) < alpha/2
}

// tail is the probability of from to to successes, both included, of n with probability p each.
func tail(from, to, n int, p float64) float64 {
	sum := 0.0
	for k := from; k <= to; k++ {
		sum += math.Exp(logBinomial(k, n, p))
	}
	return min(1, sum)
}

func logBinomial(k, n int, p float64) float64 {
	return logFactorial(n) - logFactorial(k) - logFactorial(n-k) + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p)
}

func logFactorial(n int) float64 {
	v, _ := math.Lgamma(float64(n) + 1)
	return v
}

// The bound itself, against figures that are known, and against its own definition.
func TestBound(t *testing.T) {
	if got := tail(0, 1, 3, 0.5); math.Abs(got-0.5) > 1e-12 {
		t.Errorf("P(X <= 1 of 3 at 1/2) = %v, want 0.5", got)
	}
	if got, want := tail(8, 10, 10, 0.3), 0.0015903864; math.Abs(got-want) > 1e-12 {
		t.Errorf("P(X >= 8 of 10 at 0.3) = %v, want %v", got, want)
	}
	for _, n := range []int{100, 3_000, 20_000} {
		for _, p := range []float64{0.0001, 0.01, 0.5, 0.9, 0.9999} {
			t.Run(fmt.Sprintf("%d-%v", n, p), func(t *testing.T) {
				if all := tail(0, n, n, p); math.Abs(all-1) > 1e-9 {
					t.Errorf("all probabilities sum to %v", all)
				}
				mean := int(float64(n) * p)
				least := sort.Search(mean, func(k int) bool { return !surprising(k, n, p, 1e-4) })
				most := mean + sort.Search(n-mean, func(d int) bool { return surprising(mean+1+d, n, p, 1e-4) })
				alarms := tail(0, least-1, n, p) + tail(most+1, n, n, p)
				if alarms > 1e-4 {
					t.Errorf("false alarm %v, want at most 1e-4", alarms)
				}
				if surprising(mean, n, p, 1e-4) {
					t.Error("the expected count surprises")
				}
			})
		}
	}
	for _, c := range []struct {
		k    int
		p    float64
		want bool
	}{{0, 0, false}, {1, 0, true}, {20_000, 1, false}, {19_999, 1, true}, {2_000, 0.05, true}, {1_400, 0.1, true}, {2_100, 0.1, false}} {
		if got := surprising(c.k, 20_000, c.p, 1e-8); got != c.want {
			t.Errorf("%d of 20,000 at %v surprises: %v, want %v", c.k, c.p, got, c.want)
		}
	}
}
