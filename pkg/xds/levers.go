package xds

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// maxRecent is how many services the top layer holds before it is folded even without quiet: it bounds what a change costs.
const maxRecent = 64

// leverState holds the levers of a fleet in layers: base layers, which change only when folded, and above them the top layer with the
// services that changed since. Guarded by the fleet.
type leverState struct {
	live        map[string][]translate.Lever // service → levers now, and retired ones at their safe value
	retired     map[string]map[string]int64  // service → key → structure seq that removed it
	recent      map[string]bool              // services in the top layer
	folding     map[string]bool              // in the top layer and, since the last fold, in their base layer
	base        map[string]translate.Resource
	transitions []transition
}

// transition is a change of which levers a service has. Until a proxy acknowledged the structure of seq, it gets values that are
// right with the old structure and with the new.
type transition struct {
	service string
	seq     int64
	had     map[string]bool // keys of the old structure
}

func newLeverState() leverState {
	s := leverState{
		live: map[string][]translate.Lever{}, retired: map[string]map[string]int64{},
		recent: map[string]bool{}, folding: map[string]bool{}, base: map[string]translate.Resource{},
	}
	for _, name := range translate.BaseLayerNames() {
		s.base[name] = translate.Layer(name, nil)
	}
	return s
}

// set replaces the levers of a service, nil when it is gone. seq is the publication's, structural whether it changes structure.
func (s *leverState) set(service string, levers []translate.Lever, seq int64, structural bool) {
	old := s.live[service]
	had := make(map[string]bool, len(old)) // by the structure until now, which has no use for retired ones
	for _, l := range old {
		if _, retired := s.retired[service][l.Key]; !retired {
			had[l.Key] = true
		}
	}
	has := make(map[string]bool, len(levers))
	added := false
	for _, l := range levers {
		has[l.Key] = true
		added = added || !had[l.Key]
	}
	live := slices.Clone(levers)
	removed := false
	for _, l := range old {
		if has[l.Key] {
			delete(s.retired[service], l.Key)
			continue
		}
		removed = removed || had[l.Key]
		if s.retired[service] == nil {
			s.retired[service] = map[string]int64{}
		}
		if _, ok := s.retired[service][l.Key]; !ok {
			s.retired[service][l.Key] = seq
		}
		l.Value = 0
		if l.Primary && len(levers) == 0 {
			l.Value = uint32(policy.Whole)
		}
		l.Primary = l.Primary && len(levers) == 0
		live = append(live, l)
	}
	if structural && (added || removed) {
		s.transitions = append(s.transitions, transition{service: service, seq: seq, had: had})
	}
	s.live[service] = live
	s.recent[service] = true
	delete(s.folding, service)
}

// touch puts services into the top layer as they are, so that a session can be given other values for them.
func (s *leverState) touch(services []string) (changed bool) {
	for _, service := range services {
		if mapHas(s.live, service) && (!s.recent[service] || s.folding[service]) {
			s.recent[service] = true
			delete(s.folding, service)
			changed = true
		}
	}
	return changed
}

// fold moves what changed from the top layer to the base layers, in two steps of which each is a publication: first the base layers
// get it, then the top layer loses it. settled is the lowest structure seq that every proxy acknowledged: what only older
// structure needs is forgotten.
func (s *leverState) fold(settled int64) {
	if len(s.folding) > 0 {
		for service := range s.folding {
			delete(s.recent, service)
		}
		s.folding = map[string]bool{}
		return
	}
	s.forget(settled)
	layers := map[string][]translate.Lever{}
	for service := range s.recent {
		layers[translate.LayerOf(service)] = nil
		s.folding[service] = true
	}
	for _, service := range sortedKeys(s.live) {
		if name := translate.LayerOf(service); mapHas(layers, name) {
			layers[name] = append(layers[name], s.live[service]...)
		}
	}
	for name, all := range layers {
		s.base[name] = translate.Layer(name, all)
	}
}

