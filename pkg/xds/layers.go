package xds

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// leverTables are the layers of one config: as they should be, and as proxies get them that lag in structure.
type leverTables struct {
	final       *table
	layers      *layers // of a proxy that lags in nothing
	transitions []transition
	based       map[string]map[string][]translate.Lever
	recent      map[string][]translate.Lever
	stamp       string

	mu       sync.Mutex
	variants map[string]*layers
}

// maxVariants bounds what is kept of layers of proxies that lag.
const maxVariants = 128

// layers are what one proxy should have.
type layers struct {
	*table
	final  bool                         // nothing is held back
	tried  bool                         // nothing is but of services that the proxy refused
	top    map[string][]translate.Lever // services in the top layer
	tables *leverTables
	stale  map[string]bool
	lags   map[string]lag
}

// lag is what is known of the structure that a proxy may have of a service instead of the one it should have.
type lag struct {
	kept map[string]bool // keys that all of it has
	had  []transition
}

// tables renders the state. stamp tells later which revision the top layer belongs to.
func (s *leverState) tables(old *leverTables, stamp string) *leverTables {
	t := &leverTables{
		transitions: slices.Clone(s.transitions), based: maps.Clone(s.based), recent: map[string][]translate.Lever{}, stamp: stamp,
		variants: map[string]*layers{},
	}
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
	t.layers = &layers{table: t.final, final: true, tried: true, top: t.recent, tables: t}
	return t
}

// topLayer renders the top layer; its version carries the stamp, see [stampOf].
func topLayer(services map[string][]translate.Lever, stamp string) translate.Resource {
	r := renderLayer(translate.TopLayer, services)
	if stamp != "" {
		r.Version += "@" + stamp
	}
	return r
}

func renderLayer(name string, services map[string][]translate.Lever) translate.Resource {
	var all []translate.Lever
	for _, service := range sortedKeys(services) {
		all = append(all, services[service]...)
	}
	return translate.Layer(name, all)
}

// fit is what is known of the structure of a proxy, to which its levers must fit.
type fit struct {
	seq    int64            // it acknowledged structure up to here,
	behind map[string]int64 // but of these services only up to there
	// Services of which it has structure that nobody knows: they get no levers at all, so that its routes send everything to their primary.
	stale map[string]bool
	// It has structure of services that are gone: one that came since may have the name of one of them.
	strange bool
}

// fits returns what the session's levers must fit.
func (s *session) fits() fit { return fit{s.structureSeq, s.behind, s.stale, s.strange} }

// of returns up to where the proxy has the structure of a service, and whether it only lags in it: it refused what came then otherwise.
func (f fit) of(service string) (seq int64, lags bool) {
	if seq, behind := f.behind[service]; behind {
		return seq, false
	}
	return f.seq, true
}

