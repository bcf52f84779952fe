package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Router is the pure model of what the proxies of a fleet do with a request. It is immutable and safe for concurrent use.
//
// The host chooses first: an exact name before the longest wildcard before "*"; then, among the services of that host, the longest
// path prefix; then the first pin that matches; then the split. A host whose services take other paths only answers 404, also where
// a wildcard would have taken the path.
type Router struct {
	fleet   *Fleet
	tables  map[int]*hostTable // by listener port
	dialect Dialect
}

// hostTable holds the services of one listener by host.
type hostTable struct {
	exact  map[string][]branch
	suffix map[string][]branch // by the name below "*", with its leading dot
	any    []branch
}

// branch is a path prefix of a service. Those of a host are sorted by the longest prefix.
type branch struct {
	prefix  string
	service *Service
}

// Decision is where a request goes, and why.
type Decision struct {
	Service string                 // empty: nothing answers; the proxy says 404
	Origin  string                 // set where one origin takes it for certain
	Chances map[string]BasisPoints // set where it is drawn: the origins with their shares; they sum to Whole
	Pin     string                 // the pin that decided; empty if none did
	Hash    *StickyHash            // set where the split is sticky and the request can be recognised
	Steps   []string               // the decision in words, in order
}

// StickyHash is how a recognised user is placed on an origin.
type StickyHash struct {
	Key    string // what was hashed
	Source string // for people, for example `cookie "cf"`
	Hash   uint64
	Place  BasisPoints // Hash modulo Whole: the place in the row of origins
}

// NewRouter models the proxies of a fleet that serve these services; services of other fleets are left out. The services hold
// together, see [CheckServices]. fleet may be nil: then it is DefaultFleet with default settings.
func NewRouter(fleet *Fleet, services []*Service) *Router {
	if fleet == nil {
		fleet = DefaultFleetSettings(DefaultFleet)
	}
	r := &Router{fleet: fleet, tables: map[int]*hostTable{}}
	for _, s := range services {
		if s = s.In(fleet.Name); s == nil {
			continue
		}
		if r.tables[s.Port] == nil {
			r.tables[s.Port] = &hostTable{exact: map[string][]branch{}, suffix: map[string][]branch{}}
		}
		r.tables[s.Port].add(s)
	}
	for _, t := range r.tables {
		t.sort()
	}
	return r
}

// WithDialect returns a router that reads requests as another version of Envoy does.
func (r *Router) WithDialect(d Dialect) *Router {
	other := *r
	other.dialect = d
	return &other
}

func (t *hostTable) add(s *Service) {
	for _, host := range s.Hosts {
		for _, prefix := range s.PathPrefixes {
			b := branch{prefix, s}
			switch {
			case host == "*":
				t.any = append(t.any, b)
			case host[0] == '*':
				t.suffix[host[1:]] = append(t.suffix[host[1:]], b)
			default:
				t.exact[host] = append(t.exact[host], b)
			}
		}
	}
}

func (t *hostTable) sort() {
	byLength := func(a, b branch) int { return len(b.prefix) - len(a.prefix) }
	for _, b := range t.exact {
		slices.SortStableFunc(b, byLength)
	}
	for _, b := range t.suffix {
		slices.SortStableFunc(b, byLength)
	}
	slices.SortStableFunc(t.any, byLength)
}

// find returns the branches of the best name for a host, and that name. Without one the name is empty.
func (t *hostTable) find(host string) (string, []branch) {
	if b, ok := t.exact[host]; ok {
		return host, b
	}
	for i := 1; i < len(host); i++ { // the first found is the longest; a wildcard takes at least one letter
		if host[i] == '.' {
			if b, ok := t.suffix[host[i:]]; ok {
				return "*" + host[i:], b
			}
		}
	}
	if t.any != nil {
		return "*", t.any
	}
	return "", nil
}

// Route says where a request goes.
func (r *Router) Route(q Request) Decision {
	var d Decision
	port := q.Port
	if port == 0 {
		port = DefaultPort
	}
	table := r.tables[port]
	if table == nil {
		d.say("no service of fleet %q listens on port %d: the connection is refused", r.fleet.Name, port)
		return d
	}
	name, branches := table.find(q.host())
	if name == "" {
		d.say("no service on port %d has a host for %q: 404", port, q.Host)
		return d
	}
	d.say("host %q selects %q on port %d", q.Host, name, port)
	b := longest(branches, q.path())
	if b == nil {
		d.say("no service of host %q has a path prefix for %q: 404", name, q.path())
		return d
	}
	d.Service = b.service.Name
	d.say("path prefix %q selects service %q", b.prefix, b.service.Name)
	if !d.pin(b.service, &q, r.dialect) {
		d.split(b.service, &q, r.fleet.TrustedHops)
	}
	return d
}

func longest(branches []branch, path string) *branch {
	for i := range branches {
		if under(path, branches[i].prefix) {
			return &branches[i]
		}
	}
	return nil
}

// under tells whether a path is a prefix or below it, by whole segments.
func under(path, prefix string) bool {
	if prefix == "/" {
		return strings.HasPrefix(path, "/")
	}
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// pin applies the first pin that matches, and says whether there is one.
func (d *Decision) pin(s *Service, q *Request, dialect Dialect) bool {
	for i := range s.Pins {
		p := &s.Pins[i]
		switch {
		case !p.Enabled:
			d.say("pin %q is off", p.Name)
		case !p.Match.Matches(q, dialect):
			d.say("pin %q does not match: it wants %s", p.Name, p.Match)
		default:
			d.say("pin %q matches %s and sends to %q", p.Name, p.Match, p.Origin)
			d.Pin, d.Origin = p.Name, p.Origin
			return true
		}
	}
	return false
}

func (d *Decision) say(format string, args ...any) {
	d.Steps = append(d.Steps, fmt.Sprintf(format, args...))
}

// String describes a match for people: `header x-beta = "1"`.
func (m Match) String() string {
	switch m.Condition {
	case Present:
		if m.Value == "true" {
			return fmt.Sprintf("%s %s, any value", m.On, m.Name)
		}
		return fmt.Sprintf("no %s %s", m.On, m.Name)
	case Prefix:
		return fmt.Sprintf("%s %s beginning with %q", m.On, m.Name, m.Value)
	case Regex:
		return fmt.Sprintf("%s %s matching %q", m.On, m.Name, m.Value)
	}
	return fmt.Sprintf("%s %s = %q", m.On, m.Name, m.Value)
}
