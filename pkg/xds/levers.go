package xds

import (
	"slices"

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
	based       map[string]map[string][]translate.Lever // base layer → service → its levers there; replaced, never changed
	transitions []transition
}

// transition is a change of which levers a service has. Until a proxy acknowledged the structure of seq, it gets values that are
// right with the old structure and with the new.
type transition struct {
	service string
	seq     int64
	had     map[string]bool // keys of the old structure
	primary string          // of them the one that its routes send everything to
}

func newLeverState() leverState {
	s := leverState{
		live: map[string][]translate.Lever{}, retired: map[string]map[string]int64{},
		recent: map[string]bool{}, folding: map[string]bool{}, base: map[string]translate.Resource{},
		based: map[string]map[string][]translate.Lever{},
	}
	for _, name := range translate.BaseLayerNames() {
		s.base[name] = translate.Layer(name, nil)
	}
	return s
}

// set replaces the levers of a service, nil when it is gone, and says whether that changes anything: at each change of levers Envoy reads
// those of all services anew, so a change of endpoints or routes should bring none. seq is the publication's, structural whether it
// changes structure.
func (s *leverState) set(service string, levers []translate.Lever, seq int64, structural bool) (changed bool) {
	old := s.live[service]
	if s.has(service, levers) {
		return false
	}
	had, primary := make(map[string]bool, len(old)), "" // by the structure until now, which has no use for retired ones
	for _, l := range old {
		if _, retired := s.retired[service][l.Key]; !retired {
			had[l.Key] = true
			if l.Primary {
				primary = l.Key
			}
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
		s.transitions = append(s.transitions, transition{service: service, seq: seq, had: had, primary: primary})
	}
	s.live[service] = live
	s.recent[service] = true
	delete(s.folding, service)
	return true
}

// has says whether these are exactly the levers that a service has, retired ones aside.
func (s *leverState) has(service string, levers []translate.Lever) bool {
	live, retired := s.live[service], s.retired[service]
	if len(live) != len(levers)+len(retired) || len(levers) == 0 {
		return false
	}
	for _, l := range levers {
		if mapHas(retired, l.Key) || !slices.Contains(live, l) {
			return false
		}
	}
	return true
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
	layers := map[string]map[string][]translate.Lever{}
	for service := range s.recent {
		layers[translate.LayerOf(service)] = map[string][]translate.Lever{}
		s.folding[service] = true
	}
	for service, levers := range s.live {
		if layer := layers[translate.LayerOf(service)]; layer != nil {
			layer[service] = levers
		}
	}
	for name, services := range layers {
		s.based[name], s.base[name] = services, renderLayer(name, services)
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
