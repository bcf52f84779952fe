package tree

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/rule"
)

// arrays compares two arrays: as sets if a rule says so, otherwise element by element. Where they have the same elements in another order
// that is one difference; where one has more, those that are equal at both ends are set against each other first.
func (f *Differ) arrays(i, j uint32, s *rule.State, r *rule.Compiled) {
	x, y := &f.a.nodes[i], &f.b.nodes[j]
	below, decided := f.view.Element(s, r)
	if r != nil && r.Action == rule.Set && (x.flags|y.flags)&open == 0 {
		f.sets(i, j, &below, decided, r)
		return
	}
	base := len(f.order)
	f.list(f.a, i+1, x.next)
	middle := len(f.order)
	f.list(f.b, j+1, y.next)
	p, q := middle-base, len(f.order)-middle
	switch {
	case (x.flags|y.flags)&open != 0:
		f.elements(base, middle, min(p, q), &below, decided)
	case p == q:
		f.sameLength(i, j, base, middle, &below, decided, r)
	default:
		f.emit(Length, i, j, r)
		first, last := f.equalEnds(base, middle, &below, decided)
		f.elements(base+first, middle+first, min(p, q)-first-last, &below, decided)
	}
	f.order = f.order[:base]
}

// elements compares n elements of both arrays by position, given where their lists begin in the scratch.
func (f *Differ) elements(p, q, n int, below *rule.State, decided *rule.Compiled) {
	mark := f.enterElement()
	for k := range n {
		state := *below
		f.nodes(f.order[p+k], f.order[q+k], &state, decided)
	}
	f.leave(mark)
}

// sameLength compares arrays of one length whose lists begin at base and middle of the scratch.
func (f *Differ) sameLength(i, j uint32, base, middle int, below *rule.State, decided, r *rule.Compiled) {
	n := middle - base
	switch {
	case n > 1 && f.sameBytes(i, j):
	case n > 1 && f.permuted(base, middle, below, decided):
		f.emit(Order, i, j, r)
		if f.view.Tolerates(below, decided) {
			f.match(base, middle, middle, len(f.order), f.whole(below, decided), f.nearest(below, decided), f.pair(below, decided))
		}
	default:
		f.elements(base, middle, n, below, decided)
	}
}

// sameBytes says that two nodes are written alike, which is sooner found out than that they are the same. Arrays in arrays are looked at
// again and again: when that becomes too much it says no, and the nodes are compared one by one.
func (f *Differ) sameBytes(i, j uint32) bool {
	x, y := &f.a.nodes[i], &f.b.nodes[j]
	if x.kind != y.kind || x.end-x.start != y.end-y.start || (x.flags|y.flags)&(inArena|escaped) != 0 || x.start == x.end {
		return false
	}
	if f.spare -= int(x.end - x.start); f.spare < 0 {
		return false
	}
	return bytes.Equal(f.a.value(x), f.b.value(y))
}

// permuted says that two lists have the same elements in another order.
func (f *Differ) permuted(base, middle int, below *rule.State, decided *rule.Compiled) bool {
	n := middle - base
	same, sums := true, [2]uint64{}
	for k := range n {
		if f.sameBytes(f.order[base+k], f.order[middle+k]) {
			continue
		}
		p, q := f.hash(f.a, f.order[base+k], below, decided), f.hash(f.b, f.order[middle+k], below, decided)
		same = same && p == q
		sums[0], sums[1] = sums[0]+mix(p), sums[1]+mix(q)
	}
	return !same && sums[0] == sums[1]
}

// equalEnds says how many elements are equal at the beginning and at the end of two lists.
func (f *Differ) equalEnds(base, middle int, below *rule.State, decided *rule.Compiled) (first, last int) {
	p, q := middle-base, len(f.order)-middle
	n := min(p, q)
	whole, judged := f.whole(below, decided), f.view.Tolerates(below, decided)
	equal := func(k, l int) bool {
		m, n := f.order[base+k], f.order[middle+l]
		return f.sameBytes(m, n) || whole(f.a, m) == whole(f.b, n) && (!judged || f.tolerable(m, n, below, decided))
	}
	for first < n && equal(first, first) {
		first++
	}
	for last < n-first && equal(p-1-last, q-1-last) {
		last++
	}
	return first, last
}

// tolerable says that two elements of the same hash differ by no more than is tolerated.
func (f *Differ) tolerable(m, n uint32, below *rule.State, decided *rule.Compiled) bool {
	found, ended, ok := f.found, f.ended, true
	f.found = func(Found) { ok = false }
	f.pair(below, decided)(m, n)
	f.found, f.ended = found, ended
	return ok
}

