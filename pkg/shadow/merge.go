package shadow

import (
	"errors"
	"maps"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/stats"
)

// ErrKey: two tallies are of different experiments, their hashes do not compare.
var ErrKey = errors.New("tallies of experiments with different keys cannot be added")

// Merge adds another tally of the same experiment. The sum does not depend on the order.
func (t *Tally) Merge(o *Tally) error {
	if t.key != o.key {
		return ErrKey
	}
	t.templates.Merge(o.templates)
	t.rename()
	for _, e := range sortedKeys(o.endpoints) {
		t.mergeStat(t.endpoint(t.templates.Again(e)), o.endpoints[e])
	}
	addAll(t.unrepresentative, o.unrepresentative)
	addAll(t.targetFailed, o.targetFailed)
	for _, s := range sortedKeys(o.statuses) {
		t.countStatus(s, o.statuses[s])
	}
	for _, r := range sortedKeys(o.dropped) {
		t.Drop(r, o.dropped[r])
	}
	t.compared += o.compared
	t.answered += o.answered
	t.overCap += o.overCap
	t.crowded += o.crowded
	t.bodies.merge(&o.bodies)
	for i := range t.latency {
		t.latency[i].Merge(&o.latency[i])
	}
	return nil
}

func addAll[K comparable](dst, src map[K]uint64) {
	for k, n := range maps.All(src) {
		dst[k] += n
	}
}

// mergeStat adds what is known of one endpoint to another.
func (t *Tally) mergeStat(s, o *stat) {
	s.compared += o.compared
	s.unrepresentative += o.unrepresentative
	s.credentials += o.credentials
	s.twice += o.twice
	for _, p := range sortedPlaces(o.cells) {
		c := t.cell(s, p)
		if c == nil {
			t.crowded += o.cells[p].count
			continue
		}
		c.merge(o.cells[p])
	}
}

func (c *cell) merge(o *cell) {
	if o.count > 0 && (c.count == 0 || o.first.Before(c.first) || o.first.Equal(c.first) && exampleBefore(o.example, c.example)) {
		c.first, c.example = o.first, o.example
	}
	if c.last.Before(o.last) {
		c.last = o.last
	}
	c.count += o.count
	c.noise += o.noise
	c.asked += o.asked
	c.must += o.must
	for _, v := range o.variants {
		c.addVariant(v)
	}
	c.found = c.found || o.found
	c.evidence = stats.Evidence{Candidate: c.evidence.Candidate + o.evidence.Candidate, Control: c.evidence.Control + o.evidence.Control}
}

// exampleBefore orders examples of the same time, so that the order of merging does not count.
func exampleBefore(a, b [2]Shape) bool {
	if x, y := a[0].String(), b[0].String(); x != y {
		return x < y
	}
	return a[1].String() < b[1].String()
}
