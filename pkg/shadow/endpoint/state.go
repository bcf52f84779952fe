package endpoint

import "errors"

// State is what was learned, to be kept over a restart.
type State struct {
	Many     bool              `json:"m,omitempty"` // the names here are all ids
	Children map[string]*State `json:"c,omitempty"`
}

// ErrState: a state is larger or deeper than what is ever learned, or holds what is not.
var ErrState = errors.New("not a state of templates")

// State returns what was learned.
func (t *Templates) State() *State { return t.root.state() }

func (n *node) state() *State {
	s := &State{Many: n.many}
	for name, c := range n.children {
		if s.Children == nil {
			s.Children = map[string]*State{}
		}
		s.Children[name] = c.state()
	}
	return s
}

// Restore learns what a state holds. With an error some of it may have been learned.
func (t *Templates) Restore(s *State) error {
	if s == nil {
		return nil
	}
	other := &Templates{}
	if err := other.restore(&other.root, s, 0); err != nil {
		return err
	}
	t.Merge(other)
	return nil
}

func (t *Templates) restore(n *node, s *State, depth int) error {
	if depth > MaxSegments || len(s.Children) > MaxNames+3 {
		return ErrState
	}
	n.many = s.Many
	for segment, child := range s.Children {
		fits := segment == placeholder || segment == rest || segment == "" || !s.Many && plain(segment)
		if t.nodes++; !fits || child == nil || t.nodes > MaxNodes {
			return ErrState
		}
		if n.children == nil {
			n.children = map[string]*node{}
		}
		c := &node{}
		n.children[segment] = c
		if err := t.restore(c, child, depth+1); err != nil {
			return err
		}
	}
	return nil
}
