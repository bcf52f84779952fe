package discovery

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// FuzzTake: whatever looks say, what they name is believed as they name it, and an origin that had endpoints keeps one that is used
// unless all were announced to be stopping. How few it keeps of those that were there a moment ago is bounded, see [history].
func FuzzTake(f *testing.F) {
	f.Add([]byte{0xff, 0, 1, 0x0f, 0, 20, 0, 0, 1, 0, 0xff, 5, 1, 1, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		var s Set
		at, h := start, history{}
		for ; len(in) >= 3; in = in[3:] {
			at = at.Add(time.Duration(in[2]%16) * time.Second)
			l := Look{At: at}
			for i := range 8 {
				e := Endpoint{Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 80), State: Ready}
				if in[1]>>i&1 == 1 {
					e.State = Draining
				}
				if in[0]>>i&1 == 1 {
					l.Endpoints = append(l.Endpoints, e)
				}
			}
			next := s.Take(l, rules)
			checkTaken(t, s, next, l)
			h.check(t, s, next, l)
			s = next
		}
	})
}

func checkTaken(t *testing.T, before, after Set, l Look) {
	t.Helper()
	held := false
	for _, e := range after.Endpoints() {
		i := slices.IndexFunc(l.Endpoints, func(named Endpoint) bool { return named.Address == e.Address })
		if held = held || e.State == StateHeld; (i < 0) != (e.State == StateHeld) {
			t.Fatalf("%v: named %v", e, i >= 0)
		}
		if i >= 0 && string(l.Endpoints[i].State) != string(e.State) {
			t.Fatalf("%v was named as %s", e, l.Endpoints[i].State)
		}
	}
	if held == after.Held().IsZero() {
		t.Fatalf("held %v, since %v", held, after.Held())
	}
	used := func(s Set) []Tracked {
		return slices.DeleteFunc(slices.Clone(s.Endpoints()), func(e Tracked) bool { return e.State == StateDraining })
	}
	announced := func(e Tracked) bool {
		return slices.ContainsFunc(l.Endpoints, func(named Endpoint) bool { return named.Address == e.Address && named.State == Draining })
	}
	if was := used(before); len(used(after)) == 0 && slices.ContainsFunc(was, func(e Tracked) bool { return !announced(e) }) {
		t.Fatalf("none is used; before: %v", was)
	}
}

// history is when looks said what of an endpoint, as a test saw it.
type history map[netip.AddrPort]*struct {
	missing time.Time // since when no look names it; zero if the last one did
	letGo   time.Time // when it left unannounced, before it was missing for long; zero if it did not
}

// check notes a look. Of the endpoints that were in use within the last Confirm, no more than the share, and one, are gone without having
// been missing for that long.
func (h history) check(t *testing.T, before, after Set, l Look) {
	t.Helper()
	now := map[netip.AddrPort]bool{}
	for _, e := range l.Endpoints {
		now[e.Address] = true
		delete(h, e.Address)
	}
	is := map[netip.AddrPort]bool{}
	for _, e := range after.Endpoints() {
		is[e.Address] = true
	}
	all, recent, fresh := 0, 0, 0
	for _, e := range before.Endpoints() {
		if e.State == StateDraining {
			continue
		}
		all++
		if now[e.Address] {
			continue
		}
		if h[e.Address] == nil {
			h[e.Address] = new(struct{ missing, letGo time.Time })
			h[e.Address].missing = l.At
		}
		if !is[e.Address] && l.At.Sub(h[e.Address].missing) < rules.Confirm {
			h[e.Address].letGo = l.At
			fresh++
		}
	}
	for _, e := range h {
		if !e.letGo.IsZero() && l.At.Sub(e.letGo) < rules.Confirm {
			recent++
		}
	}
	if all += recent - fresh; fresh > 0 && recent > max(1, all*rules.Share/100) {
		t.Fatalf("%d of %d are gone within a moment", recent, all)
	}
}
