package stats

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestIntervalsAreThoseOfTables(t *testing.T) {
	for _, c := range []struct {
		x, n      uint64
		low, high float64
	}{ // R: binom.test(x, n)$conf.int
		{0, 10, 0, 0.3084971},
		{1, 10, 0.002528579, 0.4450161},
		{5, 10, 0.1870860, 0.8129140},
		{10, 10, 0.6915029, 1},
		{3, 1000, 0.0006190, 0.0087420},
		{50, 100, 0.3983211, 0.6016789},
	} {
		low, high := Interval(c.x, c.n, 0.95)
		if math.Abs(low-c.low) > 2e-6 || math.Abs(high-c.high) > 2e-6 {
			t.Errorf("%d of %d: %g to %g", c.x, c.n, low, high)
		}
	}
	if low, high := Interval(3, 0, 0.95); low != 0 || high != 1 {
		t.Error(low, high)
	}
	if p := BinomialTail(8, 10, 0.5); math.Abs(p-56.0/1024) > 1e-12 {
		t.Error(p)
	}
}

// TestEvidenceIsAMartingale: the expectation of what it is after one more odd answer is what it was.
func TestEvidenceIsAMartingale(t *testing.T) {
	for _, e := range []Evidence{{}, {5, 0}, {0, 5}, {100, 80}, {1000, 1200}} {
		now := math.Exp(e.Log())
		next := (math.Exp(Evidence{e.Candidate + 1, e.Control}.Log()) + math.Exp(Evidence{e.Candidate, e.Control + 1}.Log())) / 2
		if math.Abs(next-now) > 1e-9*now {
			t.Errorf("%v: %g, then %g", e, now, next)
		}
	}
	if got := EventsNeeded(Threshold(4096, 1e-4)); got < 25 || got > 35 {
		t.Errorf("%d odd answers needed", got)
	}
}

// TestEvidenceAtEveryLook: without a difference, and with a look after each answer, the evidence reaches 1/a in at most a share a of runs.
func TestEvidenceAtEveryLook(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const runs, a = 2000, 0.05
	reached := 0
	for range runs {
		var e Evidence
		for range 500 {
			if r.IntN(2) == 0 {
				e.Candidate++
			} else {
				e.Control++
			}
			if e.Log() >= math.Log(1/a) {
				reached++
				break
			}
		}
	}
	if p := BinomialTail(uint64(reached), runs, a); p < 1e-6 {
		t.Errorf("reached in %d of %d runs", reached, runs)
	}
}

func TestDiffyRule(t *testing.T) {
	for _, c := range []struct {
		raw, noise, total uint64
		want              bool
	}{{0, 0, 100, false}, {1, 0, 100, true}, {1, 0, 10_000, false}, {110, 100, 1000, false}, {200, 100, 1000, true}, {100, 200, 1000, false}, {5, 0, 0, false}} {
		if got := DiffyRule(c.raw, c.noise, c.total, DiffyRelative, DiffyAbsolute); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestSketch(t *testing.T) {
	var s Sketch
	for i := range 10_000 {
		s.Add(time.Duration(i+1) * time.Millisecond)
	}
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 1} {
		want := q * 10_000
		if got := float64(s.Quantile(q).Milliseconds()); math.Abs(got-want) > want/31+1 {
			t.Errorf("quantile %g: %g ms", q, got)
		}
	}
	var edges Sketch
	edges.Add(-1)
	edges.Add(0)
	edges.Add(math.MaxInt64)
	if edges.N != 3 || edges.Quantile(0) != 0 || edges.Quantile(1) < 4*time.Minute || (&Sketch{}).Quantile(0.5) != 0 {
		t.Error(edges.Quantile(0), edges.Quantile(1))
	}
	last := -1
	for us := range 100_000 {
		b := bucket(time.Duration(us) * time.Microsecond)
		if b != last && b != last+1 {
			t.Fatalf("%d µs is in bucket %d after %d", us, b, last)
		}
		last = b
	}
}

func TestLatenciesThatDiffer(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	draw := func(n int, shift float64) *Sketch {
		s := &Sketch{}
		for range n {
			s.Add(time.Duration(math.Exp(r.NormFloat64()*0.5+shift) * 10e6))
		}
		return s
	}
	if c := Compare(draw(5000, 0), draw(5000, 0.1)); c.P > 1e-6 || c.Slower < 0.53 || c.Slower > 0.58 {
		t.Errorf("slower by a tenth: %+v", c)
	}
	if c := Compare(draw(5000, 0.1), draw(5000, 0)); c.P > 1e-6 || c.Slower > 0.47 {
		t.Errorf("faster by a tenth: %+v", c)
	}
	low := 0
	for range 200 {
		if Compare(draw(300, 0), draw(300, 0)).P < 0.05 {
			low++
		}
	}
	if BinomialTail(uint64(low), 200, 0.05) < 1e-6 {
		t.Errorf("%d of 200 equal pairs have p < 0.05", low)
	}
	if c := Compare(&Sketch{}, draw(100, 0)); c != (Comparison{0.5, 1}) {
		t.Error(c)
	}
}
