package guard

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// State is what a guard knows of a rollout so far. It is a value: [Guard.Observe] returns a new one and leaves the old one as it was. As JSON it
// is kept over restarts; its size is bounded.
type State struct {
	Guard string        `json:"guard"` // of which guard it is, see [Guard.Start]
	Seen  time.Duration `json:"seen"`  // observed in this rollout
	Step  time.Duration `json:"step"`  // observed in this step
	// Strict is the evidence against the limit, Usual that against what was usual (which makes a Fail only where the limit is
	// a share of requests), Other what looks like evidence at the control, and is none.
	Strict Bank   `json:"strict"`
	Usual  Bank   `json:"usual"`
	Other  Bank   `json:"other"`
	Peaks  peaks  `json:"peaks"`
	Over   int    `json:"over"`  // observations in a row with enough evidence
	Slots  []slot `json:"slots"` // the last window, for what is shown and for a Pass
	Past   past   `json:"past"`
}

// Start is the state at the beginning of a rollout.
func (g *Guard) Start() State {
	return State{Guard: g.shape(), Strict: newBank(), Usual: newBank(), Other: newBank()}
}

// shape tells states of different guards apart.
func (g *Guard) shape() string {
	return fmt.Sprintf("1 %s %s %g %g %s", g.metric, g.against, g.limit, g.ratio, g.window)
}

// NextStep is the state at the beginning of a step: what was seen of the steps before no longer makes a Pass, and latencies settle anew. The evidence
// stays, and so does what was learnt.
func (g *Guard) NextStep(s State) State {
	s.Step, s.Slots, s.Over = 0, nil, 0
	return s
}

// ReadState reads a state that was kept.
func ReadState(data []byte) (State, error) {
	wrong := func(what string) (State, error) {
		return State{}, &policy.Error{Kind: policy.Internal, Code: "guard_state", Field: "state", Message: "the state of a guard cannot be used: " + what, Next: "start the rollout again"}
	}
	var s State
	if err := json.Unmarshal(data, &s); err != nil {
		return wrong(err.Error())
	}
	if what := s.wrong(); what != "" {
		return wrong(what)
	}
	return s, nil
}

// wrong says why a state cannot be one of ours.
func (s *State) wrong() string {
	for _, b := range []*Bank{&s.Strict, &s.Usual, &s.Other} {
		if len(b.Logs) != alternatives {
			return fmt.Sprintf("it has evidence for %d alternatives, not %d", len(b.Logs), alternatives)
		}
		for _, l := range b.Logs {
			if l > 1e9 || l < lowest {
				return fmt.Sprintf("evidence of %g", l)
			}
		}
		if math.Abs(b.Tokens) > 1 {
			return fmt.Sprintf("an allowance of %g", b.Tokens)
		}
	}
	if s.Seen < 0 || s.Step < 0 || s.Over < 0 || len(s.Slots) > maxSlots || len(s.Past.Recent) > maxRecent {
		return "times or lengths that cannot be"
	}
	for i := range s.Slots {
		for _, o := range []*side{&s.Slots[i].Candidate, &s.Slots[i].Control} {
			if what := wrongBuckets(o.Latency); what != "" || len(o.Latency) > maxSlotBuckets || s.Slots[i].Length <= 0 {
				return "a slot that cannot be " + what
			}
		}
	}
	if p := s.Peaks; !(p.Now >= 0 && p.Before >= 0 && p.Now < 1e9 && p.Before < 1e9) {
		return "peaks that cannot be"
	}
	return s.Past.wrong()
}

// clone makes a state that shares nothing that changes.
func (s State) clone() State {
	for _, b := range []*Bank{&s.Strict, &s.Usual, &s.Other} {
		b.Logs = slices.Clone(b.Logs)
	}
	s.Slots, s.Past.Recent = slices.Clone(s.Slots), slices.Clone(s.Past.Recent)
	return s
}

// slot is a piece of the last window.
type slot struct {
	Length    time.Duration `json:"length"`
	Candidate side          `json:"candidate"`
	Control   side          `json:"control"`
}

// side is what a slot knows of an origin.
type side struct {
	Requests uint64   `json:"n,omitempty"`
	Failures uint64   `json:"x,omitempty"`
	Latency  []Bucket `json:"l,omitempty"`
}

// What is kept of the last window: pieces of a tenth of it.
const (
	slotsEach      = 10
	minSlot        = 500 * time.Millisecond
	maxSlots       = 2*slotsEach + 2
	maxSlotBuckets = 4 * MaxBuckets
	recent         = 2 * time.Second // what is shown if it is above the limit and the window is not
)

// remember adds a window to the slots, and drops what is older than the window of the guard.
func (g *Guard) remember(s *State, p *Pair) {
	length := max(minSlot, g.window/slotsEach)
	now := slot{Length: p.Candidate.Length, Candidate: g.side(&p.Candidate)}
	if g.ratio > 0 {
		now.Control = g.side(&p.Control)
	}
	if last := len(s.Slots) - 1; last >= 0 && s.Slots[last].Length+now.Length <= length {
		s.Slots[last] = joinSlots(s.Slots[last:], now)
	} else {
		s.Slots = append(s.Slots, now)
	}
	total := time.Duration(0)
	for i := len(s.Slots) - 1; i >= 0; i-- {
		if total >= g.window || len(s.Slots)-i >= maxSlots {
			s.Slots = slices.Clone(s.Slots[i+1:])
			return
		}
		total += s.Slots[i].Length
	}
}

func (g *Guard) side(w *Window) side {
	s := side{Requests: w.Requests(), Failures: w.Failures()}
	if g.metric.latency() {
		s.Requests, s.Failures = count(w.Latency), 0
		for _, b := range w.Latency {
			if b.Count > 0 {
				s.Latency = append(s.Latency, b)
			}
		}
	}
	return s
}

// joinSlots adds up slots.
func joinSlots(all []slot, more ...slot) slot {
	var out slot
	for _, part := range [][]slot{all, more} {
		for i := range part {
			out.Length += part[i].Length
			out.Candidate.add(&part[i].Candidate)
			out.Control.add(&part[i].Control)
		}
	}
	return out
}

func (s *side) add(o *side) {
	s.Requests += o.Requests
	s.Failures += o.Failures
	if len(o.Latency) > 0 {
		s.Latency = addBuckets(s.Latency, o.Latency)
	}
}

// lastOf adds up the newest slots that together are at least so long.
func (s *State) lastOf(length time.Duration) slot {
	i, total := len(s.Slots), time.Duration(0)
	for i > 0 && total < length {
		i--
		total += s.Slots[i].Length
	}
	return joinSlots(s.Slots[i:])
}
