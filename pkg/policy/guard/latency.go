package guard

import (
	"math"
	"time"
)

// Latencies are known by bucket only. What is said against an origin uses the fast end of its buckets, and what is said for it the slow end.

// count is the number of requests in a histogram.
func count(all []Bucket) uint64 {
	n := uint64(0)
	for _, b := range all {
		n += b.Count
	}
	return n
}

// surelyAbove is how many took longer than a limit for certain.
func surelyAbove(all []Bucket, limit time.Duration) uint64 {
	n := uint64(0)
	for _, b := range all {
		if b.Above >= limit {
			n += b.Count
		}
	}
	return n
}

// quantile is the bucket in which the request is that a share q of all are not slower than, the slowest of those that it can be if buckets
// overlap; false if there are no requests.
func quantile(all []Bucket, q float64) (Bucket, bool) {
	rank := max(uint64(math.Ceil(q*float64(count(all))-1e-9)), 1)
	found, seen := Bucket{}, uint64(0)
	for _, b := range all {
		if b.Count == 0 {
			continue
		}
		if b.end() >= found.end() || seen == 0 {
			found = b
		}
		if seen += b.Count; seen >= rank {
			return found, true
		}
	}
	return Bucket{}, false
}

// middle is the duration that stands for a bucket in what is shown: the geometric middle.
func (b Bucket) middle() time.Duration {
	switch {
	case b.UpTo == 0:
		return b.Above
	case b.Above == 0:
		return b.UpTo / 2
	}
	return time.Duration(math.Sqrt(float64(b.Above) * float64(b.UpTo)))
}

// moments are the mean and the standard deviation, in seconds, with all requests at the end of their bucket that a function names.
func moments(all []Bucket, at func(Bucket) time.Duration) (mean, deviation float64) {
	n, sum, squares := 0.0, 0.0, 0.0
	for _, b := range all {
		c, v := float64(b.Count), at(b).Seconds()
		n += c
		sum += c * v
		squares += c * v * v
	}
	if n == 0 {
		return 0, 0
	}
	mean = sum / n
	return mean, math.Sqrt(max(squares/n-mean*mean, 0))
}

func fastEnd(b Bucket) time.Duration { return b.Above }

func slowEnd(b Bucket) time.Duration {
	if b.UpTo == 0 {
		return b.Above
	}
	return b.UpTo
}
