package telemetry

import (
	"slices"
	"strings"
	"time"
)

// tracker judges one change by what it is told; it reads no clock and takes no lock.
//
// Zero picks is exact, a positive number is not: a request that waited for a connection since before the change counts when it gets one. So
// only an interval without any pick, begun after the acknowledgement, is proof, and any pick later than that takes it back.
type tracker struct {
	change  Change
	witness map[string]*witness
}

// ackMargin is what an interval must begin after the acknowledgement to count as begun after it, for its times may be late.
const ackMargin = 50 * time.Millisecond

func newTracker(c Change) *tracker { return &tracker{change: c, witness: map[string]*witness{}} }

func (t *tracker) at(proxy string) *witness {
	w, ok := t.witness[proxy]
	if !ok {
		w = &witness{proxy: proxy, trusted: make([]bool, len(t.change.Away)), called: t.change.Called}
		t.witness[proxy] = w
	}
	return w
}

// connected says whether a proxy is. What it showed before it was gone counts no more: it may come back as another process.
func (t *tracker) connected(proxy string, is bool, now time.Time) {
	w := t.at(proxy)
	if w.connected && !is {
		*w = witness{proxy: proxy, trusted: make([]bool, len(t.change.Away)), called: t.change.Called, version: w.version, reported: w.reported, period: w.period}
	}
	if is && !w.connected {
		w.acked = time.Time{} // that was on a stream that nobody followed
		if now.After(t.change.Called) {
			w.until = now // nothing is known of the time before
		}
	}
	w.connected, w.seen = is, now
}

// forget removes a proxy.
func (t *tracker) forget(proxy string) { delete(t.witness, proxy) }

// acked notes when a proxy acknowledged the change; only the first time counts.
func (t *tracker) acked(proxy string, at time.Time) {
	if w := t.at(proxy); w.acked.IsZero() {
		w.acked = at
	}
}

// state judges the fleet.
func (t *tracker) state(now time.Time) ProofState {
	s := ProofState{State: Proven, OpenStreams: map[string]int64{}}
	var worst ProxyProof
	connected, alike := 0, 0
	for _, w := range t.witnesses() {
		if !w.connected && w.acked.IsZero() && now.Sub(w.seen) > keepLost { // who acknowledged is there, whether or not there is room to follow it
			continue
		}
		p := w.judge(&t.change, now)
		s.PerProxy = append(s.PerProxy, p)
		if w.connected {
			connected++
		}
		switch {
		case worst.Proxy == "" || p.State.Worse(worst.State):
			worst, alike = p, 0
		case p.State == worst.State:
			alike++
		}
		s.Since, s.Resolution = max(s.Since, p.Since), max(s.Resolution, p.Resolution)
		for i, n := range w.open {
			s.OpenStreams[t.change.Away[i]] += n
		}
	}
	s.State, s.Reason = worst.State, worst.reason(alike)
	if connected == 0 {
		s.State = Unknown
		if s.Reason == "" {
			s.Reason = "no proxy of fleet " + t.change.Fleet + " is connected"
		}
	}
	return s
}

func (t *tracker) witnesses() []*witness {
	out := make([]*witness, 0, len(t.witness))
	for _, w := range t.witness {
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b *witness) int { return strings.Compare(a.proxy, b.proxy) })
	return out
}
