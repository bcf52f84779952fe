package kubernetes

import (
	"net/netip"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
)

// teller tells what is new of one target.
type teller struct {
	ended  [2]<-chan struct{} // either ends the watch
	news   <-chan struct{}    // there may be something new
	settle time.Duration      // how long news are gathered
	look   func() discovery.Look
	tell   func(discovery.Look)
	last   discovery.Look // that was told and had no error
}

// gather gathers what follows news, and tells a look. What is known to be stopping does not wait for that: it is told as soon as it is seen.
func (t *teller) gather() {
	timer := time.NewTimer(t.settle)
	defer timer.Stop()
	for untold := true; ; {
		if l := t.look(); untold && stops(t.last, l) {
			t.say(l)
			untold = false
		}
		select {
		case <-t.ended[0]:
			return
		case <-t.ended[1]:
			return
		case <-t.news:
			untold = true
			continue
		case <-timer.C:
		}
		select {
		case <-t.news: // came at the same moment
			untold = true
		default:
		}
		if untold {
			t.say(t.look())
		}
		return
	}
}

// say tells a look, unless the watch has ended.
func (t *teller) say(l discovery.Look) {
	for _, ended := range t.ended {
		select {
		case <-ended:
			return
		default:
		}
	}
	if l.Err == nil {
		t.last = l
	}
	t.tell(l)
}

// stops says that a look shows one to be draining that took requests at an earlier look, and lacks none of those. What lacks some may be
// half of a change: Kubernetes moves endpoints between slices.
func stops(before, after discovery.Look) bool {
	if after.Err != nil {
		return false
	}
	states := make(map[netip.AddrPort]discovery.Readiness, len(after.Endpoints))
	for _, e := range after.Endpoints {
		states[e.Address] = e.State
	}
	some := false
	for _, e := range before.Endpoints {
		if e.State != discovery.Ready {
			continue
		}
		state, there := states[e.Address]
		if !there {
			return false
		}
		some = some || state == discovery.Draining
	}
	return some
}
