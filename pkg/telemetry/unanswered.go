package telemetry

// tries is what a load report says of one endpoint. Envoy counts tries: a request that is tried again counts again.
type tries struct {
	endpoint                        string // its address as it came; empty: a locality as a whole
	issued, succeeded, failed, open uint64
}

// unanswered are the most requests that can be in progress without an answer, by endpoint; nil before the first load report.
//
// Load reports say how many tries failed, and from 1.40 on that includes those that got no connection, which are not in issued: mostly a retry
// saved them, and those that it did not are in the metrics. What can have failed after it had a connection is at most what was waiting for an
// answer before, and what was issued, less what succeeded; for an endpoint that refuses it is nothing. Success is counted when the head of an
// answer has come, so that streams and answers that take long are not in the way.
type unanswered map[string]uint64

// most keeps sums far from overflow, whatever a proxy says.
const most = 1 << 32

// round takes a load report into account, and returns what was answered in it.
func (u *unanswered) round(report []tries) credit {
	first, next := *u == nil, make(unanswered, len(report))
	var out credit
	for _, t := range report {
		open, failed := min(t.open, most), min(t.failed, most)
		may := min(t.issued, most) + (*u)[t.endpoint]
		may -= min(may, t.succeeded)
		failed = min(failed, may)
		if !first { // what was open before the first report may have had an answer then or not
			open = min(open, may-failed)
		}
		if open > 0 {
			next[t.endpoint] = open
		}
		out.requests += min(t.succeeded, most) + failed
		out.failures += failed
	}
	*u = next
	return out
}