// forSession returns the layers for a proxy.
func (t *leverTables) forSession(f fit) *layers {
	if len(t.transitions) == 0 && len(f.stale) == 0 {
		return t.layers
	}
	l := &layers{table: t.final, final: true, tried: true, top: t.recent, tables: t, stale: f.stale, lags: map[string]lag{}}
	if f.strange {
		l.stale = t.withNewcomers(f)
	}
	for service := range l.stale {
		_, lags := f.of(service)
		l.tried = l.tried && !lags
	}
	for _, tr := range t.transitions {
		if seq, lags := f.of(tr.service); tr.seq > seq {
			l.lags[tr.service] = l.lags[tr.service].with(tr)
			l.tried = l.tried && !lags
		}
	}
	if l.final = len(l.lags) == 0 && len(l.stale) == 0; l.final {
		return l
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := l.key()
	if v, ok := t.variants[key]; ok {
		l.table, l.top = v.table, v.top
		return l
	}
	l.render()
	if len(t.variants) >= maxVariants { // a proxy chooses what is stale of it
		clear(t.variants)
	}
	t.variants[key] = l
	return l
}

// key is equal for layers that are rendered alike: all transitions of a service since one of them are known by their number.
func (l *layers) key() string {
	var b strings.Builder
	for _, service := range sortedKeys(l.stale) {
		b.WriteString(service + ",")
	}
	for _, service := range sortedKeys(l.lags) {
		b.WriteString("|" + service + "@" + strconv.Itoa(len(l.lags[service].had)))
	}
	return b.String()
}

// withNewcomers returns the stale services and those that have come since the proxy's structure.
func (t *leverTables) withNewcomers(f fit) map[string]bool {
	out := maps.Clone(f.stale)
	for _, tr := range t.transitions {
		if tr.seq > f.seq && len(tr.had) == 0 {
			out[tr.service] = true
		}
	}
	return out
}

func (l lag) with(tr transition) lag {
	l.had = append(l.had, tr)
	if len(tr.had) > 0 { // else it may have no structure of the service, which every lever is right for
		l.kept = inBoth(l.kept, tr.had)
	}
	return l
}

// render makes the layers of a proxy that lags: in the top layer, and in the base layer where the top one does not cover it.
func (l *layers) render() {
	l.top = l.services(l.tables.recent)
	changed := []translate.Resource{topLayer(l.top, l.tables.stamp)}
	uncovered := map[string]bool{}
	for service := range l.stale {
		uncovered[translate.LayerOf(service)] = true
	}
	for service := range l.lags {
		if !mapHas(l.tables.recent, service) {
			uncovered[translate.LayerOf(service)] = true
		}
	}
	for _, name := range sortedKeys(uncovered) {
		changed = append(changed, renderLayer(name, l.services(l.tables.based[name])))
	}
	l.table = l.tables.final.with(changed, nil)
}

// services returns levers as this proxy gets them.
func (l *layers) services(all map[string][]translate.Lever) map[string][]translate.Lever {
	out := make(map[string][]translate.Lever, len(all))
	for service, levers := range all {
		if lag, ok := l.lags[service]; ok {
			levers = lag.safe(levers)
		}
		if !l.stale[service] {
			out[service] = levers
		}
	}
	return out
}

// gone returns the services that still have levers, for proxies that lag, and no structure.
func (t *leverTables) gone(in *structure) map[string]bool {
	out := map[string]bool{}
	for _, services := range t.based {
		for service := range services {
			out[service] = true
		}
	}
	for service := range t.recent {
		out[service] = true
	}
	for _, services := range in.services {
		for _, service := range services {
			delete(out, service)
		}
	}
	return out
}

// overlaid returns a base layer with what the top one says already: sent before the top one, it shows nothing that is out of date.
func (l *layers) overlaid(name string) *item {
	all := maps.Clone(l.tables.based[name])
	if all == nil {
		all = map[string][]translate.Lever{}
	}
	for service, levers := range l.tables.recent {
		if translate.LayerOf(service) == name {
			all[service] = levers
		}
	}
	return wrap(renderLayer(name, l.services(all)))
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

// safe returns values that are right for any structure that the proxy may have and for the one to come: what is new gets nothing and is
// off, and the primary takes what that leaves. Structure that would be left with nothing sends everything to the primary that it had.
func (l lag) safe(live []translate.Lever) []translate.Lever {
	out := slices.Clone(live)
	rest := uint32(policy.Whole)
	for i := range out {
		v := &out[i]
		if !l.kept[v.Key] && !v.Primary {
			v.Value = 0
		}
		if !v.Fraction && !v.Primary {
			rest -= min(rest, v.Value)
		}
	}
	for i := range out {
		if out[i].Primary {
			out[i].Value = rest
		}
	}
	for _, tr := range l.had {
		if tr.sum(out) == 0 {
			for i := range out {
				if out[i].Key == tr.primary {
					out[i].Value = uint32(policy.Whole)
				}
			}
		}
	}
	return out
}

// sum is that of the weights that a structure knows.
func (tr transition) sum(levers []translate.Lever) (sum uint32) {
	for _, l := range levers {
		if tr.had[l.Key] && !l.Fraction {
			sum += l.Value
		}
	}
	return sum
}
