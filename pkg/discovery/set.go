package discovery

import (
	"cmp"
	"iter"
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
	// Share of the ready endpoints, in per cent, up to which those that vanish unannounced are believed at once. At least one is. What was
	// believed so within the last Confirm counts, so that many small shrinks are no way around it.
	Share int
	// Confirm is how much later a look must say the same for a larger shrink to be believed. Looks that name no ready endpoint do not
	// count.
	Confirm time.Duration
}

// DefaultRules are those that hold unless somebody wants others.
func DefaultRules() Rules { return Rules{Share: 30, Confirm: 10 * time.Second} }

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
	tracked   []Tracked // by address, each once; never changed
	recent    []letGo   // shrinks that were believed at once, and are not long ago
	looked    time.Time // the last look that found something out
	err       error     // of the last look, if it did not
	failing   time.Time // since when looks fail; zero if they do not
	held      time.Time // since when a shrink is held; zero if none is
	seen      bool      // there was a look that found something out
	inherited bool      // what is tracked is another source's
}

// letGo is an endpoint that vanished unannounced, which was believed at once.
type letGo struct {
	address netip.AddrPort
	at      time.Time
}

// Take returns what is believed after a look. Looks that are older than the last one change nothing.
func (s Set) Take(l Look, r Rules) Set {
	if s.seen && l.At.Before(s.looked) {
		return s
	}
	if l.Err != nil {
		if s.err == nil || s.failing.IsZero() {
			s.failing = l.At
		}
		s.err = l.Err
		return s
	}
	named := track(l.Endpoints, l.At)
	left := slices.ContainsFunc(named, func(t Tracked) bool { return t.State == StateReady })
	next := Set{tracked: named, looked: l.At, seen: true}
	if l.Meant && !s.inherited || s.inherited && left {
		return next // whatever it was before
	}
	next.inherited = s.inherited
	var held []Tracked
	held, next.recent = s.doubt(named, left, l.At, r)
	for _, t := range held {
		if next.held.IsZero() || t.Missing.Before(next.held) {
			next.held = t.Missing
		}
	}
	if len(held) > 0 {
		next.tracked = inOrder(append(named, held...))
	}
	return next
}

// track returns endpoints as a source names them, by address.
func track(endpoints []Endpoint, seen time.Time) []Tracked {
	out := make([]Tracked, len(endpoints))
	for i, e := range endpoints {
		out[i] = Tracked{Endpoint: e, State: StateReady, Seen: seen}
		if e.State == Draining {
			out[i].State = StateDraining
		}
	}
	return inOrder(out)
}

// inOrder sorts by address. Of endpoints with the same address, which no source should tell, one that is ready stays.
func inOrder(ts []Tracked) []Tracked {
	sorted := true
	for i := 1; i < len(ts) && sorted; i++ {
		sorted = ts[i-1].Address.Compare(ts[i].Address) < 0
	}
	if sorted {
		return ts
	}
	slices.SortStableFunc(ts, func(a, b Tracked) int {
		return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(b.State, a.State)) // "ready" is after "draining"
	})
	return slices.CompactFunc(ts, func(a, b Tracked) bool { return a.Address == b.Address })
}

// doubt returns, as held, the endpoints that a look dropped without a word and that stay in use; and what it let go at once, now or not
// long ago. left says that the look names ready endpoints.
func (s Set) doubt(named []Tracked, left bool, at time.Time, r Rules) (held []Tracked, recent []letGo) {
	inUse := 0
	for t, now := range s.inUse(named) {
		inUse++
		if now != nil {
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
		if left && at.Sub(t.doubted) >= r.Confirm {
			continue
		}
		held = append(held, t)
	}
	recent = s.stillRecent(named, at, r)
	allowed := max(1, (inUse+len(recent))*r.Share/100) - len(recent)
	if !left || len(held) > allowed {
		return held, recent
	}
	for _, t := range held {
		recent = append(recent, letGo{t.Address, at})
	}
	return nil, recent
}

// inUse goes through the endpoints that take requests, each with what is said of it by others, which are by address too; nil if nothing is.
func (s Set) inUse(others []Tracked) iter.Seq2[Tracked, *Tracked] {
	return func(yield func(Tracked, *Tracked) bool) {
		i := 0
		for _, t := range s.tracked {
			for i < len(others) && others[i].Address.Compare(t.Address) < 0 {
				i++
			}
			var said *Tracked
			if i < len(others) && others[i].Address == t.Address {
				said = &others[i]
			}
			if t.State != StateDraining && !yield(t, said) {
				return
			}
		}
	}
}

// stillRecent returns what was let go within the last Confirm and was not named since.
func (s Set) stillRecent(named []Tracked, at time.Time, r Rules) []letGo {
	var out []letGo
	for _, g := range s.recent {
		_, back := slices.BinarySearchFunc(named, g.address, func(t Tracked, a netip.AddrPort) int { return t.Address.Compare(a) })
		if !back && at.Sub(g.at) < r.Confirm {
			out = append(out, g)
		}
	}
	return out
}

// Accept returns the set without those of some endpoints that are held: somebody saw them and said that their end is meant. What was let go
// before no longer counts either.
func (s Set) Accept(seen ...netip.AddrPort) Set {
	s.tracked = slices.DeleteFunc(slices.Clone(s.tracked), func(t Tracked) bool { return t.State == StateHeld && slices.Contains(seen, t.Address) })
	s.held, s.recent = time.Time{}, nil
	for _, t := range s.tracked {
		if t.State == StateHeld && (s.held.IsZero() || t.Missing.Before(s.held)) {
			s.held = t.Missing
		}
	}
	return s
}

// Endpoints returns what is believed, by address. The caller must not change it.
func (s Set) Endpoints() []Tracked { return s.tracked }

// Known says whether any look of the present source found something out: before, that there are no endpoints means nothing, and those
// that there are come from elsewhere, see [Seed].
func (s Set) Known() bool { return s.seen }

// Looked is when a look last found something out, be it one of an earlier source or process.
func (s Set) Looked() time.Time { return s.looked }

// Failing returns since when looks fail, and why the last one did; nil if they do not.
func (s Set) Failing() (time.Time, error) { return s.failing, s.err }

// Held returns since when a shrink is held; the zero time if none is.
func (s Set) Held() time.Time { return s.held }
