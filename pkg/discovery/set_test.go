package discovery

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var (
	start   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	rules   = Rules{Share: 30, Confirm: 10 * time.Second}
	errLook = errors.New("throttled")
)

// step is a look, told as text: the second it was made at, and what it named. "1 2 3d" are endpoints 1, 2 and 3, 3 draining; "!" is an
// error; "=" before the endpoints says that they are meant; "accept" is no look: somebody accepts what is held.
type step struct {
	second int
	look   string
	want   string // what is believed after it: "1 2h 3d", h for held
}

func (s step) take(t *testing.T, set Set) Set {
	t.Helper()
	if s.look == "accept" {
		return set.Accept(heldBy(set)...)
	}
	return set.Take(lookOf(t, s.second, s.look), rules)
}

func lookOf(t *testing.T, second int, text string) Look {
	t.Helper()
	l := Look{At: start.Add(time.Duration(second) * time.Second)}
	if text == "!" {
		l.Err = errLook
		return l
	}
	text, l.Meant = strings.CutPrefix(text, "=")
	for _, word := range strings.Fields(text) {
		name, draining := strings.CutSuffix(word, "d")
		e := Endpoint{Address: address(name), State: Ready}
		if draining {
			e.State = Draining
		}
		l.Endpoints = append(l.Endpoints, e)
	}
	return l
}

// heldBy returns the addresses that are held.
func heldBy(s Set) []netip.AddrPort {
	var out []netip.AddrPort
	for _, e := range s.Endpoints() {
		if e.State == StateHeld {
			out = append(out, e.Address)
		}
	}
	return out
}

func address(name string) netip.AddrPort { return netip.MustParseAddrPort("10.0.0." + name + ":80") }

func believed(s Set) string {
	var words []string
	for _, t := range s.Endpoints() {
		_, name, _ := strings.Cut(t.Address.Addr().String(), "10.0.0.")
		words = append(words, name+map[State]string{StateReady: "", StateDraining: "d", StateHeld: "h"}[t.State])
	}
	return strings.Join(words, " ")
}

