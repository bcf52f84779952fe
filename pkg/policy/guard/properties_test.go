package guard

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

// pairs draws windows of a world in which the candidate becomes bad somewhere.
func pairs(r *rand.Rand, n int) []Pair {
	w := &world{Rand: r, rate: 1000, share: 0.3, length: quarter}
	latencies(w)
	at := float64(n) / 4 * r.Float64()
	w.candidate.errors, w.control.errors = w.from(0.001, at, 0.1*r.Float64()), constantly(0.001)
	w.candidate.median = w.from(0.05, at, 0.05+0.1*r.Float64())
	out := make([]Pair, n)
	for i := range out {
		out[i] = w.next(float64(i) / 4)
	}
	return out
}

func everyGuard(t testing.TB) []*Guard {
	return compile(t, usualPlan, append(usualGuards(), Spec{Name: "mid", Metric: P50, MaxRatio: 1.2, Against: "ecs"}, Spec{Name: "avg", Metric: Mean, MaxRatio: 1.3, Against: "ecs"},
		Spec{Name: "floor", Metric: Requests, Min: "10"})...)
}

// TestOrderOfProxiesDoesNotMatter: a window is the sum of its parts, in whatever order they come, and a verdict a function of it.
func TestOrderOfProxiesDoesNotMatter(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 5))
	for range 50 {
		parts := make([]Window, 8)
		for i, p := range pairs(r, len(parts)) {
			parts[i] = p.Candidate
		}
		want := Merge(parts...)
		r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		if got := Merge(parts...); !reflect.DeepEqual(got, want) || got.wrong() != "" {
			t.Fatalf("seed %d: %+v, not %+v", seed, got, want)
		}
	}
}

// TestObserveIsAFunction: the same windows make the same state and result, also by way of JSON, and arguments stay as they are.
func TestObserveIsAFunction(t *testing.T) {
	seed := rand.Uint64()
	all := pairs(rand.New(rand.NewPCG(seed, 6)), 80)
	for _, g := range everyGuard(t) {
		a, b := g.Start(), g.Start()
		for i, p := range all {
			if i == 50 {
				a, b = g.NextStep(a), g.NextStep(b)
			}
			before, _ := json.Marshal(a)
			next, ra := g.Observe(a, p)
			if again, _ := json.Marshal(a); string(before) != string(again) {
				t.Fatalf("seed %d: %s: the old state changed", seed, g.name)
			}
			kept, err := json.Marshal(b)
			if err != nil {
				t.Fatal(err)
			}
			read, err := ReadState(kept)
			if err != nil {
				t.Fatalf("seed %d: %s: %v of %s", seed, g.name, err, kept)
			}
			var rb Result
			if b, rb = g.Observe(read, p); ra != rb {
				t.Fatalf("seed %d: %s, window %d: %+v, not %+v", seed, g.name, i, rb, ra)
			}
			if a = next; len(kept) > 100_000 {
				t.Fatalf("a state of %d bytes", len(kept))
			}
			if r := ra; r.Evidence < 0 || r.Discount < 1 || r.Message == "" || (r.Verdict == Fail) != (r.Code == CodeLimit) || math.IsNaN(r.Value) {
				t.Fatalf("%+v", r)
			}
		}
	}
}

// TestMergedWindowsSayTheSame: whether a window comes in one piece or two matters little: evidence of windows of 500 ms is that of 250 ms, but for
// when it may have begun.
func TestMergedWindowsSayTheSame(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 7))
	for range 20 {
		all := pairs(r, 40)
		for _, g := range everyGuard(t)[:2] {
			fine, coarse := g.Start(), g.Start()
			var rf, rc Result
			for i := 0; i < len(all); i += 2 {
				fine, _ = g.Observe(fine, all[i])
				fine, rf = g.Observe(fine, all[i+1])
				coarse, rc = g.Observe(coarse, Pair{Join(all[i].Candidate, all[i+1].Candidate), Join(all[i].Control, all[i+1].Control)})
				a, b := g.budget.part(fine.Strict.total()), g.budget.part(coarse.Strict.total())
				if rf.Value != rc.Value || rf.Samples != rc.Samples || math.Abs(a-b) > 0.5*max(a, b, 1) {
					t.Fatalf("seed %d: %s, window %d: %+v, not %+v", seed, g.name, i, rf, rc)
				}
			}
		}
	}
}

// TestWorseIsNeverBetter: one more failure never lowers the evidence.
func TestWorseIsNeverBetter(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	for range 2000 {
		n, p := 1+r.Uint64N(1000), 0.001+0.5*r.Float64()
		x := r.Uint64N(n)
		a, b := exceeding(n, x, p), exceeding(n, x+1, p)
		for i := range a {
			if b[i] <= a[i] {
				t.Fatal(n, x, p, a, b)
			}
		}
	}
}

