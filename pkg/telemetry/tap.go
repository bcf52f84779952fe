package telemetry

import (
	"slices"
	"time"
)

// tap gives what is counted at one cluster of a fleet to its watches. Guarded by the fleet.
type tap struct {
	watches []tapped
}

// tapped is one origin of a watch.
type tapped struct {
	watch  *Watch
	origin int
}

// tap returns that of a cluster, which exists while it is watched. f.mu is held.
func (f *fleet) tap(cluster string) *tap {
	t := f.taps[cluster]
	if t == nil {
		t = &tap{}
		f.taps[cluster] = t
		if s := (*f.index.Load())[cluster]; s != nil {
			s.tap = t
		}
	}
	return t
}

func (t *tap) join(w *Watch, origin int) { t.watches = append(t.watches, tapped{w, origin}) }

// leave takes a watch from a cluster. f.mu is held.
func (f *fleet) leave(cluster string, w *Watch) {
	t := f.taps[cluster]
	if t == nil {
		return
	}
	t.watches = slices.DeleteFunc(t.watches, func(x tapped) bool { return x.watch == w })
	if len(t.watches) > 0 {
		return
	}
	delete(f.taps, cluster)
	if s := (*f.index.Load())[cluster]; s != nil {
		s.tap = nil
	}
}

// again says whether proxies try requests again that were answered.
func (t *tap) again() bool { return t.watches[0].watch.again.Load() }

// first says whether it is the first origin of a watch.
func (t *tap) first() bool {
	return slices.ContainsFunc(t.watches, func(x tapped) bool { return x.origin == 0 })
}

func (t *tap) credit(n credit) {
	if n == (credit{}) {
		return
	}
	for _, x := range t.watches {
		x.watch.counted(x.origin, n)
	}
}

// tapFlush gives what a flush holds to the watches. f.mu is held.
func (f *fleet) tapFlush(p *proxy, fl *flush, iv interval) {
	if len(f.taps) == 0 && len(p.ledgers) == 0 {
		return
	}
	for cluster, l := range p.ledgers {
		if l.closed(p.flushes) {
			delete(p.ledgers, cluster)
			continue
		}
		var n credit
		if c := fl.of(cluster); c != nil {
			n = c.credit(false)
		}
		n = l.flush(p.flushes, iv, n)
		if t := f.taps[cluster]; t != nil {
			t.credit(n)
		}
	}
	for i := range fl.deltas {
		d := &fl.deltas[i]
		if t := d.tap(f); t != nil && p.ledgers[d.cluster()] == nil {
			t.credit(d.counts.credit(t.again()))
		}
	}
	for i := range fl.histograms {
		h := &fl.histograms[i]
		if t := fl.deltas[h.delta].tap(f); t != nil {
			t.timed(h.layout.edgesFor(p.version), h.counts)
		}
	}
}

// tap is that of the cluster; nil if nobody watches it.
func (d *delta) tap(f *fleet) *tap {
	if d.series != nil {
		return d.series.tap
	}
	return f.taps[d.name] // there was no place for a series
}

func (d *delta) cluster() string {
	if d.series != nil {
		return d.series.name
	}
	return d.name
}

func (t *tap) timed(e *edges, counts []byte) {
	for _, x := range t.watches {
		x.watch.timed(x.origin, e, counts)
	}
}

// credit says how many requests the counts of a flush are, and how many failed: by a status of 5xx, which requests have as well that got no
// connection, ran out of time or were reset before an answer. Resets and timeouts beyond those broke an answer that had begun. So many at the
// least: a status of 5xx of the origin's own may stand for one. Where requests are tried again, it cannot be said which of them was in the end
// answered, and none counts.
//
// A request that failed and that the other origin answered in its place failed here all the same. It counts twice where that answer is a 5xx to which
// the proxy would not have tried again.
func (c *Counts) credit(again bool) credit {
	n := credit{c.Answers(), c.failed()}
	if broken := c.Reset + c.Timeout; broken > n.failures && !again {
		n.failures = broken
	}
	return n
}

// tapRound gives what load reports of a proxy say to the watches. f.mu is held.
func (f *fleet) tapRound(p *proxy, reports map[string]loadReport, arrived time.Time) {
	for cluster, l := range p.ledgers {
		if r, ok := reports[cluster]; ok && l.over.IsZero() {
			if t := f.taps[cluster]; t != nil {
				t.credit(l.round(arrived, r.notBefore.Add(r.length), r.tries))
			}
		}
	}
}

// account opens a ledger for each watched cluster that a proxy is asked to report on, and ends the others. f.mu is held.
func (f *fleet) account(p *proxy, asked map[string]time.Time, now time.Time) {
	for cluster, l := range p.ledgers {
		if _, ok := asked[cluster]; !ok || f.early(cluster) == nil {
			n := l.end(now)
			if t := f.taps[cluster]; t != nil {
				t.credit(n)
			}
		}
	}
	if len(f.taps) == 0 {
		return
	}
	for cluster := range asked {
		if f.early(cluster) == nil {
			continue
		}
		switch l := p.ledgers[cluster]; {
		case l == nil && p.ledgers == nil:
			p.ledgers = map[string]*ledger{cluster: {}}
		case l == nil:
			p.ledgers[cluster] = &ledger{}
		default:
			l.resume()
		}
	}
}

// early returns the tap of a cluster of which load reports are of use; nil if there is none.
func (f *fleet) early(cluster string) *tap {
	if t := f.taps[cluster]; t != nil && !t.again() {
		return t
	}
	return nil
}

// quick says whether there is a cluster of which load reports are of use.
func (f *fleet) quick() bool {
	for _, t := range f.taps {
		if !t.again() {
			return true
		}
	}
	return false
}
