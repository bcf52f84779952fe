package tracker

import (
	"net/netip"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
)

// report says in the log what a look began or ended.
func (t *Tracker) report(k Key, source string, was, is discovery.Set) {
	_, failed := was.Failing()
	_, fails := is.Failing()
	doubted, doubts := !was.Held().IsZero(), !is.Held().IsZero()
	if (failed == nil) == (fails == nil) && doubted == doubts && was.Known() == is.Known() {
		return
	}
	ready, draining, held := count(is)
	log := t.log.With("service", k.Service, "origin", k.Origin, "source", source, "ready", ready, "draining", draining, "held", held)
	switch {
	case fails != nil && failed == nil:
		log.Warn("the source of an origin's endpoints fails; what is known of them stays", "error", fails)
	case !was.Known() && is.Known():
		log.Info("the source of an origin's endpoints has told the first")
	case fails == nil && failed != nil:
		log.Info("the source of an origin's endpoints works again")
	}
	switch {
	case doubts && !doubted:
		log.Warn("endpoints vanished unannounced, and too many at once to be believed: they stay in use until it is confirmed or accepted")
	case doubted && !doubts:
		gone, back := fate(was, is)
		log.Info("no endpoints are held any more", "gone", gone, "back", back)
	}
}

// fate counts those that were held: gone for good, or named again.
func fate(was, is discovery.Set) (gone, back int) {
	named := make(map[netip.AddrPort]bool, len(is.Endpoints()))
	for _, e := range is.Endpoints() {
		named[e.Address] = true
	}
	for _, e := range was.Endpoints() {
		switch {
		case e.State != discovery.StateHeld:
		case named[e.Address]:
			back++
		default:
			gone++
		}
	}
	return gone, back
}
