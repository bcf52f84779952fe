package tree

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/rule"
)

// mapLike is from how many members on an object is taken for a map: its keys are values.
const mapLike = 64

// objects compares two objects: members of the same name in whatever order; of those that occur twice, the first with the first.
func (f *Differ) objects(i, j uint32, s *rule.State, r *rule.Compiled) {
	x, y := &f.a.nodes[i], &f.b.nodes[j]
	hide := r != nil && r.Action == rule.Map || max(x.size, y.size) > mapLike || (x.flags|y.flags)&mapped != 0
	m, n := i+1, j+1
	for m < x.next && n < y.next {
		p, q := &f.a.nodes[m], &f.b.nodes[n]
		key := f.a.key(p)
		if !bytes.Equal(key, f.b.key(q)) {
			f.byName(i, j, m, n, hide, s, r)
			return
		}
		f.member(m, n, key, hide, s, r)
		m, n = p.next, q.next
	}
	f.rest(f.a, m, x.next, y, Missing, hide, s, r)
	f.rest(f.b, n, y.next, x, Added, hide, s, r)
}

// member compares two members of the same name.
func (f *Differ) member(m, n uint32, key []byte, hide bool, s *rule.State, r *rule.Compiled) {
	mark := f.enter(key, hide)
	if s.Live() {
		below, decided := f.view.Member(s, key, r)
		f.nodes(m, n, &below, decided)
	} else {
		f.nodes(m, n, s, under(r))
	}
	f.leave(mark)
}

// under is what a rule means below its place; see [rule.View.Member], which is only asked while patterns may match.
func under(r *rule.Compiled) *rule.Compiled {
	if r != nil && (r.Action == rule.Set || r.Action == rule.Map) {
		return nil
	}
	return r
}

// rest reports members that only one document has, unless the other was cut off.
func (f *Differ) rest(d *Doc, from, to uint32, other *node, k Kind, hide bool, s *rule.State, r *rule.Compiled) {
	for ; from < to; from = d.nodes[from].next {
		f.alone(d, from, other, k, hide, s, r)
	}
}

func (f *Differ) alone(d *Doc, at uint32, other *node, k Kind, hide bool, s *rule.State, r *rule.Compiled) {
	if other.flags&open != 0 {
		return
	}
	if f.steps--; f.steps <= 0 {
		f.giveUp()
		return
	}
	n := &d.nodes[at]
	key := d.key(n)
	below, decided := f.view.Member(s, key, r)
	if f.view.Prunes(&below, decided) {
		return
	}
	mark := f.enter(key, hide)
	if k == Missing {
		f.emitItems(k, f.item(d, n), absent, decided)
	} else {
		f.emitItems(k, absent, f.item(d, n), decided)
	}
	f.leave(mark)
}

// byName compares what is left of two objects, from m and n on, in the order of the names.
func (f *Differ) byName(i, j, m, n uint32, hide bool, s *rule.State, r *rule.Compiled) {
	x, y := &f.a.nodes[i], &f.b.nodes[j]
	base := len(f.order)
	f.list(f.a, m, x.next)
	middle := len(f.order)
	f.list(f.b, n, y.next)
	end := len(f.order)
	f.sortByKey(f.a, f.order[base:middle])
	f.sortByKey(f.b, f.order[middle:end])
	p, q := base, middle
	for p < middle || q < end {
		order := 0
		switch {
		case p == middle:
			order = 1
		case q == end:
			order = -1
		default:
			order = bytes.Compare(f.a.key(&f.a.nodes[f.order[p]]), f.b.key(&f.b.nodes[f.order[q]]))
		}
		switch {
		case order < 0:
			f.alone(f.a, f.order[p], y, Missing, hide, s, r)
			p++
		case order > 0:
			f.alone(f.b, f.order[q], x, Added, hide, s, r)
			q++
		default:
			f.member(f.order[p], f.order[q], f.a.key(&f.a.nodes[f.order[p]]), hide, s, r)
			p, q = p+1, q+1
		}
	}
	f.order = f.order[:base]
}

// list appends the siblings from one node to another to the scratch.
func (f *Differ) list(d *Doc, from, to uint32) {
	for ; from < to; from = d.nodes[from].next {
		f.order = append(f.order, from)
	}
}

func (f *Differ) sortByKey(d *Doc, at []uint32) {
	slices.SortFunc(at, func(p, q uint32) int {
		return cmp.Or(bytes.Compare(d.key(&d.nodes[p]), d.key(&d.nodes[q])), cmp.Compare(p, q))
	})
}
