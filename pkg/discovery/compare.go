package discovery

import "slices"

// SameEndpoints says that two sets mean the same for proxies: the same addresses in the same zones, and the same of them take requests.
// Held endpoints take requests like ready ones. Proxies need not hear of anything else.
func SameEndpoints(a, b Set) bool {
	return slices.EqualFunc(a.tracked, b.tracked, func(x, y Tracked) bool {
		return x.Address == y.Address && x.Zone == y.Zone && (x.State == StateDraining) == (y.State == StateDraining)
	})
}

// Withdraws says that an endpoint took requests before and takes none after: it drains or is gone. Proxies should hear of it without delay.
func Withdraws(before, after Set) bool {
	for _, now := range before.inUse(after.tracked) {
		if now == nil || now.State == StateDraining {
			return true
		}
	}
	return false
}
