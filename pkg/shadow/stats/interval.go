package stats

import "math"

// Interval is that of Clopper and Pearson for a rate of which x of n were seen: it holds the true one with at least this confidence.
func Interval(x, n uint64, confidence float64) (low, high float64) {
	if n == 0 || x > n {
		return 0, 1
	}
	tail := (1 - confidence) / 2
	if x > 0 {
		low = betaQuantile(tail, float64(x), float64(n-x)+1)
	}
	high = 1
	if x < n {
		high = betaQuantile(1-tail, float64(x)+1, float64(n-x))
	}
	return low, high
}

// betaQuantile inverts the distribution by bisection: slow, exact, and it always ends.
func betaQuantile(p, a, b float64) float64 {
	low, high := 0.0, 1.0
	for range 60 {
		mid := (low + high) / 2
		if Beta(mid, a, b) < p {
			low = mid
		} else {
			high = mid
		}
	}
	return (low + high) / 2
}

// Beta is the regularized incomplete beta function, by its continued fraction (W. J. Lentz, 1976).
func Beta(x, a, b float64) float64 {
	switch {
	case x <= 0:
		return 0
	case x >= 1:
		return 1
	case x > (a+1)/(a+b+2):
		return 1 - Beta(1-x, b, a)
	}
	ab, _ := math.Lgamma(a + b)
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	front := math.Exp(ab-la-lb+a*math.Log(x)+b*math.Log1p(-x)) / a
	const tiny = 1e-300
	c, d := 1.0, 1-(a+b)*x/(a+1)
	if math.Abs(d) < tiny {
		d = tiny
	}
	d = 1 / d
	h := d
	for m := 1.0; m <= 10_000; m++ {
		for _, t := range [2]float64{
			m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m)),
			-(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1)),
		} {
			if d = 1 + t*d; math.Abs(d) < tiny {
				d = tiny
			}
			if c = 1 + t/c; math.Abs(c) < tiny {
				c = tiny
			}
			d = 1 / d
			h *= c * d
		}
		if math.Abs(c*d-1) < 1e-14 {
			break
		}
	}
	return front * h
}

// BinomialTail is the probability of x or more of n at a rate.
func BinomialTail(x, n uint64, rate float64) float64 {
	if x == 0 {
		return 1
	}
	if x > n {
		return 0
	}
	return Beta(rate, float64(x), float64(n-x)+1)
}

// normalTail is the probability of a standard normal value above z.
func normalTail(z float64) float64 { return math.Erfc(z/math.Sqrt2) / 2 }
