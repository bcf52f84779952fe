package shadow

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/endpoint"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/stats"
)

// stateVersion is that of the form in which a tally is kept. Others are refused.
const stateVersion = 1

// MaxStateBytes is the length of the longest state that is read.
const MaxStateBytes = 16 << 20

// ErrState: what was kept is not a tally, or not one of this version or experiment. Start with an empty one.
var ErrState = errors.New("not the state of a tally of this version")

// wireTally is a tally as it is kept: JSON, with everything in order.
type wireTally struct {
	Version          int               `json:"version"`
	Key              uint64            `json:"key"`
	Compared         uint64            `json:"compared"`
	Answered         uint64            `json:"answered,omitempty"`
	OverCap          uint64            `json:"overCap,omitempty"`
	Crowded          uint64            `json:"crowded,omitempty"`
	Places           int               `json:"places"`
	Unrepresentative map[Reason]uint64 `json:"unrepresentative,omitempty"`
	TargetFailed     map[Reason]uint64 `json:"targetFailed,omitempty"`
	Dropped          map[string]uint64 `json:"dropped,omitempty"`
	Statuses         map[int]uint64    `json:"statuses,omitempty"`
	Templates        *endpoint.State   `json:"templates,omitempty"`
	Endpoints        []wireStat        `json:"endpoints,omitempty"`
	Paths            [][2]uint64       `json:"paths,omitempty"`   // hashes of path and body, of the sample
	Pairs            uint64            `json:"pairs,omitempty"`   // that the sample was drawn from
	Latency          [2][][2]uint64    `json:"latency,omitempty"` // bucket and count, of those that are not empty
}

type wireStat struct {
	Endpoint         string     `json:"endpoint"`
	Compared         uint64     `json:"compared"`
	Unrepresentative uint64     `json:"unrepresentative,omitempty"`
	Credentials      uint64     `json:"credentials,omitempty"`
	Twice            uint64     `json:"twice,omitempty"`
	Cells            []wireCell `json:"cells,omitempty"`
}

type wireCell struct {
	Kind     Kind      `json:"kind"`
	Path     string    `json:"path"`
	Count    uint64    `json:"count,omitempty"`
	Noise    uint64    `json:"noise,omitempty"`
	Asked    uint64    `json:"asked,omitempty"`
	Odd      [2]uint64 `json:"odd"`
	Must     uint64    `json:"must,omitempty"`
	Found    bool      `json:"found,omitempty"`
	First    time.Time `json:"first,omitzero"`
	Last     time.Time `json:"last,omitzero"`
	Examples [2]Shape  `json:"examples"`
	Variants []Variant `json:"variants,omitempty"`
}

// Encode returns the tally to be kept over a restart, or to be sent to where it is merged. Equal tallies give equal bytes.
func (t *Tally) Encode() ([]byte, error) {
	w := wireTally{
		Version: stateVersion, Key: t.key, Compared: t.compared, Answered: t.answered, OverCap: t.overCap, Crowded: t.crowded, Places: t.places, Unrepresentative: t.unrepresentative,
		TargetFailed: t.targetFailed, Dropped: t.dropped, Statuses: t.statuses, Templates: t.templates.State(), Pairs: t.bodies.pairs,
	}
	for _, e := range sortedKeys(t.endpoints) {
		w.Endpoints = append(w.Endpoints, t.endpoints[e].wire(e))
	}
	for _, p := range t.bodies.paths {
		w.Paths = append(w.Paths, [2]uint64{p.path, p.body})
	}
	for i := range t.latency {
		for b, n := range t.latency[i].Counts {
			if n > 0 {
				w.Latency[i] = append(w.Latency[i], [2]uint64{uint64(b), n})
			}
		}
	}
	out, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("encode a tally: %w", err) // a time beyond the year 9999
	}
	return out, nil
}

func (s *stat) wire(e string) wireStat {
	w := wireStat{Endpoint: e, Compared: s.compared, Unrepresentative: s.unrepresentative, Credentials: s.credentials, Twice: s.twice}
	for _, p := range sortedPlaces(s.cells) {
		c := s.cells[p]
		w.Cells = append(w.Cells, wireCell{
			Kind: p.kind, Path: p.path, Count: c.count, Noise: c.noise, Asked: c.asked, Odd: [2]uint64{c.evidence.Candidate, c.evidence.Control},
			Must: c.must, Found: c.found, First: c.first.UTC(), Last: c.last.UTC(), Examples: c.example, Variants: c.variants,
		})
	}
	return w
}

