package xds

import (
	"slices"
	"sync"

	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// config is what a fleet should have from one publication to the next. Immutable; what it computes on demand is shared.
type config struct {
	seq          int64 // of publications in this process
	revision     int64 // of intent
	structureSeq int64 // seq that last changed structure
	structure    *structure
	endpoints    *table
	levers       *leverTables
	former       map[string]formerHost       // virtual hosts as a proxy may still have them; replaced, never changed
	inlineOf     func() *translate.Structure // see [Update].Inline
	decided      map[string]bool             // services, see [Update].Decides; replaced, never changed
	settled      bool                        // all services are decided
	named        bool                        // a service or a fleet document names the fleet
}

// formerHost is what a virtual host held until the publication of seq, which removed it or gave it to other services.
type formerHost struct {
	services []string
	seq      int64
}

// formerHosts returns the virtual hosts that are gone or hold other services, after a change of structure. Those that every proxy let go of
// up to settled are forgotten.
func (c *config) formerHosts(old *structure, settled int64) map[string]formerHost {
	out := map[string]formerHost{}
	for name, h := range c.former {
		if h.seq > settled {
			out[name] = h
		}
	}
	for name, services := range old.services {
		if now, there := c.structure.services[name]; !there || !slices.Equal(now, services) {
			all := slices.Concat(out[name].services, services)
			slices.Sort(all)
			out[name] = formerHost{slices.Compact(all), c.seq}
		}
	}
	return out
}

// servicesOf returns the services of a virtual host, and those that it held and that a proxy may still have there.
func (c *config) servicesOf(whole *structure, virtualHost string) []string {
	before := c.former[virtualHost].services
	if len(before) == 0 {
		return whole.services[virtualHost]
	}
	return slices.Concat(whole.services[virtualHost], before)
}

func (c *config) reached() reached { return reached{c.seq, c.revision} }

// structure is a translate.Structure as tables.
type structure struct {
	source       *translate.Structure
	clusters     *table
	routes       *table
	virtualHosts *table
	services     map[string][]string // virtual host → services whose routes it holds

	mu        sync.Mutex
	listeners map[places]*table
	asked     map[places]bool // for these listeners some proxy has asked
}

// maxPlaces bounds the tables of listeners of one structure: proxies that come again and again can have another address each time.
const maxPlaces = 4096

// places are the addresses of a proxy, from its node metadata.
type places struct {
	listen     string // of its listeners
	experiment string // of its experiment listener; empty if it cannot have one
}

func newStructure(source *translate.Structure, old *structure) *structure {
	from := old
	if from == nil {
		from = &structure{}
	}
	s := &structure{
		source:       source,
		clusters:     newTable(source.Clusters, from.clusters),
		routes:       newTable(source.Routes, from.routes),
		virtualHosts: newTable(source.VirtualHosts, from.virtualHosts),
		services:     make(map[string][]string, len(source.VirtualHosts)), listeners: make(map[places]*table), asked: make(map[places]bool),
	}
	for _, v := range source.VirtualHosts {
		s.services[v.Name] = v.Services
	}
	if old == nil {
		return s
	}
	old.listenersAt(anywhere) // is compared, see same
	old.mu.Lock()
	defer old.mu.Unlock()
	for at := range old.asked { // others are of proxies that are gone
		s.listeners[at] = newTable(source.Listeners(at.listen, at.experiment), old.listeners[at])
	}
	return s
}

// withoutEndpoints returns those of the names that no cluster takes its endpoints from: it is gone, or proxies look them up now.
func (s *structure) withoutEndpoints(names []string) (out []string) {
	for _, name := range names {
		if c := s.clusters.byName[name]; c == nil || !c.eds {
			out = append(out, name)
		}
	}
	return out
}

// same says whether nothing differs: a change of intent that is no change of structure.
func (s *structure) same(o *structure) bool {
	if s.clusters != o.clusters || s.routes != o.routes || s.virtualHosts != o.virtualHosts {
		return false
	}
	return s.listenersAt(anywhere) == o.listenersAt(anywhere)
}

// anywhere stands for all places: with one of each kind, every listener is there.
var anywhere = places{experiment: "127.0.0.1:1"}

// table returns one kind of the structure, as proxies have it that listen there.
func (s *structure) table(k kind, at places) *table {
	switch k {
	case clusters:
		return s.clusters
	case listeners:
		return s.listenersAt(at)
	case routes:
		return s.routes
	default:
		return s.virtualHosts
	}
}

// listenersAt returns the listeners of proxies that listen there.
func (s *structure) listenersAt(at places) *table {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.listeners[at]
	if !ok {
		if len(s.listeners) >= maxPlaces {
			clear(s.listeners)
			clear(s.asked)
		}
		t = newTable(s.source.Listeners(at.listen, at.experiment), nil)
		s.listeners[at] = t
	}
	if s.asked != nil {
		s.asked[at] = true
	}
	return t
}

// deltaCache computes the difference of two tables once for all sessions that need it.
type deltaCache struct {
	mu   sync.Mutex
	byID map[[2]*table]*diff
}

// deltaCacheSize bounds the cache: proxies have at most a few different tables at a time.
const deltaCacheSize = 128

func (c *deltaCache) between(from, to *table) *diff {
	if from == to {
		return nothing
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if d, ok := c.byID[[2]*table{from, to}]; ok {
		return d
	}
	if c.byID == nil || len(c.byID) >= deltaCacheSize {
		c.byID = make(map[[2]*table]*diff)
	}
	d := diffTables(from, to)
	c.byID[[2]*table{from, to}] = d
	return d
}
