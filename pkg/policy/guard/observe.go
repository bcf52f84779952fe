package guard

import (
	"math"
	"time"
)

// sample is a window as a guard sees it.
type sample struct {
	block
	gains gains  // against the limit
	held  string // why nothing can be concluded from it; empty: something can
}

// learns says whether it also looks for what is unusual.
func (g *Guard) learns() bool { return g.ratio == 0 && (g.metric == ErrorRate || g.metric.share() > 0) }

// Observe takes one more window of both origins, and says what is so now. Windows of a rollout are given in their order, each once; one without
// requests is one as well. Nothing is read but the arguments.
func (g *Guard) Observe(s State, p Pair) (State, Result) {
	if what := g.unusable(&s, &p); what != "" {
		return s, g.result(&s, Error, what)
	}
	s = s.clone()
	m := g.advance(&s, &p)
	return s, g.judge(&s, &p, m)
}

// advance adds a window to a state.
func (g *Guard) advance(s *State, p *Pair) sample {
	from := s.Seen.Seconds()
	s.Seen += p.Candidate.Length
	s.Step += p.Candidate.Length
	if g.metric == Requests {
		g.remember(s, p)
		return sample{}
	}
	settling := s.Step <= g.settle
	m := g.measure(s, p)
	g.remember(s, p)
	if !settling && m.held == "" {
		g.weigh(s, &m, from)
	}
	s.Past.learn(m.block)
	if g.enough(s) && !settling {
		s.Over++
	} else {
		s.Over = 0
	}
	return m
}

// unusable says why nothing can be made of what was given.
func (g *Guard) unusable(s *State, p *Pair) string {
	if s.Guard != g.shape() || s.wrong() != "" {
		return "the state is that of another guard"
	}
	if what := p.Candidate.wrong(); what != "" {
		return "the candidate's window " + what
	}
	control := p.Control
	if control.Length == 0 {
		control.Length = p.Candidate.Length
	}
	if what := control.wrong(); what != "" {
		return "the control's window " + what
	}
	return ""
}

// weigh adds a sample to the evidence.
func (g *Guard) weigh(s *State, m *sample, from float64) {
	seconds := s.Seen.Seconds() - from
	mass := g.budget.mass(from, s.Seen.Seconds())
	discount := s.Past.discount(g.ratio > 0)
	s.Strict.add(&g.budget, m.gains, discount, seconds, mass)
	p := s.Past.usualHere(g.allowed(), discount)
	s.Usual.add(&g.budget, exceeding(m.N, m.X, p), discount, seconds, mass)
	p = usual(float64(s.Past.Others), float64(s.Past.OthersBad), g.allowed(), 1)
	s.Other.add(&g.budget, exceeding(m.M, m.Y, p), 1, seconds, mass)
	s.Peaks.candidate(g.budget.part(max(s.Strict.total(), s.Usual.total())))
	s.Peaks.control(g.budget.part(s.Other.total()), seconds)
}

// What the second way to a Fail asks for: that it is beyond what was usual is as sure as the budget wants, that it is beyond the limit may be
// less so, with some bad requests in the last seconds.
const (
	suspicion = 6.5 // logarithm of the evidence against the limit, over what is there after a second without any
	fewest    = 8   // bad requests
)

// enough says whether the evidence makes a Fail.
func (g *Guard) enough(s *State) bool {
	strict, needed := s.Strict.total(), s.Peaks.needed()
	if g.budget.part(strict) >= needed {
		return true
	}
	if !g.learns() || g.budget.part(s.Usual.total()) < needed {
		return false
	}
	_, bad := s.Past.recent()
	seen := s.Seen.Seconds()
	return bad >= fewest && strict-math.Log(g.budget.mass(seen-1, seen)) >= suspicion
}

// allowed is the share of bad requests that the limit allows; of a guard that has none of that kind, a share that is always too many.
func (g *Guard) allowed() float64 {
	switch {
	case g.ratio > 0 || g.metric == Mean:
		return 0.5
	case g.metric == ErrorRate:
		return g.limit
	}
	return g.metric.share()
}

// measure finds in a window what is bad, and what it says of the limit. What is compared with is chosen from earlier windows.
func (g *Guard) measure(s *State, p *Pair) sample {
	switch {
	case g.metric == ErrorRate:
		return g.measureErrors(p)
	case g.ratio == 0:
		return g.measureLatency(p)
	case g.metric == Mean:
		return g.measureMeans(s, p)
	}
	return g.measureQuantiles(s, p)
}

func (g *Guard) measureErrors(p *Pair) sample {
	c, o := &p.Candidate, &p.Control
	m := sample{block: block{c.Length, c.Requests(), c.Failures(), o.Requests(), o.Failures()}}
	if g.ratio > 0 {
		m.gains = apart(m.N, m.X, m.M, m.Y, g.ratio)
	} else {
		m.gains = exceeding(m.N, m.X, g.limit)
	}
	return m
}

// aboves counts the requests above a limit each.
func aboves(p *Pair, candidate, control time.Duration) block {
	c, o := p.Candidate.Latency, p.Control.Latency
	return block{p.Candidate.Length, count(c), surelyAbove(c, candidate), count(o), surelyAbove(o, control)}
}

func (g *Guard) measureLatency(p *Pair) sample {
	m := sample{block: aboves(p, g.duration, g.duration)}
	if g.metric == Mean {
		m.gains = slower(p.Candidate.Latency, g.limit)
	} else {
		m.gains = exceeding(m.N, m.X, g.allowed())
	}
	return m
}
