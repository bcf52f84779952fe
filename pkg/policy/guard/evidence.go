package guard

import "math"

// worse are the alternatives that are weighed against a limit, as multiples of the odds (or, against another origin, of the rate) that it allows.
var worse = [...]float64{1.3, 1.7, 2.5, 4, 7, 12, 25, 60, 150}

// stakes are the alternatives of a mean: which part of what one has is bet on each request being slower than the limit.
var stakes = [...]float64{0.02, 0.04, 0.08, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95}

// alternatives is how many there are, of either kind.
const alternatives = len(worse)

// gains are the logarithms of what each alternative explains better than the limit does.
type gains [alternatives]float64

// exceeding are the gains from x of n requests that are bad where a share p may be (Wald; each request is a draw).
func exceeding(n, x uint64, p float64) gains {
	var out gains
	bad, good := float64(x), float64(n-min(x, n))
	for i, r := range worse {
		odds := r * p / (1 - p)
		p1 := odds / (1 + odds)
		out[i] = bad*math.Log(p1/p) + good*math.Log((1-p1)/(1-p))
	}
	return out
}

// apart are the gains from x of n requests at the candidate and y of m at the control, where the candidate's rate may be ratio times the
// control's: what is known is only to whom of both the x+y bad ones belong, so that the rate itself, and what hits both, has no part in it
// (Przyborowski and Wilenski).
func apart(n, x, m, y uint64, ratio float64) gains {
	var out gains
	if n == 0 || m == 0 {
		return out
	}
	share := func(r float64) float64 { return r * float64(n) / (r*float64(n) + float64(m)) }
	p := share(ratio)
	for i, r := range worse {
		p1 := share(ratio * r)
		out[i] = float64(x)*math.Log(p1/p) + float64(y)*math.Log((1-p1)/(1-p))
	}
	return out
}

// slower are the gains from latencies where the mean may be limit seconds: each request multiplies what an alternative has by 1 + stake·(latency/limit −
// 1), which is at most 1 in the mean if the limit is kept, however the latencies are distributed (Waudby-Smith and Ramdas).
func slower(all []Bucket, limit float64) gains {
	var out gains
	for _, b := range all {
		excess := b.Above.Seconds()/limit - 1
		for i, stake := range stakes {
			out[i] += float64(b.Count) * math.Log1p(stake*excess)
		}
	}
	return out
}

// budget is how much evidence a Fail needs, and how the probability of a false one is spread over the time of a rollout.
type budget struct {
	planned   float64 // seconds
	threshold float64 // logarithm of the evidence that is enough
	climb     float64 // from what there is after a second without evidence to the threshold
}

// newBudget gives a guard its part of the probability of a false Fail in a whole rollout.
func newBudget(g *Guard, plan Plan, part float64) budget {
	if g.learns() {
		part /= 2 // it looks at two banks
	}
	b := budget{planned: max(plan.Observed.Seconds(), 60), threshold: -math.Log(part)}
	b.climb = b.threshold - math.Log(b.mass(0, 1))
	return b
}

// mass is the probability, before anything is known, that it becomes bad between two times of being observed, in seconds: half of it is spread evenly
// over the planned time, the other half over all that may come after it.
func (b *budget) mass(from, to float64) float64 {
	before := func(t float64) float64 {
		if t <= b.planned {
			return t / b.planned / 2
		}
		return 1 - b.planned/t/2
	}
	return max(before(to)-before(from), 1e-12)
}

// Bank is the evidence for each alternative, that it began at some time until now.
type Bank struct {
	Logs   []float64 `json:"logs"`   // logarithms of the sums of Shiryaev and Roberts, their weights included
	Tokens float64   `json:"tokens"` // what may be gained now, in part of the climb
}

// Of what a Fail needs, at most allowance can be gained at once, and as much again in each second that follows: with windows of 250 ms no burst of half
// a second suffices, however bad. A factor that is cut off above is still at most 1 in the mean.
const allowance = 0.5

// lowest is the logarithm of no evidence: states are JSON, which has no infinities.
const lowest = -1e6

func newBank() Bank {
	b := Bank{Logs: make([]float64, alternatives), Tokens: allowance}
	for i := range b.Logs {
		b.Logs[i] = lowest
	}
	return b
}

// add is what a window does to a bank: it may have begun with this window, and what each alternative has grows or shrinks by its gain.
func (k *Bank) add(b *budget, g gains, discount, seconds, mass float64) {
	k.Tokens = min(allowance*(1+1e-9), k.Tokens+allowance*seconds)
	most, begins := k.Tokens*b.climb, math.Log(mass/float64(alternatives))
	used := 0.0
	for i := range k.Logs {
		gain := min(g[i]/discount, most)
		used = max(used, gain)
		k.Logs[i] = max(logSum(k.Logs[i], begins)+gain, lowest)
	}
	k.Tokens -= used / b.climb
}

// total is the logarithm of the evidence of all alternatives together.
func (k *Bank) total() float64 {
	sum := lowest
	for _, l := range k.Logs {
		sum = logSum(sum, l)
	}
	return sum
}

// part is how much of what a Fail needs is there: 0 to 1 and above.
func (b *budget) part(total float64) float64 {
	return max(1-(b.threshold-total)/b.climb, 0)
}

// logSum is log(exp(a) + exp(b)).
func logSum(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	return a + math.Log1p(math.Exp(b-a))
}
