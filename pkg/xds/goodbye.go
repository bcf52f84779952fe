package xds

import "errors"

// errGoodbye ends a stream that says that its proxy has ended, see package goodbye.
var errGoodbye = errors.New("goodbye")

// goodbye forgets a proxy that has ended: it is not lost. While a stream of its is open, it is forgotten when that ends, unless it comes back.
func (s *Server) goodbye(fleet, id string) {
	s.mu.Lock()
	f := s.fleets[fleet]
	s.mu.Unlock()
	if f == nil {
		return
	}
	f.mu.Lock()
	p := f.proxies[id]
	if p != nil {
		p.leaving = true
	}
	gone := f.gone(p)
	f.mu.Unlock()
	if gone {
		s.left(fleet, id)
	}
}

// gone forgets a proxy that leaves and has no stream, and says so. f.mu is held.
func (f *Fleet) gone(p *proxy) bool {
	if p == nil || !p.leaving || len(p.sessions) > 0 {
		return false
	}
	delete(f.proxies, p.id)
	return true
}

// left tells that a proxy is forgotten.
func (s *Server) left(fleet, id string) {
	s.log.Info("proxy has left", "proxy", id, "fleet", fleet)
	if s.onLeave != nil {
		s.onLeave(fleet, id)
	}
}
