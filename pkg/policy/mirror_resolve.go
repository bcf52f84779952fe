package policy

// For returns the experiment as it is on its service: control is named, and both origins exist and differ. If there is nothing to fill in
// it is m itself. A nil service is one that does not exist.
func (m *Mirror) For(s *Service) (*Mirror, Errors) {
	var p problems
	if s == nil || s.Name != m.Service {
		p.add("service", "service_unknown", m.Service, "there is no service of this name", "`shadowctl get services` lists them")
		return nil, p.found
	}
	names := make([]string, len(s.Origins))
	for i := range s.Origins {
		names[i] = s.Origins[i].Name
	}
	out := m
	if m.Mode == Compare && m.Control == "" {
		filled := *m
		filled.Control = s.Primary
		out = &filled
	}
	if out.Mode == Compare {
		p.knownOrigin("control", out.Control, names)
	}
	p.knownOrigin("candidate", out.Candidate, names)
	if out.Candidate == out.Control {
		p.candidateIsControl(out.Candidate, "name another origin: without control it is compared with the primary; "+knownOrigins(names))
	}
	if len(p.found) > 0 {
		return nil, p.found
	}
	return out, nil
}

// WithMirror returns the service with an experiment running on it; nil: none. It may be the service itself.
func (s *Service) WithMirror(m *Mirror) *Service {
	if s.Mirror == m {
		return s
	}
	out := *s
	out.Mirror = m
	return &out
}

// Halted returns the experiment with nothing being copied: it keeps its place, so that a rollback changes a runtime value and no route. It may
// be the experiment itself, or nil.
func (m *Mirror) Halted() *Mirror {
	if m == nil || m.Share == 0 {
		return m
	}
	out := *m
	out.Share = 0
	return &out
}
