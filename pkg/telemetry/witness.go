package telemetry

import (
	"fmt"
	"slices"
	"time"
)

// witness is what one proxy shows of a change.
type witness struct {
	proxy     string
	called    time.Time
	connected bool
	seen      time.Time // when that last changed
	acked     time.Time // zero: not yet

	reported  time.Time     // arrival of its last flush; zero: never
	period    time.Duration // of its flushes
	overrides bool
	version   version

	// By metrics.
	until   time.Time // no pick is known or possible after it; zero: none since the call
	covered time.Time // end of the last interval
	clean   evidence

	// By load reports.
	trusted   []bool // by index of Away: load reports show every pick of it
	chain     chain
	loadClean evidence
	open      []int64 // requests in progress, by index of Away; nil: not said
}

// evidence is intervals without a pick that began after the acknowledgement.
type evidence struct {
	is     bool
	whole  bool // it began after; otherwise it began before, and there was no request at all
	served bool // there were requests for the service
	length time.Duration
	to     time.Time
}

// chain is load reports without a hole between them.
type chain struct {
	from time.Time // begun then or earlier; zero: none
	pick time.Time // end of the last one with a pick
}

// interval takes a flush into account.
func (w *witness) interval(iv interval) {
	w.reported = iv.arrived
	if iv.complete {
		w.period = iv.to.Sub(iv.from)
	}
	w.trust(iv)
	if !iv.to.After(w.called) {
		return
	}
	if iv.gap && iv.from.After(w.called) {
		w.until = iv.from
	}
	picked := slices.ContainsFunc(iv.away, func(s seen) bool { return s.picks > 0 })
	if picked || !iv.complete {
		w.until = iv.to
	}
	w.covered = iv.to
	switch {
	case picked:
		w.clean = evidence{}
		if !w.chain.from.IsZero() && !iv.from.Before(w.chain.from) {
			w.distrust() // load reports showed none of them
		}
	case !iv.complete || w.acked.IsZero() || iv.to.Before(w.acked.Add(ackMargin)):
	case !iv.from.Before(w.acked.Add(ackMargin)):
		w.clean = evidence{is: true, whole: true, served: w.clean.served || iv.requests > 0, length: iv.to.Sub(iv.from), to: iv.to}
	case iv.requests == 0:
		w.clean = evidence{is: true, length: iv.to.Sub(iv.from), to: iv.to}
	}
}

// trust judges, by a flush, whether load reports show every pick of an origin.
func (w *witness) trust(iv interval) {
	for i, s := range iv.away {
		if s.health.used {
			w.trusted[i] = s.health.answering
		} else if w.acked.IsZero() || iv.to.Before(w.acked) {
			w.trusted[i] = false // nothing shows how it is
		}
	}
}

// distrust ends the use of load reports as proof.
func (w *witness) distrust() {
	clear(w.trusted)
	w.chain, w.loadClean = chain{}, evidence{}
}

// round takes a load report into account.
func (w *witness) round(r round) {
	w.open = make([]int64, len(r.away))
	picked, busy := false, false
	for i, l := range r.away {
		w.open[i] = int64(l.open)
		picked = picked || l.issued > 0 || l.failed > 0
		busy = busy || l.open > 0
	}
	if !r.complete {
		w.chain, w.loadClean = chain{}, evidence{}
		return
	}
	if w.chain.from.IsZero() {
		w.chain.from = r.arrived.Add(-r.length)
	}
	if r.requests > 0 && w.clean.is && !w.clean.served {
		w.clean = evidence{} // it is not silent any more
	}
	switch {
	case picked:
		w.chain.pick = r.arrived
		w.loadClean = evidence{}
		if w.clean.to.Before(r.arrived) {
			w.clean = evidence{}
		}
	case w.acked.IsZero() || r.notBefore.Before(w.acked) || !w.version.reportsFailures() || slices.Contains(w.trusted, false):
	case busy: // perhaps it has just stopped answering, and further requests wait unseen
	default:
		w.loadClean = evidence{is: true, whole: true, served: w.loadClean.served || r.requests > 0, length: r.length, to: r.arrived}
	}
}

// judge says what the witness shows.
func (w *witness) judge(c *Change, now time.Time) ProxyProof {
	p := ProxyProof{Proxy: w.proxy, Connected: w.connected}
	p.State, p.Reason = w.hindered(c, now)
	if p.State != "" {
		return p
	}
	metrics := w.clean.is && w.clean.whole && w.clean.served
	loads := w.loadClean.is && w.loadClean.served
	p.Since, p.Resolution = w.since(loads), w.period
	switch {
	case loads:
		p.State, p.Resolution = Proven, w.loadClean.length
	case metrics:
		p.State, p.Resolution = Proven, w.clean.length
	case w.clean.is:
		p.State, p.Reason, p.Resolution = Silent, "no request for "+c.Service+" since it acknowledged", w.clean.length
	case w.acked.IsZero():
		p.State, p.Reason = Pending, "has not acknowledged the change"
	case w.until.After(w.acked):
		p.State, p.Reason = Pending, fmt.Sprintf("requests may have picked %s until %s after the call", list(c.Away), after(w.until, w.called))
	default:
		p.State, p.Reason = Pending, "no report yet of an interval that began after it acknowledged"
	}
	return p
}

// settled says whether it is proven or silent: more load reports would add nothing.
func (w *witness) settled(c *Change, now time.Time) bool {
	hindered, _ := w.hindered(c, now)
	return hindered == "" && (w.clean.is || w.loadClean.is && w.loadClean.served)
}

// hindered says why nothing can be known; the empty state if nothing hinders.
func (w *witness) hindered(c *Change, now time.Time) (State, string) {
	switch {
	case !w.connected && w.seen.IsZero():
		return Unknown, "is not followed: there are more proxies or fleets than telemetry has room for"
	case !w.connected:
		return Unknown, "is not connected; it keeps what it last had"
	case c.KeepPins:
		return Unknown, "pins are kept: requests that match one still go where it says"
	case w.overrides:
		return Unknown, "an admin override is active: it beats what the control plane says; `shadowctl break-glass SERVICE` shows how to clear it"
	case w.reported.IsZero():
		return Unknown, "has sent no metrics yet; if that stays, its bootstrap is not of this version: make a new one with `shadowctl bootstrap`"
	case now.Sub(w.reported) > quietAfter(w.period):
		return Unknown, fmt.Sprintf("sends no metrics: the last came %s ago", now.Sub(w.reported).Round(time.Millisecond))
	}
	return "", ""
}

// since bounds, from the call, when a request last picked an origin of Away.
func (w *witness) since(byLoads bool) time.Duration {
	until := w.until
	if !byLoads {
		if w.chain.pick.After(until) {
			until = w.chain.pick
		}
		if w.covered.IsZero() && w.acked.After(until) {
			until = w.acked // nothing is known yet of the time from the call
		}
		return max(0, until.Sub(w.called))
	}
	// Load reports show none after the later of these two. Metrics can only show that it was earlier still.
	loads := w.chain.from
	if w.chain.pick.After(loads) {
		loads = w.chain.pick
	}
	if loads.Before(until) || w.covered.Before(loads) {
		until = loads
	}
	return max(0, until.Sub(w.called))
}

// quietAfter is how long a proxy may send nothing before it counts as not reporting.
func quietAfter(period time.Duration) time.Duration {
	if period <= 0 {
		return 15 * time.Second
	}
	return 3*period + time.Second
}