func TestTake(t *testing.T) {
	for name, steps := range map[string][]step{
		"endpoints that appear are used at once": {{0, "1", "1"}, {1, "1 2 3", "1 2 3"}},
		"one may vanish, of however few":         {{0, "1 2", "1 2"}, {1, "2", "2"}},
		"up to the share may vanish":             {{0, "1 2 3 4 5 6 7 8 9 10", "1 2 3 4 5 6 7 8 9 10"}, {1, "4 5 6 7 8 9 10", "4 5 6 7 8 9 10"}},
		"more than the share are held, all of them": {
			{0, "1 2 3 4 5 6 7 8 9 10", "1 2 3 4 5 6 7 8 9 10"},
			{1, "5 6 7 8 9 10", "1h 2h 3h 4h 5 6 7 8 9 10"},
		},
		"a later look confirms":                     {{0, "1 2 3", "1 2 3"}, {1, "3", "1h 2h 3"}, {10, "3", "1h 2h 3"}, {11, "3", "3"}},
		"a later look takes back":                   {{0, "1 2 3", "1 2 3"}, {1, "3", "1h 2h 3"}, {5, "1 2 3", "1 2 3"}, {30, "1 2 3", "1 2 3"}},
		"what is back starts anew when it vanishes": {{0, "1 2 3", "1 2 3"}, {1, "3", "1h 2h 3"}, {5, "1 2 3", "1 2 3"}, {12, "3", "1h 2h 3"}, {22, "3", "3"}},
		"what vanishes meanwhile waits for itself": {
			{0, "1 2 3 4 5 6", "1 2 3 4 5 6"},
			{1, "3 4 5 6", "1h 2h 3 4 5 6"},
			{8, "5 6", "1h 2h 3h 4h 5 6"},
			{11, "5 6", "3h 4h 5 6"},
			{18, "5 6", "5 6"},
		},
		"that all are gone, no look confirms":          {{0, "1 2", "1 2"}, {1, "", "1h 2h"}, {11, "", "1h 2h"}, {100000, "", "1h 2h"}},
		"the last one is all":                          {{0, "1", "1"}, {1, "", "1h"}, {100, "", "1h"}},
		"that only stopping ones are left, neither":    {{0, "1 2 3", "1 2 3"}, {1, "3d", "1h 2h 3d"}, {100, "", "1h 2h"}},
		"after all were gone, some are doubted anew":   {{0, "1 2 3", "1 2 3"}, {1, "", "1h 2h 3h"}, {60, "1", "1 2h 3h"}, {69, "1", "1 2h 3h"}, {70, "1", "1"}},
		"all gone in between makes doubts begin again": {{0, "1 2 3", "1 2 3"}, {1, "1", "1 2h 3h"}, {5, "", "1h 2h 3h"}, {12, "1", "1 2h 3h"}, {22, "1", "1"}},
		"others may take their place":                  {{0, "1 2 3", "1 2 3"}, {1, "4 5 6", "1h 2h 3h 4 5 6"}, {11, "4 5 6", "4 5 6"}},
		"announced, all may go":                        {{0, "1 2 3", "1 2 3"}, {1, "1d 2d 3d", "1d 2d 3d"}, {2, "1d", "1d"}, {3, "", ""}},
		"announced ones do not count as vanished":      {{0, "1 2 3 4", "1 2 3 4"}, {1, "1d 2d 3d 4", "1d 2d 3d 4"}, {2, "4", "4"}},
		"a held one that drains has been announced":    {{0, "1 2 3", "1 2 3"}, {1, "3", "1h 2h 3"}, {2, "1d 3", "1d 3"}, {3, "3", "3"}},
		"a stopping one that is ready again":           {{0, "1d 2", "1d 2"}, {1, "1 2", "1 2"}},
		"what is meant is believed":                    {{0, "1 2 3", "1 2 3"}, {1, "=", ""}},
		"what is meant ends what was held":             {{0, "1 2 3", "1 2 3"}, {1, "3", "1h 2h 3"}, {2, "=3", "3"}},
		"accepted":                                     {{0, "1 2 3", "1 2 3"}, {1, "", "1h 2h 3h"}, {2, "accept", ""}, {3, "", ""}, {4, "2", "2"}},
		"accepting changes only what is held":          {{0, "1 2 3d", "1 2 3d"}, {2, "accept", "1 2 3d"}},
		"errors change nothing":                        {{0, "1 2 3d", "1 2 3d"}, {1, "!", "1 2 3d"}, {1000, "!", "1 2 3d"}},
		"errors do not confirm":                        {{0, "1 2 3", "1 2 3"}, {1, "3", "1h 2h 3"}, {20, "!", "1h 2h 3"}},
		"an older look changes nothing":                {{5, "1", "1"}, {4, "1 2", "1"}, {5, "1 2", "1 2"}},
		"the first look may be empty":                  {{0, "", ""}, {1, "1", "1"}},
		"small shrinks add up": {
			{0, "1 2 3 4 5 6 7 8 9 10", "1 2 3 4 5 6 7 8 9 10"},
			{1, "3 4 5 6 7 8 9 10", "3 4 5 6 7 8 9 10"},
			{2, "4 5 6 7 8 9 10", "4 5 6 7 8 9 10"},
			{3, "5 6 7 8 9 10", "4h 5 6 7 8 9 10"},
			{4, "6 7 8 9 10", "4h 5h 6 7 8 9 10"},
			{11, "6 7 8 9 10", "4h 5h 6 7 8 9 10"},
			{12, "6 7 8 9 10", "6 7 8 9 10"}, // 1 to 3 went long ago
			{13, "7 8 9 10", "6h 7 8 9 10"},
		},
		"the one that may always vanish may do so once": {{0, "1 2 3", "1 2 3"}, {1, "2 3", "2 3"}, {2, "3", "2h 3"}, {12, "3", "3"}},
		"small shrinks far apart are small":             {{0, "1 2 3", "1 2 3"}, {1, "2 3", "2 3"}, {11, "3", "3"}},
		"what came back does not count":                 {{0, "1 2 3", "1 2 3"}, {1, "2 3", "2 3"}, {2, "1 2 3", "1 2 3"}, {3, "1 2", "1 2"}},
		"what came back draining neither":               {{0, "1 2 3", "1 2 3"}, {1, "2 3", "2 3"}, {2, "1d 2 3", "1d 2 3"}, {3, "2", "2"}},
		"announced ones do not add up":                  {{0, "1 2 3 4", "1 2 3 4"}, {1, "1d 2d 3 4", "1d 2d 3 4"}, {2, "3 4", "3 4"}, {3, "4", "4"}},
		"confirmed ones do not add up":                  {{0, "1 2 3 4", "1 2 3 4"}, {1, "3 4", "1h 2h 3 4"}, {11, "3 4", "3 4"}, {12, "4", "4"}},
		"accepted ones do not add up":                   {{0, "1 2 3 4 5", "1 2 3 4 5"}, {1, "2 3 4 5", "2 3 4 5"}, {2, "4 5", "2h 3h 4 5"}, {3, "accept", "4 5"}, {4, "5", "5"}},
		"what is meant does not add up":                 {{0, "1 2 3 4", "1 2 3 4"}, {1, "2 3 4", "2 3 4"}, {2, "=3 4", "3 4"}, {3, "4", "4"}},
		"an address that is told twice is ready":        {{0, "1d 1 2 2d", "1 2"}},
	} {
		t.Run(name, func(t *testing.T) { walk(t, Set{}, steps) })
	}
}

