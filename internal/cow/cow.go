// Package cow is a map that is copied for the same price however much is in it, up to thousands: what is live is read as a snapshot at each
// change, while it goes on changing.
package cow

import (
	"hash/maphash"
	"iter"
	"maps"
)

// parts is how many maps share the keys: a change copies one of them, a snapshot the list.
const parts = 128

// seed makes equal keys find the same part.
var seed = maphash.MakeSeed()

// Map is a map. Its zero value is empty. A copy of the value is a snapshot, which later changes of either side leave alone. Like a map
// it may be read by several goroutines, or changed by one.
type Map[K comparable, V any] struct {
	parts *[parts]map[K]V // never changed once a copy may have it: replaced; so are the maps in it
	len   int
}

func part[K comparable](key K) int { return int(maphash.Comparable(seed, key) % parts) }

// Get returns what is at a key.
func (m *Map[K, V]) Get(key K) (value V, ok bool) {
	if m.parts == nil {
		return value, false
	}
	value, ok = m.parts[part(key)][key]
	return value, ok
}

// At is Get without a word on whether it is there.
func (m *Map[K, V]) At(key K) V {
	value, _ := m.Get(key)
	return value
}

// Len is how many keys there are.
func (m *Map[K, V]) Len() int { return m.len }

// All goes through it in no order. Changes meanwhile do not show.
func (m *Map[K, V]) All() iter.Seq2[K, V] {
	all := m.parts
	return func(yield func(K, V) bool) {
		if all == nil {
			return
		}
		for _, p := range all {
			for key, value := range p {
				if !yield(key, value) {
					return
				}
			}
		}
	}
}

// Keys goes through the keys, in no order.
func (m *Map[K, V]) Keys() iter.Seq[K] {
	return func(yield func(K) bool) {
		for key := range m.All() {
			if !yield(key) {
				return
			}
		}
	}
}

// Set puts a value at a key.
func (m *Map[K, V]) Set(key K, value V) {
	p := m.own(part(key))
	before := len(p)
	p[key] = value
	m.len += len(p) - before
}

// Delete removes a key, if it is there.
func (m *Map[K, V]) Delete(key K) {
	if _, ok := m.Get(key); ok {
		delete(m.own(part(key)), key)
		m.len--
	}
}

// own replaces a part by a copy, which is returned.
func (m *Map[K, V]) own(i int) map[K]V {
	next := new([parts]map[K]V)
	if m.parts != nil {
		*next = *m.parts
	}
	p := make(map[K]V, len(next[i])+1)
	maps.Copy(p, next[i])
	next[i], m.parts = p, next
	return p
}
