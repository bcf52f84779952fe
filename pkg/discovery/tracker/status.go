package tracker

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Status is what is known of an origin.
type Status struct {
	Key
	Source    string              // the one that is watched, as it was named to [Tracker.Follow]
	From      string              // the one that named the endpoints: an earlier one until this names some; empty if none that was followed did
	Endpoints []discovery.Tracked // by address; not to be changed
	Known     bool                // the source has told something since it is followed
	Restored  bool                // it has not, and the endpoints are those of the note
	Looked    time.Time           // when a source last told something; zero if none ever did
	// Err says why the last look failed, nil if it did not: a [policy.Error] wherever the source gave one.
	Err          error
	FailingSince time.Time // since when looks fail; zero if they do not
	HeldSince    time.Time // since when a shrink is held; zero if none is
	// Ready, Draining and Held are how many endpoints are in each state.
	Ready, Draining, Held int
}

// Endpoints returns what is believed of an origin, by address, which the caller must not change; and whether its source has told something.
// Until it has, that there are no endpoints means nothing.
func (t *Tracker) Endpoints(k Key) (endpoints []discovery.Tracked, known bool) {
	o := t.origin(k)
	if o == nil {
		return nil, false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.set.Endpoints(), o.set.Known()
}

// Status returns what is known of an origin, false if it is not followed.
func (t *Tracker) Status(k Key) (Status, bool) {
	o := t.origin(k)
	if o == nil {
		return Status{}, false
	}
	return o.status(), true
}

// Statuses returns what is known of every origin that is followed, by service and origin.
func (t *Tracker) Statuses() []Status {
	t.mu.RLock()
	origins := slices.Collect(maps.Values(t.origins))
	t.mu.RUnlock()
	out := make([]Status, len(origins))
	for i, o := range origins {
		out[i] = o.status()
	}
	slices.SortFunc(out, func(a, b Status) int { return compareKeys(a.Key, b.Key) })
	return out
}

func (o *origin) status() Status {
	o.mu.Lock()
	set := o.set
	s := Status{Key: o.key, Source: o.source, From: o.from, Restored: o.restored}
	o.mu.Unlock()
	s.Endpoints, s.Known, s.Looked, s.HeldSince = set.Endpoints(), set.Known(), set.Looked(), set.Held()
	s.FailingSince, s.Err = set.Failing()
	if e := (*policy.Error)(nil); errors.As(s.Err, &e) {
		s.Err = e
	}
	s.Ready, s.Draining, s.Held = count(set)
	return s
}

// count counts the endpoints in each state.
func count(s discovery.Set) (ready, draining, held int) {
	for i := range s.Endpoints() {
		switch s.Endpoints()[i].State {
		case discovery.StateReady:
			ready++
		case discovery.StateDraining:
			draining++
		case discovery.StateHeld:
			held++
		}
	}
	return ready, draining, held
}

// sameStatus says that nothing differs but the times of looks. Since when looks fail, or a shrink is held, differs only where something
// else does.
func sameStatus(a, b discovery.Set) bool {
	_, errA := a.Failing()
	_, errB := b.Failing()
	return a.Known() == b.Known() && sameText(errA, errB) && slices.EqualFunc(a.Endpoints(), b.Endpoints(), func(x, y discovery.Tracked) bool {
		return x.Address == y.Address && x.State == y.State && x.Health == y.Health && x.Zone == y.Zone && maps.Equal(x.Metadata, y.Metadata)
	})
}

func sameText(a, b error) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.Error() == b.Error()
}

// Accept ends the doubt about endpoints: somebody saw that they are held, and says that they are gone. It returns those of them that are
// held; none is no error. It fails if the origin is not followed.
func (t *Tracker) Accept(k Key, seen []netip.AddrPort) (accepted []discovery.Tracked, err error) {
	o := t.origin(k)
	if o == nil {
		return nil, &policy.Error{
			Kind: policy.NotFound, Code: "endpoints_unknown",
			Message: fmt.Sprintf("origin %q of service %q has no endpoints that are discovered", k.Origin, k.Service),
		}
	}
	o.mu.Lock()
	was := o.set
	o.set = was.Accept(seen...)
	t.tell(o, was, false)
	o.mu.Unlock()
	for _, e := range was.Endpoints() {
		if e.State == discovery.StateHeld && slices.Contains(seen, e.Address) {
			accepted = append(accepted, e)
		}
	}
	return accepted, nil
}
