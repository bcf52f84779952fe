package shadow

import (
	"cmp"
	"slices"
)

// sample is which body control gave to which path, of a sample of all paths: those with the smallest hashes. So it is the same whatever the
// order in which they came, samples can be merged, and each path counts once however often it was asked for.
type sample struct {
	paths []pathBody // by hash of the path
	pairs uint64     // that were added
}

type pathBody struct{ path, body uint64 }

const (
	maxSample = 256
	minSample = 20  // distinct paths; of fewer nothing is known
	oneBody   = 0.9 // of the paths
)

func (s *sample) add(path, body uint64) {
	s.pairs++
	i, ok := slices.BinarySearchFunc(s.paths, path, func(p pathBody, h uint64) int { return cmp.Compare(p.path, h) })
	switch {
	case ok:
		s.paths[i].body = min(s.paths[i].body, body) // whichever came first
	case i == maxSample:
	case len(s.paths) == maxSample:
		copy(s.paths[i+1:], s.paths[i:maxSample-1])
		s.paths[i] = pathBody{path, body}
	default:
		s.paths = slices.Insert(s.paths, i, pathBody{path, body})
	}
}

// merge adds another sample.
func (s *sample) merge(o *sample) {
	all := slices.Concat(s.paths, o.paths)
	slices.SortFunc(all, func(a, b pathBody) int { return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.body, b.body)) })
	all = slices.CompactFunc(all, func(a, b pathBody) bool { return a.path == b.path })
	s.paths = all[:min(len(all), maxSample)]
	s.pairs += o.pairs
}

// one returns how many pairs, by the sample, have the one body that nearly all paths have; 0 if there is no such body.
func (s *sample) one() uint64 {
	if len(s.paths) < minSample {
		return 0
	}
	counts, most := map[uint64]int{}, 0
	for _, p := range s.paths {
		counts[p.body]++
		most = max(most, counts[p.body])
	}
	share := float64(most) / float64(len(s.paths))
	if share < oneBody {
		return 0
	}
	return uint64(share * float64(s.pairs))
}

// sortedKeys are the keys of a map, in order.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
