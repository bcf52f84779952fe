package main

import (
	"math/rand/v2"
	"testing"
)

func TestByChance(t *testing.T) {
	for _, c := range []struct {
		k, n int
		p    float64
		want bool
	}{
		{0, 2000, 0, true},
		{1, 2000, 0, false}, // nothing means nothing
		{2000, 2000, 1, true},
		{1999, 2000, 1, false},
		{200, 2000, 0.1, true},
		{250, 2000, 0.1, true},  // 3.7 standard deviations: rare, not proof
		{280, 2000, 0.1, false}, // 6
		{130, 2000, 0.1, false},
		{1000, 2000, 0.5, true},
		{900, 2000, 0.5, true},   // 4.5
		{870, 2000, 0.5, false},  // 5.8
		{1130, 2000, 0.5, false}, // 5.8
		{0, 0, 0.5, true},
	} {
		if got := byChance(c.k, c.n, c.p); got != c.want {
			t.Errorf("byChance(%d, %d, %v) = %v", c.k, c.n, c.p, got)
		}
	}
}

// Fair draws pass, and draws that are off by a third of the share do not.
func TestByChanceOnDraws(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	const n, p, runs = 2000, 0.5, 50
	for range runs {
		fair, off := 0, 0
		for range n {
			if r.Float64() < p {
				fair++
			}
			if r.Float64() < p*0.7 {
				off++
			}
		}
		if !byChance(fair, n, p) {
			t.Errorf("seed %d: %d of %d at %v is refused", seed, fair, n, p)
		}
		if byChance(off, n, p) {
			t.Errorf("seed %d: %d of %d passes for %v", seed, off, n, p)
		}
	}
}
