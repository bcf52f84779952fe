package policy

import (
	"fmt"
	"math"
)

// MostLoad is how many times the load of an endpoint of the primary, when that has everything, an endpoint of another origin may be sent. It
// holds where the document does not say what an endpoint can take.
const MostLoad = 2

// Supply is what stands ready to take requests.
type Supply struct {
	// Ready is how many endpoints each origin has ready, by its name. An origin that is looked up by the proxies has no entry.
	Ready map[string]int
	// Held is how many more each has that its source no longer names, which is not believed. At the primary they count: they are used, and
	// that is where a service is safe.
	Held map[string]int
	// RPS is the load of the service, over all origins, in requests per second; 0 if it is not known.
	RPS float64
}

// CheckCapacity refuses a change that raises the weight of an origin that has too few endpoints ready for what it would be sent. It returns
// nil, or a Held error with the arithmetic. before is nil for a new service, which has no traffic yet: then nothing is refused.
func CheckCapacity(before, after *Service, supply Supply) *Error {
	if before == nil {
		return nil
	}
	for i := range after.Origins {
		o := &after.Origins[i]
		weight := after.Split.Weights[o.Name]
		if weight <= before.Split.Weights[o.Name] {
			continue
		}
		if why := short(after, o, weight, supply); why != "" {
			return &Error{
				Kind: Held, Code: "capacity", Field: "split.weights." + o.Name, Value: FormatWeight(weight), Message: why,
				Next: "start more, or send less at first; --force does it all the same",
			}
		}
	}
	return nil
}

// Shortage says why the primary could not carry everything, as a rollback would have it, or "".
func Shortage(s *Service, supply Supply) string {
	for i := range s.Origins {
		if o := &s.Origins[i]; o.Name == s.Primary {
			return short(s, o, Whole, supply)
		}
	}
	return ""
}

// short says why the endpoints of an origin are too few for a weight; "" if they are not, or nobody knows.
func short(s *Service, o *Origin, weight BasisPoints, supply Supply) string {
	ready, known := supply.Ready[o.Name]
	held := supply.Held[o.Name]
	if o.Name == s.Primary {
		ready, held = ready+held, 0
	}
	switch {
	case !known:
		return ""
	case ready == 0 && held > 0:
		return fmt.Sprintf("%s has no endpoint ready: its source names none of the %d that it had", o.Name, held)
	case ready == 0:
		return fmt.Sprintf("%s has no endpoint ready", o.Name)
	case o.Capacity > 0:
		return shortOfRate(o, weight, ready, supply.RPS)
	case o.Name == s.Primary || !o.Discovered():
		return ""
	}
	primary := supply.Ready[s.Primary] + supply.Held[s.Primary]
	enough := int(math.Ceil(float64(weight) * float64(primary) / float64(Whole) / MostLoad))
	if ready >= enough {
		return ""
	}
	return fmt.Sprintf("%s would get %s with %s ready; when %s has everything, each of its %d endpoints gets %s: an endpoint of %s would get %.3g times as much, and %d times is the most; %d would be enough",
		o.Name, FormatWeight(weight), endpoints(ready), s.Primary, primary, perCent(1/float64(primary)), o.Name,
		float64(weight)*float64(primary)/float64(Whole)/float64(ready), MostLoad, enough)
}

func shortOfRate(o *Origin, weight BasisPoints, ready int, rps float64) string {
	load := rps * float64(weight) / float64(Whole)
	enough := int(math.Ceil(load / float64(o.Capacity)))
	if ready >= enough {
		return ""
	}
	return fmt.Sprintf("%s would get %s of %.4g requests per second, %.4g, and has %s ready for %d each, %d: %d would be enough",
		o.Name, FormatWeight(weight), rps, load, endpoints(ready), o.Capacity, ready*o.Capacity, enough)
}

func endpoints(n int) string {
	if n == 1 {
		return "1 endpoint"
	}
	return fmt.Sprintf("%d endpoints", n)
}

func perCent(share float64) string { return fmt.Sprintf("%.3g%%", 100*share) }
