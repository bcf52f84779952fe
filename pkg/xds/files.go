package xds

import "time"

// tryFilesAgain is how often a proxy that refused a cluster or a listener with files in it is sent that again: the files may be there by now, and
// nothing else would tell.
const tryFilesAgain = 15 * time.Second

// withFiles are the kinds that name files on the proxy's machine.
var withFiles = [...]kind{clusters, listeners}

// againIfTime forgets now and then that what names files was refused. s.mu is held.
func (s *session) againIfTime(c *config) {
	now := s.server.now()
	switch {
	case !s.parking:
		s.again = time.Time{}
	case s.again.IsZero():
		s.again = now.Add(tryFilesAgain)
	case !now.Before(s.again):
		s.again = time.Time{}
		for _, k := range withFiles {
			for _, name := range s.parkedFiles(c, k) {
				delete(s.kinds[k].parked, name)
				s.kinds[k].at, s.reduced = nil, nil
			}
		}
	}
}

// parkedFiles names what is parked of a kind, is still wanted, and names files.
func (s *session) parkedFiles(c *config, k kind) (names []string) {
	if len(s.kinds[k].parked) == 0 {
		return nil
	}
	whole := c.structure.table(k, s.places)
	for name := range s.kinds[k].parked {
		if r, ok := whole.byName[name]; ok && r.files {
			names = append(names, name)
		}
	}
	return names
}

// lacksFiles says whether the proxy refused something that names files. s.mu is held.
func (s *session) lacksFiles() bool {
	c := s.fleet.config.Load()
	for _, k := range withFiles {
		if len(s.parkedFiles(c, k)) > 0 {
			return true
		}
	}
	return false
}
