package telemetry

import (
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// followFor is how long after the call load reports are asked for.
const followFor = 30 * time.Second

// Proof follows one change. Its methods may be called from several goroutines.
type Proof struct {
	telemetry *Telemetry
	fleet     *fleet
	away      []string // clusters, by index of Change.Away
	toward    []string
	notify    chan struct{}

	tracker *tracker // guarded by the fleet
}

// Follow begins to follow a change: call it before the change is published, and [Proof.Close] in the end. Proxies that are connected now or
// later take part.
func (t *Telemetry) Follow(c Change) *Proof {
	f := t.fleet(c.Fleet)
	p := &Proof{
		telemetry: t, fleet: f, away: clusters(c.Service, c.Away), toward: clusters(c.Service, c.Toward),
		notify: make(chan struct{}, 1), tracker: newTracker(c),
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.proofs[p] = true
	for _, x := range f.proxies {
		if x.known {
			p.tracker.connected(x.id, x.streams > 0, x.lastSeen)
		}
		p.introduce(x)
	}
	return p
}

func clusters(service string, origins []string) []string {
	out := make([]string, len(origins))
	for i, o := range origins {
		out[i] = policy.ClusterName(service, o)
	}
	return out
}

// introduce tells the tracker what is known of a proxy that no event will tell again. The fleet's lock is held.
func (p *Proof) introduce(x *proxy) {
	if !x.known {
		return
	}
	w := p.tracker.at(x.id)
	w.version, w.overrides, w.reported, w.period = x.version, x.overrides, x.reported, x.period
	for i, cluster := range p.away {
		w.trusted[i] = p.fleet.recall(x, cluster).answering
	}
}

// Acked notes when a proxy acknowledged the change. A proxy that reconnects must acknowledge again.
func (p *Proof) Acked(proxy string, at time.Time) {
	p.fleet.mu.Lock()
	defer p.fleet.mu.Unlock()
	p.tracker.acked(proxy, at)
	p.changed()
	if x := p.fleet.proxies[proxy]; x != nil {
		p.telemetry.attend(p.fleet, x)
	}
}

// Changed is signalled when the state may have changed. Time alone changes it too (a proxy that stops reporting), so ask [Proof.State] about
// once a second as well.
func (p *Proof) Changed() <-chan struct{} { return p.notify }

func (p *Proof) changed() {
	select {
	case p.notify <- struct{}{}:
	default:
	}
}

// State says what is proven by now.
func (p *Proof) State(now time.Time) ProofState {
	p.fleet.mu.Lock()
	defer p.fleet.mu.Unlock()
	return p.tracker.state(now)
}

// Close ends the following; the state stays readable.
func (p *Proof) Close() {
	p.fleet.mu.Lock()
	defer p.fleet.mu.Unlock()
	if !p.fleet.proofs[p] {
		return
	}
	delete(p.fleet.proofs, p)
	p.telemetry.attendAll(p.fleet)
}

// metrics takes a flush into account. The fleet's lock is held.
func (p *Proof) metrics(x *proxy, fl *flush, iv interval) {
	iv.away = make([]seen, len(p.away))
	for i, cluster := range p.away {
		if c := fl.of(cluster); c != nil {
			iv.away[i] = seen{picks: c.picks(), health: healthOf(c)}
		}
	}
	for _, cluster := range p.toward {
		if c := fl.of(cluster); c != nil {
			iv.requests += c.picks()
		}
	}
	w := p.tracker.at(x.id)
	w.overrides = x.overrides
	w.interval(iv)
	p.changed()
}
