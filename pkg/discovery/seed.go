package discovery

import "time"

// Seed returns a set of endpoints that are believed before their source has told anything: those of a note that an earlier process left,
// which looked at that time. They are as good as told by a look, so a first look that has much fewer is doubted like any other; but
// [Set.Known] is false until then.
func Seed(endpoints []Endpoint, looked time.Time) Set {
	return Set{tracked: track(endpoints, looked), looked: looked}
}

// Renew returns what is believed once the source that named the endpoints of an origin is watched anew: the same endpoints, as a seed.
func (s Set) Renew() Set {
	endpoints := make([]Endpoint, len(s.tracked))
	for i, t := range s.tracked {
		endpoints[i] = t.Endpoint
	}
	return Seed(endpoints, s.looked)
}

// Inherit returns what is believed once an origin has another source: the same endpoints, as a seed, until that source names one that is
// ready. From then on only what it names counts. Before, what it says cannot shrink them, not even if it means that it has none itself.
func (s Set) Inherit() Set {
	next := s.Renew()
	next.inherited = len(next.tracked) > 0
	return next
}

// Inherited says that the endpoints are those of an earlier source, see [Set.Inherit].
func (s Set) Inherited() bool { return s.inherited }