func (s *leverState) forget(settled int64) {
	s.transitions = slices.DeleteFunc(s.transitions, func(t transition) bool { return t.seq <= settled })
	for service, keys := range s.retired {
		forgotten := false
		for key, seq := range keys {
			if seq <= settled {
				delete(keys, key)
				s.live[service] = slices.DeleteFunc(slices.Clone(s.live[service]), func(l translate.Lever) bool { return l.Key == key })
				forgotten = true
			}
		}
		if forgotten {
			s.recent[service] = true
		}
		if len(keys) == 0 {
			delete(s.retired, service)
		}
		if len(s.live[service]) == 0 {
			delete(s.live, service)
		}
	}
}

// leverTables are the layers of one config: as they should be, and as proxies get them that lag in structure.
type leverTables struct {
	final       *table
	transitions []transition
	recent      map[string][]translate.Lever
	stamp       string

	mu       sync.Mutex
	variants map[string]*table
}

// tables renders the state. stamp tells later which revision the top layer belongs to.
func (s *leverState) tables(old *leverTables, stamp string) *leverTables {
	t := &leverTables{transitions: slices.Clone(s.transitions), recent: map[string][]translate.Lever{}, stamp: stamp, variants: map[string]*table{}}
	for service := range s.recent {
		t.recent[service] = s.live[service]
	}
	resources := make([]translate.Resource, 0, len(s.base)+2)
	for _, name := range translate.BaseLayerNames() {
		resources = append(resources, s.base[name])
	}
	resources = append(resources, topLayer(t.recent, stamp), translate.Ready(true))
	var from *table
	if old != nil {
		from = old.final
	}
	t.final = newTable(resources, from)
	return t
}

// topLayer renders the top layer; its version carries the stamp, see [parseStamp].
func topLayer(services map[string][]translate.Lever, stamp string) translate.Resource {
	var all []translate.Lever
	for _, service := range sortedKeys(services) {
		all = append(all, services[service]...)
	}
	r := translate.Layer(translate.TopLayer, all)
	if stamp != "" {
		r.Version += "@" + stamp
	}
	return r
}

// forSession returns the layers for a proxy that acknowledged structure up to seq and, if stale is not empty, has structure from
// before it connected for some services. final says whether nothing is held back.
func (t *leverTables) forSession(seq int64, stale map[string]bool) (layers *table, final bool) {
	if len(t.transitions) == 0 && len(stale) == 0 {
		return t.final, true
	}
	behind := map[string]map[string]bool{}
	for _, tr := range t.transitions {
		if tr.seq > seq {
			behind[tr.service] = inBoth(behind[tr.service], tr.had)
		}
	}
	for service := range stale {
		if _, ok := t.recent[service]; ok { // the fleet puts it there, see touch
			behind[service] = map[string]bool{}
		}
	}
	if len(behind) == 0 {
		return t.final, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := strings.Join(sortedKeys(behind), ",") + "@" + strconv.FormatInt(seq, 10)
	if v, ok := t.variants[key]; ok {
		return v, false
	}
	services := make(map[string][]translate.Lever, len(t.recent))
	for service, levers := range t.recent {
		if had, ok := behind[service]; ok {
			levers = safeLevers(levers, had)
		}
		services[service] = levers
	}
	v := t.final.with([]translate.Resource{topLayer(services, t.stamp)}, nil)
	t.variants[key] = v
	return v, false
}

// inBoth returns the keys of both sets; a nil one stands for all.
func inBoth(a, b map[string]bool) map[string]bool {
	if a == nil {
		return b
	}
	out := map[string]bool{}
	for key := range a {
		if b[key] {
			out[key] = true
		}
	}
	return out
}

// safeLevers returns values that are right both for structure that knows only the keys in had and for structure that knows all:
// what is new gets nothing and is off, and the primary takes what that leaves.
func safeLevers(live []translate.Lever, had map[string]bool) []translate.Lever {
	out := slices.Clone(live)
	rest := uint32(policy.Whole)
	for i := range out {
		if !had[out[i].Key] && !out[i].Primary {
			out[i].Value = 0
		}
		if !out[i].Fraction && !out[i].Primary {
			rest -= out[i].Value
		}
	}
	for i := range out {
		if out[i].Primary {
			out[i].Value = rest
		}
	}
	return out
}
