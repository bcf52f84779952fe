package shadow

import (
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/endpoint"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/stats"
)

// Bounds of a tally.
const (
	MaxEndpoints   = 256  // what comes after counts for one more, "(other)"
	MaxPlaces      = 4096 // endpoint × kind × path, in all; what comes after is counted in one per endpoint, and makes the verdict inconclusive
	MaxReasons     = 32   // of dropped requests
	maxAsked       = 20_000
	uninformative  = 64 // times that control was asked again for a place without learning anything
	maxStatuses    = 128
	overflowReason = "other"
)

// Tally adds up outcomes: how many pairs, what differs where and how often, and what is known of the noise. It is bounded. It is not safe for
// concurrent use.
type Tally struct {
	key       uint64 // of the hashes
	templates *endpoint.Templates
	endpoints map[string]*stat
	places    int // that there ever were: the test is corrected for so many

	unrepresentative map[Reason]uint64
	targetFailed     map[Reason]uint64
	dropped          map[string]uint64
	statuses         map[int]uint64 // of control's answers
	compared         uint64
	answered         uint64 // in dark mode
	overCap          uint64
	crowded          uint64 // differences for which there was no place
	bodies           sample
	latency          [2]stats.Sketch
}

// stat is what is known of one endpoint.
type stat struct {
	compared         uint64
	unrepresentative uint64
	credentials      uint64 // of these, for want of credentials
	twice            uint64 // compared pairs to which control gave two answers by chance
	cells            map[place]*cell
}

// place is where answers differ.
type place struct {
	kind Kind
	path string
}

// cell is what is known of one place.
type cell struct {
	count    uint64 // pairs that differ there
	noise    uint64 // of those to which control gave two answers by chance, how many of these differ there
	asked    uint64 // how often control was asked again because of it
	evidence stats.Evidence
	must     uint64 // pairs in which a rule demands equality
	found    bool   // it was a finding once
	first    time.Time
	last     time.Time
	example  [2]Shape
	variants []Variant // in order of their values
}

// NewTally returns a tally that is empty.
func NewTally(o Options) (*Tally, policy.Errors) {
	templates, errs := endpoint.New(o.Endpoints)
	if len(errs) > 0 {
		return nil, errs
	}
	h := newHasher(o.Key)
	return &Tally{
		key: h.of(useKey, nil), templates: templates, endpoints: map[string]*stat{},
		unrepresentative: map[Reason]uint64{}, targetFailed: map[Reason]uint64{}, dropped: map[string]uint64{}, statuses: map[int]uint64{},
	}, nil
}

// Drop counts requests that were mirrored but not asked or not answered for reasons of ours. The reason is a word of ours.
func (t *Tally) Drop(reason string, n uint64) {
	if _, ok := t.dropped[reason]; !ok && len(t.dropped) >= MaxReasons {
		reason = overflowReason
	}
	t.dropped[reason] += n
}

// Add counts an outcome.
func (t *Tally) Add(o *Outcome, now time.Time) {
	s := t.endpoint(t.template(o.path))
	if o.status != 0 {
		t.countStatus(o.status, 1)
	}
	switch o.Class {
	case Unrepresentative:
		t.unrepresentative[o.Reason]++
		s.unrepresentative++
		if o.Reason.credentials() {
			s.credentials++
		}
	case TargetFailed:
		t.targetFailed[o.Reason]++
	default:
		t.addCompared(s, o, now)
	}
	t.learn(s, o)
}

// template is the template of a path. When learning it makes others of earlier ones, what is known of these is put together.
func (t *Tally) template(path string) string {
	template, changed := t.templates.Of(path)
	if changed {
		t.rename()
	}
	return template
}

func (t *Tally) rename() {
	old, places := t.endpoints, t.places
	t.endpoints, t.places = map[string]*stat{}, 0
	for _, e := range sortedKeys(old) {
		t.mergeStat(t.endpoint(t.templates.Again(e)), old[e])
	}
	t.places = places
}

// endpoint returns what is known of an endpoint.
func (t *Tally) endpoint(template string) *stat {
	s := t.endpoints[template]
	if s == nil && len(t.endpoints) >= MaxEndpoints {
		template = endpoint.Other
		s = t.endpoints[template]
	}
	if s == nil {
		s = &stat{cells: map[place]*cell{}}
		t.endpoints[template] = s
	}
	return s
}

func (t *Tally) countStatus(status int, n uint64) {
	if _, ok := t.statuses[status]; !ok && len(t.statuses) >= maxStatuses {
		status = 0
	}
	t.statuses[status] += n
}

func (t *Tally) addCompared(s *stat, o *Outcome, now time.Time) {
	t.compared++
	s.compared++
	if o.overCap {
		t.overCap++
	}
	if o.answers {
		t.latency[0].Add(o.took[0])
		t.latency[1].Add(o.took[1])
	}
	if o.body != 0 {
		t.bodies.add(o.whose, o.body)
	}
	for i := range o.Differences {
		t.count(s, &o.Differences[i], now)
	}
	if !o.sampled || !o.fair {
		return
	}
	s.twice++
	for i := range o.noise {
		if c := t.cell(s, placeOf(&o.noise[i])); c != nil {
			c.noise++
		}
	}
}

// count adds a difference of one pair.
func (t *Tally) count(s *stat, d *Difference, now time.Time) {
	c := t.cell(s, placeOf(d))
	if c == nil {
		t.crowded++
		return
	}
	if example := [2]Shape{d.Control, d.Candidate}; c.count == 0 || now.Before(c.first) || now.Equal(c.first) && exampleBefore(example, c.example) {
		c.first, c.example = now, example
	}
	c.count++
	if d.Kind.plain() {
		c.addVariant(Variant{d.Control.plain(), d.Candidate.plain(), 1})
	}
	if d.Must {
		c.must++
	}
	if c.last.Before(now) {
		c.last = now
	}
}

func placeOf(d *Difference) place { return place{d.Kind, d.Path} }

// cell returns what is known of a place; nil if there is no room for another one.
func (t *Tally) cell(s *stat, p place) *cell {
	c := s.cells[p]
	if c == nil {
		if t.places >= MaxPlaces {
			return nil
		}
		t.places++
		c = &cell{}
		s.cells[p] = c
	}
	return c
}

// learn counts, for each place, whose answer was the odd one of three.
//
// If control was asked twice by chance, exchanging the candidate's answer with the second of control's would change nothing if there were
// no difference. If it was asked because of a difference, that is so for exchanging the candidate's with the first of control's: what is
// missing in one order is added in the other.
func (t *Tally) learn(s *stat, o *Outcome) {
	if !o.sampled && !o.asked {
		return
	}
	for i := range o.Differences {
		d := &o.Differences[i]
		again, odd := has(o.noise, d), has(o.odd, d)
		c := t.cell(s, placeOf(d))
		if c != nil && o.asked {
			c.asked++
		}
		switch {
		case o.asked && again && !odd:
			t.controlOdd(s, place{d.Kind.mirrored(), d.Path})
		case c != nil && !again && (o.sampled || odd):
			c.evidence.Candidate++
		}
	}
	for i := range o.noise {
		if d := &o.noise[i]; o.sampled && !has(o.Differences, d) {
			t.controlOdd(s, placeOf(d))
		}
	}
}

func (t *Tally) controlOdd(s *stat, p place) {
	if c := t.cell(s, p); c != nil {
		c.evidence.Control++
	}
}

func has(ds []Difference, d *Difference) bool {
	for i := range ds {
		if ds[i].Kind == d.Kind && ds[i].Path == d.Path {
			return true
		}
	}
	return false
}