// sets compares two arrays without regard to order: what is equal in both is set against each other, then what has the same key; the rest
// by position, so that one changed element is one changed field and not an element less and one more. Where something is tolerated, the
// same hash is not yet equal: a key says better than that which two belong together, and each two are compared.
func (f *Differ) sets(i, j uint32, below *rule.State, decided, r *rule.Compiled) {
	x, y := &f.a.nodes[i], &f.b.nodes[j]
	if x.size != y.size {
		f.emit(Length, i, j, r)
	}
	base := len(f.order)
	f.list(f.a, i+1, x.next)
	middle := len(f.order)
	f.list(f.b, j+1, y.next)
	end := len(f.order)
	whole, pair, tie := f.whole(below, decided), f.pair(below, decided), byPlace
	p, q := middle, end
	switch judged := f.view.Tolerates(below, decided); {
	case !judged:
		p, q = f.match(base, p, middle, q, whole, tie, nil)
	case r.Key == "":
		p, q = f.match(base, p, middle, q, whole, f.nearest(below, decided), pair)
	default:
		tie = f.nearest(below, decided)
	}
	if r.Key != "" {
		keyed := func(d *Doc, n uint32) uint64 { return f.hashOfMember(d, n, r.Key, below, decided) }
		p, q = f.match(base, p, middle, q, keyed, tie, pair)
		f.withoutPartner(base, p, middle, q, x.size != y.size, decided)
		f.order = f.order[:base]
		return
	}
	slices.Sort(f.order[base:p])
	slices.Sort(f.order[middle:q])
	f.elements(base, middle, min(p-base, q-middle), below, decided)
	f.order = f.order[:base]
}

// withoutPartner reports elements whose key only one set has. Of sets of different size that was said already.
func (f *Differ) withoutPartner(p, pEnd, q, qEnd int, said bool, decided *rule.Compiled) {
	if said {
		return
	}
	mark := f.enterElement()
	for ; p < pEnd; p++ {
		f.emitItems(Missing, f.item(f.a, &f.a.nodes[f.order[p]]), absent, decided)
	}
	for ; q < qEnd; q++ {
		f.emitItems(Added, absent, f.item(f.b, &f.b.nodes[f.order[q]]), decided)
	}
	f.leave(mark)
}

// match takes out of two lists in the scratch what has the same hash, calls a function with each such pair, and returns where the lists end
// then. Both are in the order of hashes afterwards, and of tie where these are the same.
func (f *Differ) match(p, pEnd, q, qEnd int, hash hasher, tie func(d *Doc, m, n uint32) int, matched func(m, n uint32)) (int, int) {
	byHash := func(d *Doc, at []uint32) {
		slices.SortFunc(at, func(m, n uint32) int {
			if c := cmp.Compare(hash(d, m), hash(d, n)); c != 0 {
				return c
			}
			return tie(d, m, n)
		})
	}
	byHash(f.a, f.order[p:pEnd])
	byHash(f.b, f.order[q:qEnd])
	keepP, keepQ := p, q
	for p < pEnd || q < qEnd {
		order := 0
		switch {
		case p == pEnd:
			order = 1
		case q == qEnd:
			order = -1
		default:
			order = cmp.Compare(hash(f.a, f.order[p]), hash(f.b, f.order[q]))
		}
		switch {
		case order < 0:
			f.order[keepP] = f.order[p]
			p, keepP = p+1, keepP+1
		case order > 0:
			f.order[keepQ] = f.order[q]
			q, keepQ = q+1, keepQ+1
		default:
			if matched != nil {
				matched(f.order[p], f.order[q])
			}
			p, q = p+1, q+1
		}
	}
	return keepP, keepQ
}

// hasher is a hash of an element of an array.
type hasher func(*Doc, uint32) uint64

func (f *Differ) whole(below *rule.State, decided *rule.Compiled) hasher {
	return func(d *Doc, n uint32) uint64 { return f.hash(d, n, below, decided) }
}

// pair compares an element of each array.
func (f *Differ) pair(below *rule.State, decided *rule.Compiled) func(m, n uint32) {
	return func(m, n uint32) {
		mark, state := f.enterElement(), *below
		f.nodes(m, n, &state, decided)
		f.leave(mark)
	}
}

func byPlace(_ *Doc, m, n uint32) int { return cmp.Compare(m, n) }

// nearest orders elements by what is not tolerated, then by the values that are: so those that are close to each other meet.
func (f *Differ) nearest(below *rule.State, decided *rule.Compiled) func(d *Doc, m, n uint32) int {
	whole := f.whole(below, decided)
	return func(d *Doc, m, n uint32) int {
		if c := cmp.Compare(whole(d, m), whole(d, n)); c != 0 {
			return c
		}
		for p, q := m, n; p < d.nodes[m].next && q < d.nodes[n].next; p, q = p+1, q+1 {
			if d.hashes[p] <= ignored || d.hashes[q] <= ignored { // 0: it was not even asked for
				continue
			}
			if c := d.compareLeaves(&d.nodes[p], &d.nodes[q]); c != 0 {
				return c
			}
		}
		return cmp.Compare(m, n)
	}
}

// compareLeaves orders numbers by value and other leaves by their bytes.
func (d *Doc) compareLeaves(x, y *node) int {
	if min(x.kind, y.kind) >= array {
		return 0
	}
	a, b := d.value(x), d.value(y)
	c := bytes.Compare(a, b)
	if c == 0 || x.kind != number || y.kind != number {
		return c
	}
	p, _ := strconv.ParseFloat(string(a), 64) // infinite if it is too large
	q, _ := strconv.ParseFloat(string(b), 64)
	return cmp.Or(cmp.Compare(p, q), c)
}
