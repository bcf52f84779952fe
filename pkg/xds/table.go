package xds

import (
	"slices"

	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// table is every resource of one kind that a fleet should have at one time. Immutable.
type table struct {
	byName map[string]*item
	names  []string // sorted, so that responses are the same for everybody
}

var emptyTable = newTable(nil, nil)

// newTable makes a table. It is old itself if nothing differs, and shares with old what does not; old may be nil.
func newTable(resources []translate.Resource, old *table) *table {
	t := &table{byName: make(map[string]*item, len(resources)), names: make([]string, 0, len(resources))}
	for _, r := range resources {
		t.byName[r.Name] = old.item(r)
		t.names = append(t.names, r.Name)
	}
	if old == nil {
		return t
	}
	t.shareNames(old)
	return t.reuse(old)
}

// shareNames makes equal lists of names one list, see [names].
func (t *table) shareNames(old *table) {
	if slices.Equal(t.names, old.names) {
		t.names = old.names
	}
}

// item is the one that the table has if it is the same, or a new one.
func (t *table) item(r translate.Resource) *item {
	if t != nil {
		if i, ok := t.byName[r.Name]; ok && i.Version == r.Version {
			return i
		}
	}
	return wrap(r)
}

// reuse returns old if it has the same content as t: an unchanged kind keeps its table, and nobody is asked anything.
func (t *table) reuse(old *table) *table {
	if old == nil || len(old.byName) != len(t.byName) {
		return t
	}
	for name, r := range t.byName {
		if o, ok := old.byName[name]; !ok || o.Version != r.Version {
			return t
		}
	}
	return old
}

// with returns a table that differs from t in some resources.
func (t *table) with(upserts []translate.Resource, removals []string) *table {
	gone := make(map[string]bool, len(removals))
	for _, name := range removals {
		gone[name] = true
	}
	changed := make(map[string]translate.Resource, len(upserts))
	for _, r := range upserts {
		changed[r.Name] = r
	}
	out := &table{byName: make(map[string]*item, len(t.byName)+len(upserts)), names: make([]string, 0, len(t.names)+len(upserts))}
	keep := func(r *item) {
		out.byName[r.Name] = r
		out.names = append(out.names, r.Name)
	}
	for _, name := range t.names {
		if r, ok := changed[name]; ok {
			keep(wrap(r))
			delete(changed, name)
		} else if !gone[name] {
			keep(t.byName[name])
		}
	}
	for _, r := range upserts {
		if r, added := changed[r.Name]; added {
			keep(wrap(r))
			delete(changed, r.Name)
		}
	}
	slices.Sort(out.names)
	out.shareNames(t)
	return out
}

// version of a resource, "" if the table lacks it.
func (t *table) version(name string) string {
	if r, ok := t.byName[name]; ok {
		return r.Version
	}
	return ""
}

// diff is what takes a proxy from one table to another. Immutable, shared.
type diff struct {
	upserts  []*item
	removals []string
}

// nothing is the difference of a table to itself.
var nothing = &diff{}

func (d *diff) empty() bool { return len(d.upserts) == 0 && len(d.removals) == 0 }

func diffTables(from, to *table) *diff {
	d := &diff{}
	for _, name := range to.names {
		if r := to.byName[name]; from.version(name) != r.Version {
			d.upserts = append(d.upserts, r)
		}
	}
	for _, name := range from.names {
		if _, ok := to.byName[name]; !ok {
			d.removals = append(d.removals, name)
		}
	}
	return d
}

// holding is what a proxy has of one kind: a table, but for some names.
type holding struct {
	base   *table
	except map[string]string // name → version it has instead, "" if it lacks it
}

// names of what the proxy has, sorted.
func (h *holding) names() []string {
	out := make([]string, 0, len(h.base.names))
	for _, name := range h.base.names {
		if h.version(name) != "" {
			out = append(out, name)
		}
	}
	for name, version := range h.except {
		if version != "" && h.base.version(name) == "" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func (h *holding) version(name string) string {
	if v, ok := h.except[name]; ok {
		return v
	}
	return h.base.version(name)
}

// set notes that the proxy now has this version of a name, "" for none.
func (h *holding) set(name, version string) {
	if h.base.version(name) == version {
		delete(h.except, name)
		return
	}
	if h.except == nil {
		h.except = make(map[string]string)
	}
	h.except[name] = version
}

// missing returns what takes the proxy from what it has to a table. shared computes the difference of two tables.
func (h *holding) missing(to *table, shared func(from, to *table) *diff) *diff {
	d := shared(h.base, to)
	if len(h.except) == 0 {
		return d
	}
	out := &diff{}
	for _, r := range d.upserts {
		if _, special := h.except[r.Name]; !special {
			out.upserts = append(out.upserts, r)
		}
	}
	for _, name := range d.removals {
		if _, special := h.except[name]; !special {
			out.removals = append(out.removals, name)
		}
	}
	for _, name := range sortedKeys(h.except) {
		have := h.except[name]
		switch r, wanted := to.byName[name]; {
		case !wanted && have != "":
			out.removals = append(out.removals, name)
		case wanted && have != r.Version:
			out.upserts = append(out.upserts, r)
		}
	}
	return out
}

// settle makes a table the base of the holding; what differs from it stays noted.
func (h *holding) settle(on *table, shared func(from, to *table) *diff) {
	d := h.missing(on, shared)
	old := *h
	*h = holding{base: on}
	for _, r := range d.upserts {
		h.set(r.Name, old.version(r.Name))
	}
	for _, name := range d.removals {
		h.set(name, old.version(name))
	}
}