// walk takes one step after the other, and returns what is believed in the end.
func walk(t *testing.T, set Set, steps []step) Set {
	t.Helper()
	for _, s := range steps {
		before := believed(set)
		next := s.take(t, set)
		if got := believed(set); got != before {
			t.Fatalf("second %d, %q changed the set it was taken by: %q, was %q", s.second, s.look, got, before)
		}
		if set = next; believed(set) != s.want {
			t.Fatalf("second %d, %q: believed %q, want %q", s.second, s.look, believed(set), s.want)
		}
	}
	return set
}

func TestWhatASetSaysOfItself(t *testing.T) {
	var s Set
	if s.Known() || !s.Looked().IsZero() || !s.Held().IsZero() || len(s.Endpoints()) != 0 {
		t.Errorf("a new set knows: %+v", s)
	}
	at := func(second int) time.Time { return start.Add(time.Duration(second) * time.Second) }
	check := func(what string, wantErr error, failing, looked, held time.Time) {
		t.Helper()
		since, err := s.Failing()
		if !errors.Is(err, wantErr) || (err == nil) != (wantErr == nil) || since != failing || s.Looked() != looked || s.Held() != held {
			t.Errorf("%s: fails %v since %v, looked %v, held %v", what, err, since, s.Looked(), s.Held())
		}
	}
	s = s.Take(lookOf(t, 1, "!"), rules)
	check("error first", errLook, at(1), time.Time{}, time.Time{})
	if s.Known() {
		t.Error("an error made it know")
	}
	s = s.Take(lookOf(t, 3, "1 2 3"), rules)
	check("then a look", nil, time.Time{}, at(3), time.Time{})
	if !s.Known() {
		t.Error("a look did not make it know")
	}
	s = s.Take(lookOf(t, 4, "1"), rules)
	check("then a shrink", nil, time.Time{}, at(4), at(4))
	s = s.Take(lookOf(t, 5, "!"), rules).Take(lookOf(t, 6, "!"), rules)
	check("then errors", errLook, at(5), at(4), at(4))
	s = s.Take(lookOf(t, 7, "2d"), rules)
	check("then another shrink: the longest held counts", nil, time.Time{}, at(7), at(4))
	if e := s.Endpoints()[0]; e.Seen != at(4) || e.Missing != at(7) {
		t.Errorf("seen %v, missing since %v", e.Seen, e.Missing)
	}
	if s = s.Accept(address("1")); believed(s) != "2d 3h" {
		t.Errorf("accepted the end of one: %q", believed(s))
	}
	check("one of two accepted", nil, time.Time{}, at(7), at(4))
	s = s.Accept(heldBy(s)...)
	check("accepted", nil, time.Time{}, at(7), time.Time{})
}

// TestConfirmZero: without a time to confirm, any shrink that leaves something is believed at once.
func TestConfirmZero(t *testing.T) {
	s := Set{}.Take(lookOf(t, 0, "1 2 3"), Rules{}).Take(lookOf(t, 1, "1"), Rules{})
	if got := believed(s); got != "1" {
		t.Errorf("believed %q", got)
	}
	if got := believed(s.Take(lookOf(t, 2, ""), Rules{})); got != "1h" {
		t.Errorf("believed %q when all are gone", got)
	}
}
