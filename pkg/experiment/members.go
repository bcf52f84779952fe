package experiment

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// greet takes an instance in.
func (d *Desk) greet(s *session, h *crossfadev1.ComparatorHello) error {
	address, err := netip.ParseAddrPort(h.GetAddress())
	switch {
	case h == nil:
		return refuse("the first message has to be a hello")
	case !instanceName.MatchString(h.GetInstance()):
		return refuse("hello: instance has 1 to 64 letters, digits, dots, dashes and underscores")
	case err != nil || address.Port() == 0 || address.Addr().IsUnspecified() || address.Addr().Zone() != "":
		return refuse("hello: address is not one that proxies can send to, IP:PORT")
	case !d.c.Secure && !address.Addr().Unmap().IsLoopback():
		return refuse("hello: address is not on this machine: without TLS copies are sent to loopback addresses only")
	}
	now := d.c.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return errStopping
	case s.over():
		return errSilent
	}
	s.instance, s.address = h.GetInstance(), netip.AddrPortFrom(address.Addr().Unmap(), address.Port())
	if old := d.sessions[s.instance]; old != nil {
		old.stop(errReplaced)
	} else if len(d.sessions) >= maxInstances {
		return status.Errorf(codes.ResourceExhausted, "%d comparators are at work; no more are taken", maxInstances)
	}
	s.heard = now
	d.succeed(s, now)
	d.sessions[s.instance] = s
	for _, r := range d.runs {
		if r.open() || r.parts[s.instance] != nil {
			d.join(r, s, now)
		}
	}
	d.regroup()
	return nil
}

// succeed ends those who had the address of a new instance: an address is one process's at a time.
func (d *Desk) succeed(s *session, now time.Time) {
	for _, old := range d.sessions {
		if old.instance != s.instance && old.address == s.address {
			old.stop(errReplaced)
			d.part(old, now, false)
		}
	}
	for _, r := range d.runs {
		for _, p := range r.parts {
			if !p.connected && p.instance != s.instance && p.address == s.address.String() {
				p.held, p.until = 0, time.Time{}
			}
		}
	}
}

// join returns what is known of an instance in a run, which it is part of from now on. What was said to be lost with it is not.
func (d *Desk) join(r *run, s *session, now time.Time) *part {
	p := r.part(s.instance)
	if !p.connected {
		p.connected, p.address, p.lost, p.until = true, s.address.String(), 0, time.Time{}
		if p.heard.IsZero() {
			p.heard = now
		}
		r.touch()
	}
	return p
}

// regroup is called when an instance has come or gone.
func (d *Desk) regroup() {
	d.fresh, d.urgent = true, true
	for _, s := range d.sessions {
		s.notify()
	}
	notify(d.members)
}

// leave lets an instance go that has said goodbye.
func (d *Desk) leave(s *session) {
	now := d.c.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.part(s, now, true)
}

// part lets an instance go.
func (d *Desk) part(s *session, now time.Time, goodbye bool) {
	if d.sessions[s.instance] != s {
		return // another stream goes on with it, or it has left
	}
	delete(d.sessions, s.instance)
	for _, r := range d.runs {
		p := r.parts[s.instance]
		if p == nil {
			continue
		}
		p.leave(now, d.c.Lease, goodbye)
		if p.empty() {
			delete(r.parts, s.instance)
		}
		if err := r.fold(); err != nil {
			d.c.Log.Error("what comparators of the past counted cannot be added up", "mirror", r.mirror, "run", r.id, "error", err)
		}
		r.touch()
	}
	d.regroup()
}

// tellMembers tells the owner where comparators are at work, until ctx ends.
func (d *Desk) tellMembers(ctx context.Context) {
	var told []netip.AddrPort
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.members:
		}
		if now := d.atWork(d.c.Now()); !slices.Equal(now, told) {
			told = now
			d.c.Comparators(slices.Clone(now))
		}
	}
}

// atWork are the addresses of comparators, sorted.
func (d *Desk) atWork(now time.Time) []netip.AddrPort {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []netip.AddrPort
	for _, s := range d.sessions {
		if !d.silent(s, now) {
			out = append(out, s.address)
		}
	}
	slices.SortFunc(out, func(a, b netip.AddrPort) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Port(), b.Port()))
	})
	return out
}
