package main

import "math"

// falseAlarm is how often a check of a share may fail by chance alone.
const falseAlarm = 1e-6

// byChance says whether k of n requests going to an origin is what a share of p does, by the binomial distribution.
func byChance(k, n int, p float64) bool {
	if p <= 0 || p >= 1 {
		return float64(k) == p*float64(n)
	}
	below, above := 0.0, 0.0 // of k or fewer, of k or more
	for i := range n + 1 {
		q := binomial(i, n, p)
		if i <= k {
			below += q
		}
		if i >= k {
			above += q
		}
	}
	return min(below, above) > falseAlarm/2
}

// binomial is the probability of exactly k of n.
func binomial(k, n int, p float64) float64 {
	ways := lgamma(n+1) - lgamma(k+1) - lgamma(n-k+1)
	return math.Exp(ways + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
}

func lgamma(n int) float64 {
	v, _ := math.Lgamma(float64(n))
	return v
}
