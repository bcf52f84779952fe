package guard

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"
)

// Bucket counts requests that took more than Above and at most UpTo. It is self-descriptive, so that histograms of different proxies can be added.
type Bucket struct {
	Above time.Duration
	UpTo  time.Duration // 0: without an end
	Count uint64
}

// Window is what the requests at one origin came to in a stretch of time that no other window of it covers. A request counts once: if an origin's
// counters have a reset both as a reset and as the 503 that the proxy made of it, whoever fills in a window takes one of them out.
type Window struct {
	Length      time.Duration // by a clock that is not set: guards never look at the time of day
	Completed   uint64        // requests with an answer, also of those below
	Failed      uint64        // answers that count as failures: 5xx, or a gRPC status that says so
	Reset       uint64        // requests that were cut off
	Timeout     uint64        // requests that took too long
	Overflow    uint64        // requests that a circuit breaker refused
	NoneHealthy uint64        // requests that found no healthy endpoint
	ConnectFail uint64        // requests that got no connection
	Latency     []Bucket      // of completed requests, by rising Above, then by rising UpTo, none twice; nil: not known
	Silent      int           // connected proxies that reported nothing: their part is not in the counts
}

// unanswered are the picks of the origin that came to nothing.
func (w *Window) unanswered() uint64 {
	return w.Reset + w.Timeout + w.Overflow + w.NoneHealthy + w.ConnectFail
}

// Requests is the denominator of the error rate.
func (w *Window) Requests() uint64 { return w.Completed + w.unanswered() }

// Failures is the numerator of the error rate.
func (w *Window) Failures() uint64 { return w.Failed + w.unanswered() }

// Merge adds up windows of the same stretch of time, in any order: those of several proxies or fleets. Length is the longest.
func Merge(parts ...Window) Window {
	var out Window
	for i := range parts {
		out.Length = max(out.Length, parts[i].Length)
		out.Silent += parts[i].Silent
		out.add(&parts[i])
	}
	return out
}

// Join adds up windows that follow each other. Length is their sum, Silent the most.
func Join(parts ...Window) Window {
	var out Window
	for i := range parts {
		out.Length += parts[i].Length
		out.Silent = max(out.Silent, parts[i].Silent)
		out.add(&parts[i])
	}
	return out
}

func (w *Window) add(o *Window) {
	w.Completed += o.Completed
	w.Failed += o.Failed
	w.Reset += o.Reset
	w.Timeout += o.Timeout
	w.Overflow += o.Overflow
	w.NoneHealthy += o.NoneHealthy
	w.ConnectFail += o.ConnectFail
	w.Latency = addBuckets(w.Latency, o.Latency)
}

// addBuckets merges two histograms into a new one.
func addBuckets(a, b []Bucket) []Bucket {
	out := make([]Bucket, 0, max(len(a), len(b))+8)
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(a) == 0:
			return append(out, b...)
		case len(b) == 0:
			return append(out, a...)
		}
		switch order := a[0].compare(b[0]); {
		case order < 0:
			out, a = append(out, a[0]), a[1:]
		case order > 0:
			out, b = append(out, b[0]), b[1:]
		default:
			out = append(out, Bucket{a[0].Above, a[0].UpTo, a[0].Count + b[0].Count})
			a, b = a[1:], b[1:]
		}
	}
	return out
}

// compare orders buckets by their fast end, then by their slow one.
func (b Bucket) compare(o Bucket) int {
	return cmp.Or(cmp.Compare(b.Above, o.Above), cmp.Compare(b.end(), o.end()))
}

// end is UpTo as a number that can be compared.
func (b Bucket) end() time.Duration {
	if b.UpTo == 0 {
		return longest
	}
	return b.UpTo
}

const longest = time.Duration(1<<63 - 1)

// Pair is what the two origins did in the same stretch of time.
type Pair struct {
	Candidate Window // of the origin that the rollout leads to
	Control   Window // of the other one; zero if it gets no requests
}

// MaxBuckets is how many buckets a window may have. A histogram of a proxy has about 125; two versions of Envoy beside each other twice as many.
const MaxBuckets = 512

// MaxWindowLength is how long a window may be; a longer one says nothing of when.
const MaxWindowLength = time.Minute

// maxCount keeps sums of counts far from overflow.
const maxCount = 1 << 40

// wrong says what is wrong with a window; empty: nothing.
func (w *Window) wrong() string {
	switch {
	case w.Length <= 0 || w.Length > MaxWindowLength:
		return fmt.Sprintf("covers %s, more than 0s and at most %s are allowed", w.Length, MaxWindowLength)
	case w.Failed > w.Completed:
		return fmt.Sprintf("has %d answers that failed among %d answers", w.Failed, w.Completed)
	case len(w.Latency) > MaxBuckets:
		return fmt.Sprintf("has a histogram of %d buckets, at most %d are allowed", len(w.Latency), MaxBuckets)
	}
	for _, n := range []uint64{w.Completed, w.Reset, w.Timeout, w.Overflow, w.NoneHealthy, w.ConnectFail} {
		if n > maxCount {
			return fmt.Sprintf("has a count of %d, which cannot be", n)
		}
	}
	return wrongBuckets(w.Latency)
}

func wrongBuckets(all []Bucket) string {
	for i, b := range all {
		switch {
		case b.Above < 0 || b.UpTo < 0 || b.UpTo != 0 && b.UpTo <= b.Above:
			return fmt.Sprintf("has a bucket from %s to %s", b.Above, b.UpTo)
		case i > 0 && all[i-1].compare(b) >= 0:
			return "has a histogram whose buckets do not rise"
		case b.Count > maxCount:
			return fmt.Sprintf("has a bucket of %d requests, which cannot be", b.Count)
		}
	}
	return ""
}

// MarshalJSON writes a bucket as three numbers: states have many.
func (b Bucket) MarshalJSON() ([]byte, error) {
	return json.Marshal([3]int64{int64(b.Above), int64(b.UpTo), int64(b.Count)})
}

// UnmarshalJSON reads what [Bucket.MarshalJSON] wrote.
func (b *Bucket) UnmarshalJSON(data []byte) error {
	var n [3]int64
	if err := json.Unmarshal(data, &n); err != nil {
		return err
	}
	if n[2] < 0 {
		return fmt.Errorf("a bucket counts %d", n[2])
	}
	*b = Bucket{time.Duration(n[0]), time.Duration(n[1]), uint64(n[2])}
	return nil
}
