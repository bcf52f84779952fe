package xds

import "slices"

// names are what a proxy has asked for of a kind, sorted. Mostly that is just what there is: then it is the very list of the table, and
// a thousand proxies share it.
type names []string

func (n names) has(name string) bool {
	_, found := slices.BinarySearch(n, name)
	return found
}

// all says whether the proxy has asked for everything in a table.
func (n names) all(t *table) bool {
	if len(n) == len(t.names) && (len(n) == 0 || &n[0] == &t.names[0]) {
		return true
	}
	return len(n) >= len(t.names) && !slices.ContainsFunc(t.names, func(name string) bool { return !n.has(name) })
}

// with returns the names after a request. Strings of the table stand in for equal ones of the request.
func (n names) with(added, removed []string, t *table) names {
	if len(added)+len(removed) == 0 {
		return n
	}
	out := slices.Concat(n, added)
	for i, name := range out {
		if known, ok := t.byName[name]; ok {
			out[i] = known.Name
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	if len(removed) > 0 {
		gone := slices.Sorted(slices.Values(removed))
		out = slices.DeleteFunc(out, func(name string) bool { return names(gone).has(name) })
	}
	if slices.Equal(out, t.names) {
		return t.names
	}
	return slices.Clip(out)
}
