package rule

import (
	"math/bits"
	"strings"
)

// View is the rules that hold for one endpoint, ready to be walked with. It is never changed.
type View struct {
	positions []position
	start     State
	// keepsMore are the positions of rules that do not ignore: below what is ignored only they count.
	keepsMore State
	tolerant  State                // the positions of rules that tolerate
	headers   map[string]*Compiled // by lower-case name, those of trailers with a colon before
	status    *Compiled
	body      *Compiled
}

// position is a place in a pattern.
type position struct {
	segment
	rule *Compiled
}

// Start is the state at the top of a document, and the rule that decides there; nil if none does.
func (v *View) Start() (State, *Compiled) {
	if v == nil || !v.start.Live() {
		return State{}, nil
	}
	return v.start, v.decides(&v.start)
}

// Member is the state at a member of an object, and the rule that decides there; inherited is the one that does for the object.
func (v *View) Member(s *State, key []byte, inherited *Compiled) (State, *Compiled) {
	return v.step(s, key, false, inherited)
}

// Element is the same for the elements of an array.
func (v *View) Element(s *State, inherited *Compiled) (State, *Compiled) {
	return v.step(s, nil, true, inherited)
}

func (v *View) step(s *State, key []byte, element bool, inherited *Compiled) (State, *Compiled) {
	var next State
	if !s.Live() {
		return next, below(inherited)
	}
	for w, word := range s {
		for ; word != 0; word &= word - 1 {
			p := w*64 + bits.TrailingZeros64(word)
			switch at := &v.positions[p]; {
			case at.kind == stepAny:
				v.reach(&next, p)
			case at.kind == stepElement && element, at.kind == stepAnyKey && !element, at.kind == stepKey && !element && at.key == string(key):
				v.reach(&next, p+1)
			}
		}
	}
	if r := v.decides(&next); r != nil {
		return next, r
	}
	return next, below(inherited)
}

// below returns what a rule means for what is below the place that it matched.
func below(r *Compiled) *Compiled {
	if r != nil && (r.Action == Set || r.Action == Map) {
		return nil
	}
	return r
}

// reach adds a position, and those that are reached from it without a step.
func (v *View) reach(s *State, p int) {
	s.set(p)
	if v.positions[p].kind == stepAny {
		v.reach(s, p+1)
	}
}

// decides returns the last rule whose pattern ends here.
func (v *View) decides(s *State) *Compiled {
	for w := len(s) - 1; w >= 0; w-- {
		for word := s[w]; word != 0; {
			b := 63 - bits.LeadingZeros64(word)
			if at := &v.positions[w*64+b]; at.kind == stepEnd {
				return at.rule
			}
			word &^= 1 << b
		}
	}
	return nil
}

// Prunes says that a place is ignored, and that no rule can bring back anything below it.
func (v *View) Prunes(s *State, r *Compiled) bool {
	if r == nil || r.Action != Ignore {
		return false
	}
	return !s.meets(&v.keepsMore)
}

// Tolerates says that something may be tolerated at a place or below it.
func (v *View) Tolerates(s *State, r *Compiled) bool {
	return r != nil && r.Action == Tolerate || v != nil && s.meets(&v.tolerant)
}

// Header returns the rule for a header; nil if there is none. The name is in lower case.
func (v *View) Header(name string) *Compiled {
	if v == nil || v.headers == nil {
		return nil
	}
	return v.headers[name]
}

// Trailer returns the rule for a trailer; nil if there is none. The name is in lower case.
func (v *View) Trailer(name string) *Compiled {
	if v == nil || v.headers == nil {
		return nil
	}
	return v.headers[":"+name]
}

// Status returns the rule for the status; nil if there is none.
func (v *View) Status() *Compiled {
	if v == nil {
		return nil
	}
	return v.status
}

// Body returns the rule for bodies of text; nil if there is none.
func (v *View) Body() *Compiled {
	if v == nil {
		return nil
	}
	return v.body
}

// add puts a rule in its place.
func (v *View) add(c *Compiled, p Pattern) {
	name, isHeader := strings.CutPrefix(c.Path, "header:")
	trailer, isTrailer := strings.CutPrefix(c.Path, "trailer:")
	switch {
	case isHeader:
		v.headers[strings.ToLower(name)] = c
	case isTrailer:
		v.headers[":"+strings.ToLower(trailer)] = c
	case c.Path == "status":
		v.status = c
	case c.Path == "body":
		v.body = c
	default:
		v.addPattern(c, p)
	}
}

func (v *View) addPattern(c *Compiled, p Pattern) {
	first := len(v.positions)
	for _, s := range p.segments {
		v.positions = append(v.positions, position{s, c})
	}
	v.positions = append(v.positions, position{segment{kind: stepEnd}, c})
	v.reach(&v.start, first)
	for i := first; i < len(v.positions); i++ {
		if c.Action != Ignore {
			v.keepsMore.set(i)
		}
		if c.Action == Tolerate {
			v.tolerant.set(i)
		}
	}
}