// DecodeTally reads what [Tally.Encode] wrote, for an experiment with these options. The errors are [ErrState], [ErrKey], and those of the
// options.
func DecodeTally(o Options, state []byte) (*Tally, error) {
	t, errs := NewTally(o)
	if errs.Err() != nil {
		return nil, errs
	}
	var w wireTally
	if len(state) > MaxStateBytes || json.Unmarshal(state, &w) != nil || w.Version != stateVersion {
		return nil, ErrState
	}
	if w.Key != t.key {
		return nil, ErrKey
	}
	if !w.bounded() || t.templates.Restore(w.Templates) != nil || !t.restoreEndpoints(w.Endpoints) || !t.restoreRest(&w) {
		return nil, ErrState
	}
	return t, nil
}

// bounded says that there is no more of anything than there may be.
func (w *wireTally) bounded() bool {
	return len(w.Unrepresentative) <= MaxReasons && len(w.TargetFailed) <= MaxReasons && len(w.Dropped) <= MaxReasons+1 && len(w.Statuses) <= maxStatuses+1 &&
		len(w.Endpoints) <= MaxEndpoints+1 && len(w.Paths) <= maxSample && w.Places >= 0 && w.Places <= MaxPlaces
}

func (t *Tally) restoreEndpoints(endpoints []wireStat) bool {
	places := 0
	compared := uint64(0)
	for _, w := range endpoints {
		s := &stat{compared: w.Compared, unrepresentative: w.Unrepresentative, credentials: w.Credentials, twice: w.Twice, cells: map[place]*cell{}}
		if t.endpoints[w.Endpoint] != nil || len(w.Endpoint) > maxEndpoint || w.Twice > w.Compared || w.Compared > maxCount || w.Unrepresentative > maxCount {
			return false
		}
		t.endpoints[w.Endpoint] = s
		compared += w.Compared
		for _, c := range w.Cells {
			if !c.sound(&w) || s.cells[place{c.Kind, c.Path}] != nil {
				return false
			}
			s.cells[place{c.Kind, c.Path}] = &cell{
				count: c.Count, noise: c.Noise, asked: c.Asked, evidence: stats.Evidence{Candidate: c.Odd[0], Control: c.Odd[1]},
				must: c.Must, found: c.Found, first: c.First, last: c.Last, example: c.Examples, variants: c.Variants,
			}
			places++
		}
	}
	t.places, t.compared = places, compared
	return places <= MaxPlaces
}

// Bounds of what is read.
const (
	maxCount    = 1 << 52 // of anything: sums and floats stay exact
	maxEndpoint = 1024    // bytes
	maxKind     = 32
)

// sound says that a cell can be one of an endpoint.
func (c *wireCell) sound(s *wireStat) bool {
	short := len(c.Kind) <= maxKind && len(c.Path) <= maxEndpoint
	for _, e := range c.Examples {
		short = short && len(e.Type) <= maxEndpoint && len(e.Hash) <= maxKind && len(e.Value) <= 4*MaxValue && e.Length >= 0
	}
	return short && c.soundVariants() && c.Count <= s.Compared && c.Must <= c.Count && c.Noise <= s.Twice && c.Asked <= maxCount && c.Odd[0] <= maxCount && c.Odd[1] <= maxCount
}

// restoreRest takes over what is not of an endpoint.
func (t *Tally) restoreRest(w *wireTally) bool {
	if w.Compared != t.compared || w.Answered > maxCount || w.OverCap > w.Compared || w.Crowded > maxCount || !small(w.Unrepresentative) || !small(w.TargetFailed) || !small(w.Dropped) || !small(w.Statuses) || w.Pairs > w.Compared {
		return false
	}
	t.answered, t.overCap, t.crowded, t.places = w.Answered, w.OverCap, w.Crowded, max(t.places, w.Places)
	addAll(t.unrepresentative, w.Unrepresentative)
	addAll(t.targetFailed, w.TargetFailed)
	addAll(t.dropped, w.Dropped)
	addAll(t.statuses, w.Statuses)
	other := sample{pairs: w.Pairs}
	for _, p := range w.Paths {
		other.paths = append(other.paths, pathBody{p[0], p[1]})
	}
	t.bodies.merge(&other)
	for i, buckets := range w.Latency {
		for _, b := range buckets {
			if b[0] >= stats.Buckets || b[1] > maxCount {
				return false
			}
			t.latency[i].Counts[b[0]] += b[1]
			t.latency[i].N += b[1]
		}
	}
	return true
}

func small[K comparable](m map[K]uint64) bool {
	for _, n := range m {
		if n > maxCount {
			return false
		}
	}
	return true
}
