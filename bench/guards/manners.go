package main

import (
	"math"
	"time"
)

const (
	median = 50 * time.Millisecond // of latencies, where there are any
	spread = 0.6                   // of their logarithms: the mean is 60 ms, p99 202 ms
)

// sound answers at once.
func sound(arrival) fate { return fate{} }

// failing answers a share of the requests badly.
func failing(share float64) manner {
	return func(a arrival) fate {
		bad := a.uniform < share
		return fate{failed: bad, wrong: bad}
	}
}

// usual answers after a usual latency.
func usual(a arrival) fate { return fate{delay: a.latency(1)} }

// slower takes so many times as long as usual.
func slower(times float64) manner {
	return func(a arrival) fate { return fate{delay: a.latency(times), wrong: true} }
}

func (a arrival) latency(times float64) time.Duration {
	return time.Duration(times * float64(median) * math.Exp(spread*a.normal))
}

// pods is how many endpoints healthy candidates have.
const pods = 20

// healthy are sound candidates that look ill, by name.
var healthyKinds = []string{"errors", "pod", "bursts", "stalls", "starts"}

// healthy is the manner of a kind. All have usual latencies.
func healthy(kind string) manner {
	return func(a arrival) fate {
		f := usual(a)
		one := a.pod == pods/2
		switch kind {
		case "errors": // each for itself, a fifth of the limit
			f.failed = a.uniform < 0.001
		case "pod": // 0.3 % of all
			f.failed = one && a.uniform < 0.06
		case "bursts":
			f.failed = one && a.at%time.Minute < 300*time.Millisecond
		case "stalls":
			if rest := 500*time.Millisecond - a.at%(20*time.Second); one && rest > 0 {
				f.delay += rest
			}
		case "starts":
			if a.at-time.Duration(a.tally.stepped.Load()) < 4*time.Second {
				f.delay = a.latency(3)
			}
		}
		return f
	}
}
