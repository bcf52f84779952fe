package experiment

import (
	"context"
	"time"
)

// saveEvery is how often what has changed is written, and read again what could not be read.
const saveEvery = 5 * time.Second

// saveAll writes what has changed every five seconds, and at once what must not wait, until ctx ends.
func (d *Desk) saveAll(ctx context.Context) {
	if !d.keeper.keeps() {
		return
	}
	last := d.c.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.saves:
		}
		d.mu.Lock()
		urgent := d.urgent
		d.mu.Unlock()
		if now := d.c.Now(); urgent || now.Sub(last) >= saveEvery {
			d.reread(now)
			d.save(now)
			last = now
		}
	}
}

// save writes what has changed, and removes what has expired. Whatever comparators have told until then, they may forget once all of it is written.
func (d *Desk) save(now time.Time) {
	if !d.keeper.keeps() {
		return
	}
	d.mu.Lock()
	d.urgent = false
	notes, expired, whole := map[*run]*note{}, []string(nil), true
	for _, r := range d.runs {
		whole = whole && !r.waits
		if r.id == "" || r.waits || !r.touched && !(r.aged && d.closed) {
			continue
		}
		r.touched, r.aged = false, false
		if r.gone == goneExpired {
			expired = append(expired, r.id)
			continue
		}
		notes[r] = r.note()
	}
	taken := map[*session]int64{}
	for _, s := range d.sessions {
		taken[s] = s.sequence
	}
	d.mu.Unlock()
	for r, n := range notes {
		whole = d.write(r, n) && whole
	}
	d.keeper.remove(expired)
	if !whole {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for s, sequence := range taken {
		s.acked = sequence
	}
}

// write writes one note, unless its run has been replaced meanwhile, and says whether it need not be tried again: until then, the report lives on
// in memory.
func (d *Desk) write(r *run, n *note) bool {
	k := d.keeper
	data, err := n.encode()
	k.mu.Lock()
	defer k.mu.Unlock()
	d.mu.Lock()
	current := d.runs[r.mirror] == r
	d.mu.Unlock()
	if !current {
		return true
	}
	path := k.path(notePrefix, r.id)
	if err == nil && !r.keyKept {
		err = k.replace(k.path(keyPrefix, r.id), r.key)
	}
	if err == nil {
		r.keyKept = true
		err = k.replace(path, data)
	}
	if k.said(path, err); err != nil {
		d.mu.Lock()
		r.touched = true
		d.mu.Unlock()
	}
	return err == nil
}

// reread reads again what could not be read. Comparators are sent away then, so that they tell all that they have counted once more.
func (d *Desk) reread(now time.Time) {
	d.setting.Lock()
	defer d.setting.Unlock()
	d.mu.Lock()
	var waiting []Mirror
	for _, r := range d.runs {
		if r.waits {
			waiting = append(waiting, Mirror{Doc: r.doc, Policy: r.policy, Fleets: r.fleets, Revision: r.revision})
		}
	}
	d.mu.Unlock()
	for _, m := range waiting {
		r := d.newRun(m, false, now)
		if r.waits {
			continue
		}
		d.mu.Lock()
		d.put(r, now)
		d.setLimits()
		d.regroup()
		for _, s := range d.sessions {
			s.stop(errReread)
		}
		d.mu.Unlock()
	}
}
