package telemetry

import "time"

// attend decides whether a proxy should send load reports now, and about what. f.mu is held.
func (t *Telemetry) attend(f *fleet, p *proxy) {
	if p.load.Load() == nil {
		t.lanes.want(p, idle)
		return
	}
	now, use := t.now(), idle
	if f.quick() {
		use = watching
	}
	for proof := range f.proofs {
		if proof.wants(p, now) {
			use = proving
			break
		}
	}
	t.lanes.want(p, use)
	p.wake()
}

// attendAll is attend for all proxies of a fleet. f.mu is held.
func (t *Telemetry) attendAll(f *fleet) {
	for _, p := range f.proxies {
		t.attend(f, p)
	}
}

// wake makes the LRS stream of a proxy look what it should ask for.
func (p *proxy) wake() {
	if s := p.load.Load(); s != nil {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// wants says whether load reports of a proxy would help: from its acknowledgement until it is settled, and then on for the open streams while
// nobody else waits. The fleet's lock is held.
func (p *Proof) wants(x *proxy, now time.Time) bool {
	w := p.tracker.witness[x.id]
	c := &p.tracker.change
	if w == nil || !w.connected || w.acked.IsZero() || c.KeepPins || now.Sub(c.Called) > followFor {
		return false
	}
	return !p.telemetry.lanes.contended() || !w.settled(c, now)
}

// loads takes a load report into account, if it is about the change. The fleet's lock is held.
func (p *Proof) loads(x *proxy, asked map[string]time.Time, reports map[string]loadReport, arrived time.Time) {
	r := round{arrived: arrived, notBefore: arrived, away: make([]load, len(p.away)), complete: true}
	for i, cluster := range p.away {
		if _, ok := asked[cluster]; !ok {
			return
		}
		report, ok := reports[cluster]
		r.complete = r.complete && ok
		r.away[i] = report.load
		r.include(report, ok)
	}
	for _, cluster := range p.toward {
		report, ok := reports[cluster]
		r.requests += report.issued
		r.include(report, ok)
	}
	if r.length == 0 && r.complete {
		return
	}
	p.tracker.at(x.id).round(r)
	p.changed()
}

// include widens the round to a report.
func (r *round) include(report loadReport, ok bool) {
	if !ok {
		return
	}
	if report.notBefore.Before(r.notBefore) {
		r.notBefore = report.notBefore
	}
	r.length = max(r.length, report.length)
}
