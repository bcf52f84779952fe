package telemetry

import "time"

// ledger makes one account of one cluster at one proxy out of two sources, from when load reports of it began: each request once, as early as
// either shows it. It reads no clock.
//
// Both sources are summed up. Neither has all: metrics do not have failures that only a gRPC status says, nor what was lost with a flush; load
// reports do not have requests without a connection, answers that broke, or, up to 1.37, what ended in a round in which nothing began. What was
// credited is the larger sum. Where a flush and a round cover the same time, what one has and the other lacks is known, and the smaller sum is
// raised: so what only metrics show does not hide what load reports show next.
type ledger struct {
	requests, failures account
	flight             unanswered
	marks              [4]mark // of the last rounds, the oldest first
	ends               time.Time
	due                [2]mark // flushes that no round covers yet, in their order

	number  uint64    // of the last flush
	flushed time.Time // its end
	lost    bool      // nothing is known of the time between it and the one before
	before  mark      // of the last round that was surely made before its end
	over    time.Time // when load reports ended; zero: they go on
}

// mark is what a source had summed up at some time.
type mark struct {
	at                 time.Time // of a round: its arrival; of a flush: its end
	came               time.Time // of a flush: its arrival
	requests, failures uint64
}

// patience is how long a round is waited for that covers a flush.
const patience = time.Second

// account is one count in both sources, and how much of it was credited.
type account struct{ metrics, loads, credited uint64 }

// credit credits what is new in a sum.
func (a *account) credit(sum uint64) uint64 {
	if sum <= a.credited {
		return 0
	}
	n := sum - a.credited
	a.credited = sum
	return n
}

// settle is told how much metrics had, of a time that load reports have as well.
func (a *account) settle(metrics uint64) uint64 {
	a.loads = max(a.loads, metrics)
	return a.credit(metrics)
}

// round takes a load report into account, which ended at a time or later.
func (l *ledger) round(arrived, ends time.Time, report []tries) credit {
	n := l.flight.round(report)
	l.requests.loads += n.requests
	l.failures.loads += n.failures
	n = credit{l.requests.credit(l.requests.loads), l.failures.credit(l.failures.loads)}
	copy(l.marks[:], l.marks[1:])
	l.marks[len(l.marks)-1] = mark{at: arrived, requests: l.requests.loads, failures: l.failures.loads}
	l.ends = ends
	for !l.due[0].at.IsZero() && !l.due[0].at.After(ends) {
		n.add(l.settle())
	}
	return n
}

// settle settles the oldest flush that is due.
func (l *ledger) settle() credit {
	d := l.due[0]
	l.due[0], l.due[1] = l.due[1], mark{}
	return credit{l.requests.settle(d.requests), l.failures.settle(d.failures)}
}

// flush takes metrics into account, of the interval of a flush. Several messages with one number are one flush.
func (l *ledger) flush(number uint64, iv interval, n credit) credit {
	arrived, end := iv.arrived, iv.to
	if number != l.number {
		l.reconcile()
		l.number, l.flushed, l.lost = number, end, iv.gap || !iv.complete
		l.before = l.markBefore(end.Add(-ackMargin))
	}
	l.requests.metrics += min(n.requests, most)
	l.failures.metrics += min(n.failures, most)
	d := mark{at: end, came: arrived, requests: l.requests.metrics, failures: l.failures.metrics}
	var out credit
	if !l.due[0].at.IsZero() && arrived.Sub(l.due[0].came) > patience {
		out = l.settle()
	}
	if l.due[0].at.IsZero() {
		l.due[0] = d
	} else {
		l.due[1] = d
	}
	for !l.due[0].at.IsZero() && (!l.over.IsZero() || !l.due[0].at.After(l.ends)) {
		out.add(l.settle())
	}
	return out
}

// reconcile compares the last flush, of which all has come now, with what load reports had before its end.
func (l *ledger) reconcile() {
	l.failures.metrics = max(l.failures.metrics, l.before.failures)
	switch {
	case l.before.requests <= l.requests.metrics:
	case l.lost:
		l.requests.metrics = l.before.requests
	default:
		// Answers of gRPC count in metrics when they begin and in load reports when they end, so that raising the sum of load reports took
		// some of them for requests that load reports would never show.
		twice := l.before.requests - l.requests.metrics
		l.requests.loads -= min(twice, l.requests.loads)
		for i := range l.marks {
			l.marks[i].requests -= min(twice, l.marks[i].requests)
		}
	}
}

// markBefore returns the last round that arrived before a time; a zero one if none is known.
func (l *ledger) markBefore(at time.Time) mark {
	for i := len(l.marks) - 1; i >= 0; i-- {
		if !l.marks[i].at.IsZero() && l.marks[i].at.Before(at) {
			return l.marks[i]
		}
	}
	return mark{}
}

// end notes that no load reports come any more, until the next round.
func (l *ledger) end(now time.Time) credit {
	if !l.over.IsZero() {
		return credit{}
	}
	l.over, l.flight = now, nil
	var out credit
	for !l.due[0].at.IsZero() {
		out.add(l.settle())
	}
	return out
}

// resume notes that load reports come again.
func (l *ledger) resume() {
	if !l.over.IsZero() {
		l.over, l.ends = time.Time{}, time.Time{}
	}
}

// closed says whether a flush comes after one that had all that load reports ever had, so that it is credited as it is.
func (l *ledger) closed(number uint64) bool {
	return number != l.number && !l.over.IsZero() && l.flushed.After(l.over.Add(ackMargin))
}

func (c *credit) add(o credit) {
	c.requests += o.requests
	c.failures += o.failures
}
