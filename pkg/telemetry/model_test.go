package telemetry

import (
	"math/rand/v2"
	"testing"
)

// model is a proxy in milliseconds: when requests picked an origin of Away (picks), and Toward (served). The origin refuses or not; where it
// refuses, load reports do not show picks in time.
type model struct {
	random   *rand.Rand
	refusing bool
	version  version
	acked    int
	picks    []int
	served   []int
	period   int // of flushes
	offset   int // of the first
}

func newModel(random *rand.Rand) *model {
	m := &model{random: random, refusing: random.IntN(2) == 0, version: new140, acked: random.IntN(500), period: 300 + random.IntN(2000)}
	m.offset = -m.period - random.IntN(m.period)
	if random.IntN(2) == 0 {
		m.version = old137
	}
	last := m.acked // the last pick: mostly the acknowledgement holds
	switch random.IntN(4) {
	case 0:
		last += random.IntN(4000)
	case 1:
		last -= random.IntN(1000)
	}
	for ms := m.offset; ms < last; ms += 1 + random.IntN(200) {
		m.picks = append(m.picks, ms)
	}
	if random.IntN(4) > 0 {
		for ms := m.offset; ms < 8000; ms += 1 + random.IntN(400) {
			m.served = append(m.served, ms)
		}
	}
	return m
}

// within counts the moments after from, to to.
func within(moments []int, from, to int) (n uint64) {
	for _, ms := range moments {
		if ms > from && ms <= to {
			n++
		}
	}
	return n
}

// run tells the tracker what happens, in order, and checks each state against the truth.
func (m *model) run(t *testing.T, verdicts map[State]int) {
	t.Helper()
	tr := newTracker(Change{Fleet: "default", Service: "orders", Away: []string{"eks"}, Toward: []string{"ecs"}, Called: testTime})
	w := tr.at("p1")
	w.version = m.version
	tr.connected("p1", true, at(m.offset))
	round, next, flush := m.acked+1, m.acked+251, m.offset
	lost := 0
	for now := m.offset; now < 8000; now++ {
		if now != m.acked && now != flush+m.period && now != next && now%100 != 0 {
			continue // nothing happens
		}
		if now == m.acked {
			tr.acked("p1", at(now))
		}
		if now == flush+m.period {
			if m.random.IntN(8) == 0 {
				lost = m.period
			} else {
				picks := within(m.picks, flush, now)
				tr.at("p1").interval(interval{
					from: at(flush), to: at(now), arrived: at(now), complete: true, gap: lost > 0, requests: within(m.served, flush, now),
					away: []seen{{picks, health{used: picks > 0, answering: picks > 0 && !m.refusing}}},
				})
				lost = 0
			}
			flush = now
		}
		if now == next {
			var l load
			if !m.refusing {
				l.issued = within(m.picks, round, now)
			}
			tr.at("p1").round(roundOf(round, now, l, within(m.served, round, now)))
			round, next = now, now+250
		}
		m.check(t, tr, now, flush, round, verdicts)
	}
}

func roundOf(from, to int, l load, requests uint64) round {
	return round{notBefore: at(from), arrived: at(to), length: at(to).Sub(at(from)), away: []load{l}, requests: requests, complete: true}
}

// check compares a state with the truth, as far as reports have come.
func (m *model) check(t *testing.T, tr *tracker, now, flush, round int, verdicts map[State]int) {
	t.Helper()
	s := tr.state(at(now))
	verdicts[s.State]++
	reported := flush
	if s.State == Proven && s.Resolution.Milliseconds() == 250 {
		reported = round
	}
	switch s.State {
	case Proven:
		since := int(s.Since.Milliseconds())
		if n := within(m.picks, since, reported); n > 0 {
			t.Fatalf("at %d ms: proven since %d ms, but there were %d picks until %d ms: %+v", now, since, n, reported, m)
		}
		if within(m.served, m.acked, now) == 0 {
			t.Fatalf("at %d ms: proven without a request since the acknowledgement: %+v", now, m)
		}
	case Silent:
		if n := within(m.picks, max(m.acked, int(s.Since.Milliseconds())), reported); n > 0 {
			t.Fatalf("at %d ms: silent, but there were %d picks: %+v", now, n, m)
		}
	}
}
