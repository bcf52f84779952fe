package discovery

import (
	"maps"
	"net/netip"
	"slices"
	"time"
)

// State is what proxies do with an endpoint.
type State string

// The states of an endpoint.
const (
	StateReady    State = "ready"
	StateDraining State = "draining"
	StateHeld     State = "held" // its source no longer names it, which is not believed yet; it is used like a ready one
)

// Rules say when a shrink is suspicious.
type Rules struct {
	// Share of the ready endpoints, in per cent, up to which those that vanish in one look are believed at once. At least one is.
	Share int
	// Confirm is how much later a look must say the same for a larger shrink to be believed. Looks that name no ready endpoint do not
	// count.
	Confirm time.Duration
}

// Tracked is an endpoint as it is believed.
type Tracked struct {
	Endpoint
	State State
	// Seen is when a look last named it.
	Seen time.Time
	// Missing is since when no look names it; zero unless it is held.
	Missing time.Time
	// doubted is since when looks that name other ready endpoints do not name it; zero unless it is held, and while no look names any.
	doubted time.Time
}

// Set is what is believed of the endpoints of one origin. The zero value knows nothing. It is immutable: [Set.Take] returns the next one.
type Set struct {
	tracked map[netip.AddrPort]Tracked
	looked  time.Time // the last look that found something out
	err     error     // of the last look, if it did not
	failing time.Time // since when looks fail; zero if they do not
	held    time.Time // since when a shrink is held; zero if none is
	seen    bool      // there was a look
}

// Take returns what is believed after a look. Looks that are older than the last one change nothing.
func (s Set) Take(l Look, r Rules) Set {
	if l.At.Before(s.looked) {
		return s
	}
	if l.Err != nil {
		if s.err == nil || s.failing.IsZero() {
			s.failing = l.At
		}
		s.err = l.Err
		return s
	}
	named := make(map[netip.AddrPort]Tracked, len(l.Endpoints))
	for _, e := range l.Endpoints {
		t := Tracked{Endpoint: e, State: StateReady, Seen: l.At}
		if e.State == Draining {
			t.State = StateDraining
		}
		named[e.Address] = t
	}
	s.held = time.Time{}
	if !l.Meant {
		for _, t := range s.doubted(named, l.At, r) {
			named[t.Address] = t
			if s.held.IsZero() || t.Missing.Before(s.held) {
				s.held = t.Missing
			}
		}
	}
	s.tracked, s.looked, s.err, s.failing, s.seen = named, l.At, nil, time.Time{}, true
	return s
}

// doubted returns, as held, the endpoints that a look dropped without a word and that stay in use.
func (s Set) doubted(named map[netip.AddrPort]Tracked, at time.Time, r Rules) []Tracked {
	left := false
	for _, t := range named {
		left = left || t.State == StateReady
	}
	var gone []Tracked
	inUse := 0
	for _, t := range s.tracked {
		if t.State == StateDraining {
			continue // announced
		}
		inUse++
		if _, still := named[t.Address]; still {
			continue
		}
		if t.State != StateHeld {
			t.State, t.Missing = StateHeld, at
		}
		switch {
		case !left:
			t.doubted = time.Time{} // whoever names nothing confirms nothing, now or later
		case t.doubted.IsZero():
			t.doubted = at
		}
		if !left || at.Sub(t.doubted) < r.Confirm {
			gone = append(gone, t)
		}
	}
	if left && len(gone) <= max(1, inUse*r.Share/100) {
		return nil
	}
	return gone
}

// Accept returns the set without what is held: somebody said that the shrink is meant.
func (s Set) Accept() Set {
	out := make(map[netip.AddrPort]Tracked, len(s.tracked))
	for a, t := range s.tracked {
		if t.State != StateHeld {
			out[a] = t
		}
	}
	s.tracked, s.held = out, time.Time{}
	return s
}

// Endpoints returns what is believed, by address.
func (s Set) Endpoints() []Tracked {
	return slices.SortedFunc(maps.Values(s.tracked), func(a, b Tracked) int { return a.Address.Compare(b.Address) })
}

// Known says whether any look found something out: before, that there are no endpoints means nothing.
func (s Set) Known() bool { return s.seen }

// Looked is when a look last found something out.
func (s Set) Looked() time.Time { return s.looked }

// Failing returns since when looks fail, and why the last one did; nil if they do not.
func (s Set) Failing() (time.Time, error) { return s.failing, s.err }

// Held returns since when a shrink is held; the zero time if none is.
func (s Set) Held() time.Time { return s.held }
