package guard

import "math"

// Spread measures how much more unevenly bad requests come than independent draws would. It compares blocks of time that follow each other, so
// that a rate that changes slowly leaves no trace (von Neumann's successive differences).
type Spread struct {
	Squares  float64 `json:"squares"`  // of the differences, each bounded by most
	Variance float64 `json:"variance"` // what they would sum to if draws were independent
	Second   float64 `json:"second"`   // sum of the squares of those
	Weighted float64 `json:"weighted"` // sum of each times the requests in a block
}

// prior is how strongly nothing but chance is believed in at first, as a sum of variances: that of 16 bad requests.
const prior = 4

// add counts a difference and its variance, for blocks of so many requests.
func (s *Spread) add(difference, variance, requests float64) {
	if variance <= 0 {
		return
	}
	s.Squares += min(difference*difference, s.most()*variance)
	s.Variance += variance
	s.Second += variance * variance
	s.Weighted += variance * requests
}

// most is how many times its variance the square of one difference counts at most: three deviations, as they were until now. What happens once, a
// candidate that becomes worse and stays so, leaves no trace in this way; what happens again and again is learnt all the same.
func (s *Spread) most() float64 { return 9 * max((s.Squares+prior)/(s.Variance+prior), 1) }

// inTime compares two blocks of one origin: given how many are bad in both together, those of the first are a draw of as many.
func (s *Spread) inTime(n1, x1, n2, x2 uint64) {
	if n1 == 0 || n2 == 0 {
		return
	}
	both, p := float64(x1+x2), float64(n1)/float64(n1+n2)
	s.add(float64(x1)-both*p, both*p*(1-p), float64(n1+n2)/2)
}

// between compares how the bad ones of two blocks are split between two origins: given all sums, a hypergeometric draw. What hits both origins
// alike leaves no trace.
func (s *Spread) between(a, b *block) {
	m1, m2 := float64(a.X+a.Y), float64(b.X+b.Y)
	x, y, m := float64(a.X+b.X), float64(a.Y+b.Y), m1+m2
	if m < 2 {
		return
	}
	s.add(float64(a.X)-m1*x/m, x*y*m1*m2/(m*m*(m-1)), (a.shared()+b.shared())/2)
}

// shared is to requests of two origins what their number is to those of one: by it grows what clumps at either do to the split.
func (b *block) shared() float64 {
	if b.N+b.M == 0 {
		return 0
	}
	return float64(b.N) * float64(b.M) / float64(b.N+b.M)
}

// excess is by how much the variance is above that of draws, in part of it: 0 if chance explains what was seen, to a standard deviation.
func (s *Spread) excess() float64 {
	chance := math.Sqrt(2*s.Second + 2*prior)
	return max((s.Squares+prior-chance)/(s.Variance+prior)-1, 0)
}

// each is excess for each request in a block. Whoever has more requests in the same time has larger clumps of bad ones.
func (s *Spread) each() float64 {
	if s.Variance == 0 || s.Weighted == 0 {
		return 0
	}
	return s.excess() * s.Variance / s.Weighted
}

// mostDiscount bounds by how much evidence is divided.
const mostDiscount = 100
