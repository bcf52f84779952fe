package tree

import (
	"bytes"
	"hash/maphash"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/rule"
)

// hash is the same for values that are equal under the rules, and almost surely not for others. That of a place where something is
// tolerated says only what type it has, so that elements of the same hash must still be compared there. It is remembered with the node: one
// node is only ever met under one state.
func (f *Differ) hash(d *Doc, at uint32, s *rule.State, r *rule.Compiled) uint64 {
	if len(d.hashes) == 0 {
		if cap(d.hashes) < len(d.nodes) {
			d.hashes = make([]uint64, len(d.nodes))
		}
		d.hashes = d.hashes[:len(d.nodes)]
		clear(d.hashes)
	}
	if h := d.hashes[at]; h != 0 {
		return h
	}
	f.steps--
	h := f.compute(d, at, s, r) | 1
	d.hashes[at] = h
	return h
}

// ignored is the hash of what is ignored. It is odd, as all are.
const ignored = 3

func (f *Differ) compute(d *Doc, at uint32, s *rule.State, r *rule.Compiled) uint64 {
	n := &d.nodes[at]
	kind := uint64(n.kind)
	switch {
	case f.view.Prunes(s, r):
		return ignored
	case n.kind == object:
		h := mix(kind)
		for c := at + 1; c < n.next; c = d.nodes[c].next {
			h += f.memberHash(d, c, s, r)
		}
		return mix(h)
	case n.kind == array:
		h := mix(kind)
		below, decided := f.view.Element(s, r)
		set := r != nil && r.Action == rule.Set
		for c := at + 1; c < n.next; c = d.nodes[c].next {
			e := mix(f.hash(d, c, &below, decided))
			if !set {
				h = mix(h)
			}
			h += e
		}
		return mix(h)
	case r != nil && r.Action == rule.Ignore:
		return ignored
	case r != nil && r.Action == rule.Tolerate:
		return mix(uint64(class(n.kind)) + 16)
	}
	return mix(f.leafHash(d, n) + kind)
}

// memberHash is the hash of a member with its name.
func (f *Differ) memberHash(d *Doc, at uint32, s *rule.State, r *rule.Compiled) uint64 {
	key := d.key(&d.nodes[at])
	below, decided := f.view.Member(s, key, r)
	if f.view.Prunes(&below, decided) {
		return 0
	}
	return mix(maphash.Bytes(f.seed, key) + mix(f.hash(d, at, &below, decided)))
}

func (f *Differ) leafHash(d *Doc, n *node) uint64 {
	v := d.value(n)
	switch {
	case n.kind == number:
		f.bytes = parseDecimal(v).append(f.bytes[:0])
		v = f.bytes
	case n.flags&escaped != 0:
		f.bytes = unescape(f.bytes[:0], v)
		v = f.bytes
	}
	return maphash.Bytes(f.seed, v)
}

// hashOfMember is the hash of an element's member by which a set tells elements apart; of the element if it has none.
func (f *Differ) hashOfMember(d *Doc, at uint32, name string, s *rule.State, r *rule.Compiled) uint64 {
	n := &d.nodes[at]
	if n.kind == object {
		for c := at + 1; c < n.next; c = d.nodes[c].next {
			if key := d.key(&d.nodes[c]); len(key) == len(name) && bytes.Equal(key, []byte(name)) {
				below, decided := f.view.Member(s, key, r)
				if leaf := &d.nodes[c]; leaf.kind < array && decided != nil && decided.Action == rule.Tolerate {
					return mix(f.leafHash(d, leaf) + uint64(leaf.kind)) // of keys that are close none is meant
				}
				return f.hash(d, c, &below, decided)
			}
		}
	}
	return f.hash(d, at, s, r)
}

// mix spreads the bits of a hash; it is the finalizer of MurmurHash3.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
