package control

// stamps are those of the last changes, as many as a start reads from the history.
type stamps struct {
	known map[string]bool
	order []string // oldest first
}

func (s *stamps) add(stamp string) {
	if s.known[stamp] {
		return
	}
	if s.known == nil {
		s.known = map[string]bool{}
	}
	s.known[stamp] = true
	s.order = append(s.order, stamp)
	if len(s.order) >= 2*stampHistory {
		for _, old := range s.order[:stampHistory] {
			delete(s.known, old)
		}
		s.order = append([]string(nil), s.order[stampHistory:]...)
	}
}