// TestEvidenceIsAtMostOneInTheMean: of each alternative, exactly: the sum over all outcomes of a window at the limit.
func TestEvidenceIsAtMostOneInTheMean(t *testing.T) {
	binomial := func(n uint64, p float64, each func(x uint64, probability float64)) {
		term := math.Pow(1-p, float64(n))
		for x := range n + 1 {
			each(x, term)
			term *= float64(n-x) / float64(x+1) * p / (1 - p)
		}
	}
	for _, p := range []float64{0.001, 0.005, 0.1, 0.5} {
		for i := range alternatives {
			mean, sum := 0.0, 0.0
			binomial(60, p, func(x uint64, q float64) { mean += q * math.Exp(exceeding(60, x, p)[i]) })
			binomial(40, p, func(x uint64, q float64) { // latencies of 0 and of limit/p: the mean is the limit
				sum += q * math.Exp(slower([]Bucket{{0, 1, 40 - x}, {time.Duration(1e9 / p), 0, x}}, 1)[i])
			})
			if math.Abs(mean-1) > 1e-9 || math.Abs(sum-1) > 1e-9 {
				t.Errorf("%g, alternative %d: %g, %g", p, i, mean, sum)
			}
		}
	}
	for _, ratio := range []float64{1, 1.2, 3} {
		for i := range alternatives {
			split := 0.0
			binomial(30, ratio*2/(ratio*2+3), func(x uint64, q float64) { split += q * math.Exp(apart(2, x, 3, 30-x, ratio)[i]) })
			if math.Abs(split-1) > 1e-9 {
				t.Errorf("ratio %g, alternative %d: %g", ratio, i, split)
			}
		}
	}
}

// TestTheBudgetIsSpentOnce: all that may ever begin has a probability of one together.
func TestTheBudgetIsSpentOnce(t *testing.T) {
	b := compile(t, usualPlan, usualGuards()...)[0].budget
	sum := 0.0
	for from := 0.0; from < 1e6; from += 10 {
		sum += b.mass(from, from+10)
	}
	if half := b.mass(0, b.planned); math.Abs(half-0.5) > 1e-9 || sum > 1 || sum < 0.99 {
		t.Error(half, sum)
	}
}

func TestQuantilesAreThoseOfSortedLatencies(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for range 500 {
		var values []int
		var all []Bucket
		for i := range 20 {
			n := r.Uint64N(4)
			for range n {
				values = append(values, i)
			}
			all = append(all, Bucket{time.Duration(i), time.Duration(i + 1), n})
		}
		slices.Sort(values)
		for _, q := range []float64{0.5, 0.9, 0.99} {
			b, ok := quantile(all, q)
			if ok != (len(values) > 0) || ok && b.Above != time.Duration(values[max(int(math.Ceil(q*float64(len(values))-1e-9)), 1)-1]) {
				t.Fatal(values, q, b)
			}
		}
	}
}

func FuzzReadState(f *testing.F) {
	g := everyGuard(f)[3]
	s := g.Start()
	for _, p := range pairs(rand.New(rand.NewPCG(1, 1)), 60) {
		s, _ = g.Observe(s, p)
	}
	for _, seed := range []State{g.Start(), s} {
		data, _ := json.Marshal(seed)
		f.Add(data, uint64(10), uint64(3))
	}
	f.Fuzz(func(t *testing.T, data []byte, n, x uint64) {
		s, err := ReadState(data)
		if err != nil {
			return
		}
		for _, g := range everyGuard(t) {
			s.Guard = g.shape()
			next, r := g.Observe(s, Pair{Candidate: win(n, x, latency(time.Second, 2*time.Second, n)), Control: win(x, 0, nil)})
			if r.Verdict == "" || r.Message == "" || math.IsNaN(r.Evidence) {
				t.Fatalf("%+v", r)
			}
			if _, err := json.Marshal(next); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzCompile(f *testing.F) {
	f.Add("p99", "10s", "", 0.0, "ecs")
	f.Add("errorRate", "0.5%", "1", 1.2, "")
	f.Fuzz(func(t *testing.T, metric, most, least string, ratio float64, against string) {
		guards, errs := Compile([]Spec{{Name: "g", Metric: Metric(metric), Max: most, Min: least, MaxRatio: ratio, Against: against}}, usualPlan)
		if (errs == nil) != (len(guards) == 1) {
			t.Fatal(errs)
		}
		for _, g := range guards {
			if !(g.limit > 0 || g.ratio >= 1) || math.IsInf(g.limit, 0) {
				t.Fatalf("%+v", g)
			}
		}
	})
}

func BenchmarkObserve(b *testing.B) {
	all := pairs(rand.New(rand.NewPCG(1, 1)), 400)
	for _, g := range everyGuard(b) {
		b.Run(g.name, func(b *testing.B) {
			b.ReportAllocs()
			s := g.Start()
			for i := range b.N {
				s, _ = g.Observe(s, all[i%len(all)])
			}
			kept, _ := json.Marshal(s)
			b.ReportMetric(float64(len(kept)), "state-bytes")
		})
	}
}
